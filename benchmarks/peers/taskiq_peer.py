"""taskiq with a Redis stream, which acknowledges; its list broker loses what a killed worker had taken."""

from __future__ import annotations

import asyncio

from redis.asyncio import Redis
from taskiq_redis import RedisStreamBroker

from benchmarks.peers.places import DONE, PLACES, symbols

broker = RedisStreamBroker(url=PLACES["redis"])
client = Redis.from_url(PLACES["redis"])


async def count_async(symbol: str) -> None:  # noqa: ARG001 (a task has an argument)
    """The work of one task."""
    await client.incr(DONE)


# taskiq names a task after the module, which is another one where this file is the program.
work = broker.task(task_name="count")(count_async)


async def main() -> None:
    await broker.startup()
    for symbol in symbols():
        await work.kiq(symbol)
    await broker.shutdown()


if __name__ == "__main__":
    asyncio.run(main())
