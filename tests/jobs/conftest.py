"""Jobs in this process: an empty Redis, an empty database, a key without limits, and a clock that stands still for wishes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from marketfetch import connections
from marketfetch.jobs import planning
from marketfetch.settings import override


@pytest.fixture
def emptied(redis: Any, valkey_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Empties Redis and the database that the settings name, as often as it is called."""
    monkeypatch.setattr(planning, "wished_at", lambda: datetime(2024, 2, 1, 10, 15, tzinfo=UTC))
    variables = {
        "MARKETFETCH_REDIS_URL": valkey_url,
        "MARKETFETCH_PROVIDERS__POLYGON__API_KEYS": "main:secret",
        "MARKETFETCH_PROVIDERS__POLYGON__LIMITS": "[]",
        "MARKETFETCH_WHOLE_MARKET_FROM": "0",
        "MARKETFETCH_DATABASE_URL": f"sqlite:///{tmp_path}/bars.db",
    }

    def empty() -> None:
        redis.flushall()
        connections.store().database.change(delete)

    def delete(execute: Any) -> None:
        for table in ("jobs", "job_requests", "ledger", "series", "bar_rows", "coverage", "jobs_to_cover"):
            execute(f"DELETE FROM {table}")

    caches = (connections._store, connections._gate, connections._redis)
    with override(variables):
        for cache in caches:
            cache.cache_clear()
        yield empty
        connections.store().close()
        connections.redis().close()
    for cache in caches:
        cache.cache_clear()
