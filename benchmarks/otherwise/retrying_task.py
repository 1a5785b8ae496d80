"""A Celery task that calls, and retries later where the vendor refuses: `self.retry(countdown)`."""

from __future__ import annotations

import sys
from typing import Any

import requests
from celery import Celery

from benchmarks.otherwise.wish import SYMBOLS, WINDOW_S, append, headers, redis_url, url

app = Celery("retrying", broker=redis_url())
app.conf.update(task_default_queue="retrying", task_ignore_result=True, broker_connection_retry_on_startup=True)


@app.task(name="fetch", bind=True, max_retries=None)  # type: ignore[untyped-decorator]  # Celery is untyped
def fetch(self: Any, symbol: str) -> None:
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
