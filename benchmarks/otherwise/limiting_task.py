"""A Celery task that asks a moving window of the library `limits` in Redis before it calls, and retries when refused.

With late acknowledgement and prefetch 1, as Celery's documentation advises for tasks that may run twice.
"""

from __future__ import annotations

import sys
import time
from functools import lru_cache
from typing import Any

import requests
from celery import Celery
from limits import RateLimitItemPerSecond
from limits.storage import RedisStorage
from limits.strategies import MovingWindowRateLimiter

from benchmarks.otherwise.wish import COUNT, SYMBOLS, WINDOW_S, append, headers, redis_url, url

LIMIT = RateLimitItemPerSecond(COUNT, WINDOW_S)
app = Celery("limiting", broker=redis_url())
app.conf.update(
    task_default_queue="limiting",
    task_ignore_result=True,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
)


@lru_cache(maxsize=1)
def limiter() -> MovingWindowRateLimiter:
    return MovingWindowRateLimiter(RedisStorage(redis_url()))


@app.task(name="fetch", bind=True, max_retries=None)  # type: ignore[untyped-decorator]  # Celery is untyped
def fetch(self: Any, symbol: str) -> None:
    if not limiter().hit(LIMIT, "vendor"):
        raise self.retry(countdown=max(0.0, limiter().get_window_stats(LIMIT, "vendor").reset_time - time.time()))
    try:
        reply = requests.get(url(symbol), headers=headers(), timeout=10)
        if reply.status_code == 429:
            raise self.retry(countdown=float(reply.headers.get("Retry-After", WINDOW_S)))
        reply.raise_for_status()
        append(symbol, reply.json())
    except requests.RequestException as error:
        raise self.retry(exc=error, countdown=5) from None


if __name__ == "__main__" and sys.argv[1:] == ["send"]:
    for one in SYMBOLS:
        fetch.delay(one)
