"""An app that uses marketfetch, as its authors write it: no line of it is for tests."""

from __future__ import annotations

from datetime import date

from celery import Celery
from marketfetch.tasks.fetch import polygon
from marketfetch.tasks.store import store_batch

import marketfetch

app = Celery("reports", broker="redis://reports.invalid", backend="cache+memory://")
JANUARY = {"start": "2024-01-02", "end": "2024-01-31"}


def load(symbols: list[str]) -> marketfetch.JobStatus:
    """Fetches January of these symbols."""
    job = marketfetch.submit("polygon", symbols, start=date(2024, 1, 2), end=date(2024, 1, 31))
    return marketfetch.wait(job.job_id, timeout_s=5)


def highest_close(symbol: str) -> float:
    """The highest close of what is stored."""
    return float(marketfetch.bars(symbol)["close"].max())


@app.task(name="reports.told")
def told(reference: dict[str, object]) -> str:
    """The last link of a chain."""
    return f"{reference['symbol']}: {reference['rows']} rows"


def chained(symbol: str) -> str:
    """A chain from the vendor to a task of this app."""
    result = (polygon.s(symbol, **JANUARY) | store_batch.s() | told.s()).apply_async()
    return str(result.get(timeout=60))
