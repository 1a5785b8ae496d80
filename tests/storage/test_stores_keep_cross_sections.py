"""A whole market's bars of a day are stored as its single series would be, on both databases."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from marketfetch.schemas.bars import FLOAT_COLUMNS, BarColumns
from marketfetch.schemas.cross_section import CrossSection
from marketfetch.schemas.ledger import Batch, LedgerRow
from marketfetch.storage import open_store
from marketfetch.storage.store import Store

DAY_MS = 86_400_000
NEW_YORK = "America/New_York"


def section(closes: dict[str, float], *, day: int = 0, partial: bool = False) -> CrossSection:
    n = len(closes)
    close = np.array(list(closes.values()))
    bars = BarColumns.build(
        np.full(n, day * DAY_MS, dtype=np.int64),
        partial=np.full(n, partial),
        open=close,
        close=close,
        vwap=np.where(np.arange(n) % 2, np.nan, close),
    )
    return CrossSection("polygon", tuple(closes), "1d", "raw", bars, NEW_YORK)


def batch(request_id: str, bars: CrossSection, *, fetched: int, apart: bool = False) -> Batch:
    row = LedgerRow(request_id, request_id, 0, "polygon", "*", "stored", rows=len(bars), calls=1, called_at_ms=fetched)
    return Batch(row, tuple(bars) if apart else bars)


def held(store: Store) -> list[tuple[Any, ...]]:
    ms = store.database.spelling.ms
    columns = ", ".join(
        ("symbol", "timespan", "adjustment", ms("ts"), *FLOAT_COLUMNS, "partial", "request_id", ms("fetched_at"))
    )
    return store.database.read(f"SELECT {columns}, CAST(date AS TEXT), zone FROM bars ORDER BY symbol, ts")


#: A market that changes: two days, a correction, an older reply that comes late, a symbol that leaves and one that is new.
STEPS = (
    ("a", section({"B": 2, "A": 1, "C": 3}, partial=True), 10),
    ("b", section({"A": 1.5, "B": 2, "D": 4}), 20),
    ("late", section({"A": 9, "E": 5}), 15),
    ("next", section({"A": 1.6, "B": 2.1}, day=1), 30),
    ("same", section({"A": 1.6, "B": 2.1}, day=1), 40),
)


def test_a_section_is_stored_as_its_series_would_be(store: Store, tmp_path: Any) -> None:
    with_series = open_store(f"sqlite:///{tmp_path}/apart.db")
    with_series.create()
    for name, bars, fetched in STEPS:
        assert store.store([batch(name, bars, fetched=fetched)]) == [True]
        assert store.store([batch(name, bars, fetched=fetched)]) == [False]
        with_series.store([batch(name, bars, fetched=fetched, apart=True)])
        assert held(store) == [(*row[:-4], row[-4], *row[-3:]) for row in held(with_series)], name
    with_series.close()
    # The second reply of the same bars has written none of them.
    assert {row[-4] for row in held(store) if row[3] == DAY_MS} == {"next"}
    assert {row[-1] for row in held(store)} == {NEW_YORK}


def test_sections_and_series_of_one_transaction_see_each_other(store: Store) -> None:
    one, two = section({"A": 1, "B": 2}), section({"A": 3, "C": 4})
    assert store.store([batch("a", one, fetched=10, apart=True), batch("b", two, fetched=20), batch("c", two, fetched=5)])
    assert [(row[0], row[7], row[-4]) for row in held(store)] == [("A", 3, "b"), ("B", 2, "a"), ("C", 4, "b")]


def test_more_symbols_than_a_statement_takes(store: Store) -> None:
    many = section({f"S{n:05}": 1.0 + n for n in range(1_234)})
    store.store([batch("a", many, fetched=10)])
    changed = many.bars.close.copy()
    changed[7] = 0.5
    store.store([batch("b", replace(many, bars=replace(many.bars, close=changed)), fetched=20)])
    rows = held(store)
    assert [row[7] for row in rows] == changed.tolist()
    assert [row[-4] for row in rows].count("b") == 1


@pytest.mark.parametrize("symbols", [(), ("A",)])
def test_a_section_is_a_sequence_of_series(symbols: tuple[str, ...]) -> None:
    some = section(dict.fromkeys(symbols, 1.0))
    assert [one.symbol for one in some] == list(symbols)
    assert all(one.bars.close.tolist() == [1.0] and one.zone == NEW_YORK for one in some)
    assert some[:1] == tuple(some)[:1] or some[0].symbol == "A"
