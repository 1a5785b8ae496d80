"""A vendor on loopback that costs almost nothing: one prepared body of bars, with the asked ticker in it.

`python -m benchmarks.reply_server DELAY_MS [minutes]` prints its port and serves until its input ends: daily bars, or minutes.
It judges no call and reads no range.
"""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np

from marketfetch.vendors.trading_days import sessions

FIRST, LAST = date(2005, 1, 3), date(2024, 12, 31)
#: 44 sessions of 960 minutes, which one request may ask for.
FIRST_MINUTES, LAST_MINUTES = date(2024, 7, 1), date(2024, 8, 31)
_TICKER = b"BENCHMARK"


@lru_cache(maxsize=1)
def prepared() -> bytes:
    """A reply of the vendor with a bar on each of the 5,217 weekdays of twenty years."""
    days = [FIRST + timedelta(days=n) for n in range((LAST - FIRST).days + 1)]
    days = [day for day in days if day.weekday() < 5]
    zone = ZoneInfo("America/New_York")
    return _body([int(datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC).timestamp()) * 1000 for day in days])


@lru_cache(maxsize=1)
def prepared_minutes() -> bytes:
    """A reply of the vendor with a bar in each of the 960 minutes of 44 sessions, before and after hours included."""
    zone = ZoneInfo("America/New_York")
    opens = [datetime(day.year, day.month, day.day, 4, tzinfo=zone) for day in sessions("XNYS", FIRST_MINUTES, LAST_MINUTES)]
    return _body([int(one.astimezone(UTC).timestamp()) * 1000 + n * 60_000 for one in opens for n in range(960)])


def _body(starts: list[int]) -> bytes:
    many = len(starts)
    rng = np.random.default_rng(1)
    opened = np.round(150 + rng.standard_normal(many).cumsum() * 0.1, 4)
    closed = np.round(opened + rng.standard_normal(many) * 0.5, 4)
    high, low = np.round(np.maximum(opened, closed) + 0.02, 4), np.round(np.minimum(opened, closed) - 0.02, 4)
    volume, trades = rng.integers(100, 1_000_000, many), rng.integers(1, 5_000, many)
    columns = (volume, np.round((high + low) / 2, 4), opened, closed, high, low, np.array(starts), trades)
    names = ("v", "vw", "o", "c", "h", "l", "t", "n")
    rows = [dict(zip(names, row, strict=True)) for row in zip(*(column.tolist() for column in columns), strict=True)]
    whole = {"ticker": _TICKER.decode(), "queryCount": len(rows), "resultsCount": len(rows), "adjusted": False, "results": rows}
    return json.dumps({**whole, "status": "OK", "request_id": "1", "count": len(rows)}, separators=(",", ":")).encode()


async def serve(delay_s: float, body: bytes) -> None:
    """Serves on a free port until the input of this process ends."""
    before, after = body.split(_TICKER)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                asked = await reader.readuntil(b"\r\n\r\n")
                if delay_s:
                    await asyncio.sleep(delay_s)
                ticker = asked.split(b"/ticker/", 1)[1].split(b"/", 1)[0]
                length = len(before) + len(ticker) + len(after)
                head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % length
                writer.writelines((head, before, ticker, after))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.buffer.read)


if __name__ == "__main__":
    delay_ms, kind = (*sys.argv[1:], *("0", "days")[len(sys.argv) - 1 :])
    asyncio.run(serve(float(delay_ms) / 1000, prepared_minutes() if kind == "minutes" else prepared()))
