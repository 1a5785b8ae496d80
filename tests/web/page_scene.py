"""What the pages show in tests and pictures: jobs in every state, keys that wait, bars with a gap and a split."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from marketfetch import configured, connections, settings_in_force
from marketfetch.configured import keys
from marketfetch.jobs.steering import cancel
from marketfetch.jobs.submission import submit
from marketfetch.ops import changing_settings, dead_letters, workers
from marketfetch.schemas.bars import BarColumns, BarSeries
from marketfetch.schemas.ledger import Batch, LedgerRow
from marketfetch.schemas.record_kinds import Records
from marketfetch.schemas.rejects import Reject
from marketfetch.settings import override
from marketfetch.vendors.expected_days import date_of, expected_days, unix_day

NEW_YORK = ZoneInfo("America/New_York")
MORE = [f"{one}{other}" for one in "ABCDEFGH" for other in "KLMN"]
SYMBOLS = ["AAPL", "AMZN", "BRK.B", "GOOG", "JPM", "META", "MSFT", "NFLX", "NVDA", "ORCL", "TSLA", "V", "WMT", "XOM"]
SCHEDULES = """
[[schedule]]
name = "nightly-us"
provider = "polygon"
symbols = ["AAPL", "MSFT", "NVDA"]
when = "every 6h"

