"""Databases with bars, on SQLite and Postgres, and settings that name them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest

from marketfetch import settings
from marketfetch.schemas.bars import BarColumns, BarSeries
from marketfetch.schemas.ledger import Batch, LedgerRow
from marketfetch.schemas.timespans import Adjustment, Timespan
from marketfetch.storage import open_store
from marketfetch.storage.store import Store
from tests.storage.conftest import postgres_url, store, url  # noqa: F401 (pytest finds the fixtures here)

DAY_MS = 86_400_000
#: Midnight of 2 January 2024 in New York.
JANUARY_2 = 1_704_171_600_000

Keep = Callable[..., BarColumns]


def columns_of(ts: Sequence[int] | np.ndarray, *, nulls: int = 0, seed: int = 0) -> BarColumns:
    """Random bars; the first `nulls` of them have a close alone."""
    random = np.random.default_rng(seed)
    close = np.round(100 + random.normal(size=len(ts)).cumsum() * 0.1, 2)
    absent = np.arange(len(ts)) < nulls
    of = {name: np.where(absent, np.nan, close + add) for name, add in (("open", 0.1), ("high", 1), ("low", -1), ("vwap", 0))}
    whole = np.where(absent, np.nan, random.integers(1, 10**6, len(ts)).astype(np.float64))
    last = np.arange(len(ts)) == len(ts) - 1
    return BarColumns.build(np.array(ts, dtype=np.int64), partial=last, close=close, volume=whole, trades=whole, **of)


def kept(
    into: Store,
    symbol: str,
    bars: BarColumns,
    *,
    provider: str = "polygon",
    timespan: Timespan = "1d",
    adjustment: Adjustment = "split",
    zone: str = "",
) -> BarColumns:
    name = f"{provider}-{symbol}-{timespan}-{adjustment}"
    row = LedgerRow(name, name, 0, provider, symbol, "stored", rows=len(bars), calls=1, called_at_ms=1)
    assert into.store([Batch(row, (BarSeries(provider, symbol, timespan, adjustment, bars, zone),))]) == [True]
    return bars


@pytest.fixture
def keep(store: Store) -> Keep:  # noqa: F811
    """Stores bars of a symbol; returns them."""
    return lambda symbol, bars, **more: kept(store, symbol, bars, **more)


@pytest.fixture
def configured(url: str, store: Store, tmp_path, monkeypatch) -> Iterator[str]:  # noqa: F811
    """The settings name the test's database."""
    monkeypatch.chdir(tmp_path)
    with settings.override({"MARKETFETCH_DATABASE_URL": url}):
        yield url


@pytest.fixture
def in_sqlite(tmp_path, monkeypatch) -> Iterator[Keep]:
    """The same, for what does not depend on the database."""
    monkeypatch.chdir(tmp_path)
    made = open_store(f"sqlite:///{tmp_path}/bars.db")
    made.create()
    with settings.override({"MARKETFETCH_DATABASE_URL": f"sqlite:///{tmp_path}/bars.db"}):
        yield lambda symbol, bars, **more: kept(made, symbol, bars, **more)
    made.close()
