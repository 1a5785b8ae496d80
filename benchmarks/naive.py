"""The usual solution: a Celery task that checks the `limits` library's moving window in Redis, and retries when refused.

It is meant as a fair yardstick: sane Celery settings, one requests.Session per process. The task checks every window of a
key, the shorter first, so that a refusal by the longer one spends as little as possible; of several keys it uses any that
allows the call; it retries exactly when the library reports that the window opens. It validates and stores replies by our
own code.
"""

from __future__ import annotations

import random
import time
from functools import lru_cache
from typing import Any

import requests
from celery import Celery
from limits import RateLimitItem, RateLimitItemPerSecond
from limits.storage import RedisStorage
from limits.strategies import MovingWindowRateLimiter
from redis import Redis
from redis.exceptions import LockError
from redis.lock import Lock

from marketfetch import vendors
from marketfetch.addresses import database_url, redis_url
from marketfetch.configured import keys, options
from marketfetch.quotas import KeyLimits
from marketfetch.schemas.ledger import Batch, LedgerRow
from marketfetch.schemas.request import Request
from marketfetch.settings import get_settings
from marketfetch.storage import open_store
from marketfetch.storage.store import Store
from marketfetch.vendors import reading
from marketfetch.vendors.http import HttpReply

QUEUE = "naive"

app = Celery("naive", broker=redis_url().text)
app.conf.update(
    task_default_queue=QUEUE,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    task_ignore_result=True,
    broker_connection_retry_on_startup=True,
    worker_hijack_root_logger=False,
)


@app.task(bind=True, max_retries=None)  # type: ignore[untyped-decorator]  # Celery is untyped
def fetch(self: Any, arguments: dict[str, Any]) -> None:
    """One call: checks the windows, calls or retries later, stores."""
    limits = {one.label: one for one in keys("polygon")}
    held: Lock | None = None
    resets: list[float] = []
    for label in random.sample(list(limits), len(limits)):
        held = free_lock(limits[label])
        if limits[label].concurrency and held is None:
            resets.append(time.time() + 0.2)
            continue
        refused = next((item for item in items(label) if not limiter().hit(item, label)), None)
        if refused is None:
            break
        release(held)
        resets.append(limiter().get_window_stats(refused, label).reset_time)
    else:
        raise self.retry(countdown=max(min(resets) - time.time(), 0), max_retries=None)
    try:
        call(Request.model_validate({"provider": "polygon", **arguments}), label)
    finally:
        release(held)


def call(request: Request, label: str) -> None:
    """The GET, validated and stored."""
    section, ours = get_settings().provider("polygon"), options("polygon")
    wanted = vendors.vendor("polygon").build_request(request, ours)
    key = next(one.secret.get_secret_value() for one in section.keys if one.label == label)
    reply = session().get(
        section.base_url + wanted.path,
        params=list(wanted.params),
        headers={"Authorization": f"Bearer {key}"},
        timeout=(5, 20),
    )
    heard = HttpReply(status=reply.status_code, headers={k.lower(): v for k, v in reply.headers.items()}, body=reply.content)
    page = reading.read(request, heard, ours, max_reject_share=0.2)
    ledger = LedgerRow(
        request_id=request.id, root=request.root, page=0, provider="polygon", symbol=request.symbol,
        outcome="stored" if page.rows else "empty", key_label=label, calls=1, called_at_ms=time.time_ns() // 1_000_000,
        rows=page.rows, rejects=len(page.rejects),
    )  # fmt: skip
    store().store([Batch(ledger=ledger, series=page.series, rejects=page.rejects)])


@lru_cache(maxsize=8)
def items(label: str) -> list[RateLimitItem]:
    """A key's windows as the library's items, the shortest first."""
    windows = next(one.windows for one in keys("polygon") if one.label == label)
    some = sorted(windows, key=lambda window: window.window_ms)
    return [RateLimitItemPerSecond(window.count, window.window_ms // 1000) for window in some]


def free_lock(key: KeyLimits) -> Lock | None:
    """One of as many locks as calls may be open; None when all are held."""
    for number in range(key.concurrency or 0):
        lock = redis().lock(f"open:{key.label}:{number}", timeout=30)
        if lock.acquire(blocking=False):
            return lock
    return None


def release(lock: Lock | None) -> None:
    try:
        if lock is not None:
            lock.release()
    except LockError:
        return  # the lock had expired, and the next caller holds it


@lru_cache(maxsize=1)
def limiter() -> MovingWindowRateLimiter:
    return MovingWindowRateLimiter(RedisStorage(redis_url().text))


@lru_cache(maxsize=1)
def redis() -> Redis:
    return Redis.from_url(redis_url().text)


@lru_cache(maxsize=1)
def session() -> requests.Session:
    return requests.Session()


@lru_cache(maxsize=1)
def store() -> Store:
    opened = open_store(database_url())
    opened.create()
    return opened