[[schedule]]
name = "weekly-fx"
provider = "alpha_vantage"
symbols = ["EUR/USD"]
when = "cron 0 22 * * sun"
"""


def variables(redis_url: str, folder: Path) -> dict[str, str]:
    """The settings of the scene; schedules stand in a file of the working directory."""
    (folder / "marketfetch.toml").write_text(SCHEDULES)
    return {
        "MARKETFETCH_REDIS_URL": redis_url,
        "MARKETFETCH_DATABASE_URL": f"sqlite:///{folder}/bars.db",
        "MARKETFETCH_WHOLE_MARKET_FROM": "0",
        "MARKETFETCH_PROVIDERS__POLYGON__API_KEYS": '["main:k-1-x", "spare:k-2-x", "old:k-3-x"]',
        "MARKETFETCH_PROVIDERS__POLYGON__LIMITS": '["5/minute", "500/day@America/New_York"]',
        "MARKETFETCH_PROVIDERS__ALPHA_VANTAGE__API_KEYS": "free:k-4-x",
    }


#: What was changed at run time, and by whom; the last change is undone. The limits stand in the environment, which wins.
CHANGES: tuple[tuple[str, object, str], ...] = (
    ("universes.watchlist", ["AAPL", "MSFT"], "ann"),
    ("universes.watchlist", ["AAPL", "MSFT", "NVDA"], "ben"),
    ("providers.polygon.limits", ["5/minute"], "ben"),
    ("max_reject_share", 0.3, "ann"),
)


@dataclass(frozen=True)
class Scene:
    """The ids of its jobs."""

    running: str
    failed: str
    cancelled: str
    done: str


@contextmanager
def a_scene(redis: Any, redis_url: str, folder: Path) -> Iterator[Scene]:
    """The scene in an empty Redis and a new database; the working directory is `folder` meanwhile."""
    redis.flushall()
    of_settings, before = (configured.keys, configured.options), Path.cwd()
    caches = (connections._store, connections._gate, connections._redis, *of_settings)
    with override(variables(redis_url, folder)):
        for cache in caches:
            cache.cache_clear()
        os.chdir(folder)
        try:
            yield furnish(redis)
        finally:
            os.chdir(before)
            connections.store().close()
            connections.redis().close()
            settings_in_force.forget()
            for cache in caches:
                cache.cache_clear()


def furnish(redis: Any) -> Scene:
    """Fills the database and Redis that the settings name, which are empty."""
    connections.store().create()
    today = datetime.now(UTC).date()
    _bars(today)
    running = _job([*SYMBOLS, *MORE], today, name="nightly-us", tags=["eod"])
    failed, done = _job(["AAPL", "TSLA", "X-1"], today, owner="research"), _job(["MSFT"], today, owner="ann")
    cancelled = _job(["NFLX", "ORCL"], today - timedelta(days=30), owner="ann")
    end_requests(running, 21, rows=252, rejects=(Reject.of(17, "low", "191.20", "is above open or close", symbol="AAPL"),) * 3)
    end_requests(done, 9, rows=252)
    end_requests(failed, 1, rows=250)
    end_requests(failed, 9, failed="the vendor gave no usable answer: Unavailable: HTTP 503 five times in a row")
    cancel(cancelled)
    _keys(redis)
    workers.beat(redis, workers.HEARTBEAT + "here:1", ["polygon", "alpha_vantage", "nasdaq"])
    for name in (f"{workers.HEARTBEAT}here:1", "mf:releasers"):
        redis.persist(name)
    redis.hset("mf:releasers", f"{workers.HEARTBEAT}here:1", f"{time.time() + 86_400:.0f} polygon alpha_vantage nasdaq")
    dead_letters.bury(
        list_key="fetch.polygon", reason="it is no JSON", raw=b"{", size=1, task="tasks.fetch.polygon", task_id="7f31"
    )
    for name, value, who in CHANGES:
        changing_settings.put(name, value, who=who)
    changing_settings.undo(who="ann")
    return Scene(running, failed, cancelled, done)


def _job(symbols: list[str], end: date, **handle: Any) -> str:
    return submit("polygon", symbols, start=end - timedelta(days=365), end=end - timedelta(days=3), again=True, **handle).job_id


def end_requests(job: str, most: int, *, rows: int = 0, failed: str = "", rejects: tuple[Reject, ...] = ()) -> None:
    for number, one in enumerate(connections.store().unfinished(job, most)):
        now = time.time_ns() // 1_000_000 - 12_000 * number  # as 5/minute allows
        row = LedgerRow(
            one.root,
            one.root,
            0,
            "polygon",
            SYMBOLS[number % len(SYMBOLS)],
            "failed" if failed else "stored",
            reason=failed,
            rows=rows,
            rejects=0 if number else len(rejects),
            calls=1,
            called_at_ms=now,
            key_label="main",
        )
        connections.store().store([Batch(row, (), rejects=() if number else rejects)])
        connections.gate("polygon").withdraw([one.root], who=job)


def _keys(redis: Any) -> None:
    """Calls of two keys; one is paused, and one is set aside."""
    gate, (main, spare, _) = connections.gate("polygon"), keys("polygon")
    for key, room in ((main, 5), (spare, 2)):
        for number, grant in enumerate(gate.admit(room=room, most_granted=100, keys=[key]).grants):
            gate.start(grant.id, fence=grant.fence)
            gate.finish(grant.id, fence=grant.fence, batch=b"x", replied_ago_us=1_000 + 8_000_000 * number)
    gate.pause("spare", pause_ms=1_500_000, why="the vendor said Retry-After: 1500")
    redis.hset("mf:{polygon}:key:old", mapping={"aside": "Unknown API Key", "verdict": "Unknown API Key"})


def _bars(today: date) -> None:
    random = np.random.default_rng(7)
    days = expected_days("XNYS", "1d", unix_day(today) - 400, unix_day(today))
    for number, symbol in enumerate(SYMBOLS):
        lacks = {"AAPL": {150, 151, 152}, "TSLA": {len(days) - 20, len(days) - 9}}.get(symbol, set())
        kept = [n for n in range(len(days) - (number % 3 == 2) * 6) if n not in lacks]
        close = 120 + number * 20 + np.cumsum(random.normal(0.05, 1.6, len(days)))
        close = np.where(np.arange(len(days)) < 210, close * (4 if symbol == "AAPL" else 1), close)[kept]
        columns = {"open": close + random.normal(0, 1, len(kept)), "close": close}
        columns["high"] = np.maximum(columns["open"], close) + abs(random.normal(0, 0.8, len(kept)))
        columns["low"] = np.minimum(columns["open"], close) - abs(random.normal(0, 0.8, len(kept)))
        ts = np.array([midnight(date_of(int(days[n]))) for n in kept], dtype=np.int64)
        last = np.arange(len(kept)) == len(kept) - 1
        volume = np.round(random.lognormal(15, 0.4, len(kept)))
        store_bars(symbol, BarColumns.build(ts, partial=last & (symbol == "AAPL"), volume=volume, **columns))
    ex_date = date_of(int(days[210])).isoformat()
    row = LedgerRow(
        "splits", "splits", 0, "polygon", "AAPL", "stored", rows=1, calls=1, called_at_ms=time.time_ns() // 1_000_000
    )
    connections.store().store([Batch(row, records=Records("splits", (("AAPL", ex_date, 4.0, 1.0, ""),)))])


def store_bars(symbol: str, bars: BarColumns) -> None:
    root = f"bars-{symbol}-{bars.ts[0]}"
    row = LedgerRow(root, root, 0, "polygon", symbol, "stored", rows=len(bars), calls=1, called_at_ms=1)
    series = BarSeries("polygon", symbol, "1d", "raw", bars, "America/New_York")
    assert connections.store().store([Batch(row, (series,))]) == [True]


def midnight(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=NEW_YORK).timestamp() * 1000)
