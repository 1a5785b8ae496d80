"""The usual chain: a Celery task fetches when the `limits` library allows it, and passes its rows to a second one that stores.

The yardstick of benchmarks/one_row_requests.py, with the settings that a careful user gives it: late acknowledgements, one
session per process, one transaction per reply. It checks nothing of what came, and has no ledger.

`python -m benchmarks.plain_chain COUNT` sends that many chains, in the process of a user.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

import requests
from celery import Celery
from limits import RateLimitItemPerSecond
from limits.storage import RedisStorage
from limits.strategies import MovingWindowRateLimiter

from benchmarks.one_row_requests import days

#: redis, vendor and key: the benchmark writes them into the folder in which the workers run.
PLACES: dict[str, str] = json.loads(Path("plain.json").read_text())
QUEUE = "plain"
#: More than any run makes: the check costs what it costs, and refuses no call.
_LIMIT = RateLimitItemPerSecond(100_000, 1)

app = Celery("plain", broker=PLACES["redis"])
app.conf.update(
    task_default_queue=QUEUE,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    task_ignore_result=True,
    broker_connection_retry_on_startup=True,
)


@app.task(name="plain.fetch", bind=True, max_retries=None)  # type: ignore[untyped-decorator]  # Celery is untyped
def fetch(self: Any, symbol: str, day: str) -> list[Any]:
    """One call; returns its rows."""
    if not limiter().hit(_LIMIT, "polygon"):
        raise self.retry(countdown=max(limiter().get_window_stats(_LIMIT, "polygon").reset_time - time.time(), 0))
    reply = session().get(
        f"{PLACES['vendor']}/v2/aggs/ticker/{symbol}/range/1/day/{day}/{day}",
        headers={"Authorization": f"Bearer {PLACES['key']}"},
        timeout=(5, 20),
    )
    reply.raise_for_status()
    return [[symbol, *(bar.get(name) for name in ("t", "o", "h", "l", "c", "v"))] for bar in reply.json().get("results", ())]


@app.task(name="plain.store")  # type: ignore[untyped-decorator]  # Celery is untyped
def store(rows: list[Any]) -> None:
    """One transaction."""
    with database() as db:
        db.executemany("INSERT OR REPLACE INTO bars VALUES (?, ?, ?, ?, ?, ?, ?)", rows)


@lru_cache(maxsize=1)
def limiter() -> MovingWindowRateLimiter:
    return MovingWindowRateLimiter(RedisStorage(PLACES["redis"]))


@lru_cache(maxsize=1)
def session() -> requests.Session:
    return requests.Session()


@lru_cache(maxsize=1)
def database() -> sqlite3.Connection:
    db = sqlite3.connect("plain.db", timeout=30)
    # As durable as ours.
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("CREATE TABLE IF NOT EXISTS bars (symbol, ts, open, high, low, close, volume, PRIMARY KEY (symbol, ts))")
    return db


def send(count: int) -> None:
    for symbol, day in days(count):
        (fetch.s(symbol, day) | store.s()).delay()


if __name__ == "__main__":
    send(int(sys.argv[1]))
