"""An asyncio script: eight calls at once, each tried again after a pause that grows."""

from __future__ import annotations

import asyncio

import httpx

from benchmarks.otherwise.wish import SYMBOLS, append, headers, url

TRIES = 6


async def fetch(client: httpx.AsyncClient, free: asyncio.Semaphore, symbol: str) -> None:
    for number in range(TRIES):
        try:
            async with free:
                reply = await client.get(url(symbol), headers=headers())
            reply.raise_for_status()
        except httpx.HTTPError as error:
            print(f"{symbol}: {error!r}")
            await asyncio.sleep(2**number / 2)
        else:
            append(symbol, reply.json())
            return


async def main() -> None:
    free = asyncio.Semaphore(8)
    async with httpx.AsyncClient(timeout=10) as client:
        await asyncio.gather(*(fetch(client, free, symbol) for symbol in SYMBOLS))


if __name__ == "__main__":
    asyncio.run(main())
