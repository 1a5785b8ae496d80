"""Any sequence of batches leaves in both stores what a few lines of plain Python say."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marketfetch.schemas.ledger import Batch
from tests.storage.batches import batch

SYMBOLS = ("AAPL", "IBM")
VALUES = st.sampled_from([1.0, 2.0, 3.0])

batches = st.builds(
    lambda number, symbol, bars, fetched, volume, partial: batch(
        f"r{number:02}", bars, symbol=symbol, fetched=fetched, volume=volume, partial=partial
    ),
    st.integers(0, 30),
    st.sampled_from(SYMBOLS),
    st.dictionaries(st.integers(-3, 4), VALUES, min_size=1),
    st.integers(1, 5),
    st.sampled_from([math.nan, 7.0]),
    st.lists(st.integers(-3, 4), max_size=2),
)


class Model:
    """Bars by symbol and time; the newest fetched wins, an equal value changes nothing."""

    def __init__(self) -> None:
        self.over: set[str] = set()
        self.bars: dict[tuple[str, int], tuple[float, float | None, bool, int, str]] = {}

    def store(self, together: list[Batch]) -> list[bool]:
        answers = [False] * len(together)
        for i in sorted(range(len(together)), key=lambda i: together[i].ledger.request_id):
            row = together[i].ledger
            if row.request_id in self.over:
                continue
            self.over.add(row.request_id)
            answers[i] = True
            for series in together[i].series:
                b = series.bars
                rows = zip(b.ts.tolist(), b.close.tolist(), b.volume.tolist(), b.partial.tolist(), strict=True)
                for ts, close, volume, partial in rows:
                    values = (close, None if math.isnan(volume) else volume, partial)
                    old = self.bars.get((series.symbol, ts))
                    if old is None or (old[3] <= row.called_at_ms and old[:3] != values):
                        self.bars[series.symbol, ts] = (*values, row.called_at_ms, row.request_id)
        return answers


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls=st.lists(st.lists(batches, min_size=1, max_size=4), max_size=8))
def test_a_store_holds_what_the_model_says(store: Any, calls: list[list[Batch]]) -> None:
    _empty(store)
    model = Model()
    for together in calls:
        assert store.store(together) == model.store(together)
    ms = store.database.spelling.ms
    sql = f"SELECT symbol, {ms('ts')}, close, volume, partial, {ms('fetched_at')}, request_id FROM bars"
    found = store.database.read(sql)
    assert {(symbol, ts): (c, v, bool(p), f, r) for symbol, ts, c, v, p, f, r in found} == model.bars
    assert {row[0] for row in store.database.read("SELECT request_id FROM ledger")} == model.over


def _empty(store: Any) -> None:
    from marketfetch.storage.postgres.database import PostgresDatabase

    if isinstance(store.database, PostgresDatabase):
        store.database.run(lambda db: db.execute("TRUNCATE bar_rows, ledger, rejects, series"))
    else:
        with store.database.transaction() as db:
            for table in ("bar_rows", "ledger", "rejects", "series"):
                db.execute(f"DELETE FROM {table}")
