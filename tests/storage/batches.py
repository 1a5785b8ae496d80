"""Small batches to store, and what a store holds, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from marketfetch.schemas.bars import BarColumns, BarSeries
from marketfetch.schemas.ledger import Batch, LedgerRow, Outcome
from marketfetch.schemas.page import Reject

DAY_MS = 86_400_000


def bars(closes: dict[int, float], *, partial: Sequence[int] = (), **columns: float) -> BarColumns:
    """Bars by timestamp and close; `columns` are the same for all of them."""
    ts = np.array(sorted(closes), dtype=np.int64)
    floats = {name: np.full(len(ts), value) for name, value in columns.items()}
    return BarColumns.build(
        ts, close=np.array([closes[int(t)] for t in ts]), partial=np.isin(ts, np.array(partial, dtype=np.int64)), **floats
    )


def batch(
    request_id: str,
    closes: dict[int, float] | None = None,
    *,
    symbol: str = "AAPL",
    fetched: int = 1_000,
    outcome: Outcome = "stored",
    reason: str = "",
    next_cursor: str | None = None,
    rejects: tuple[Reject, ...] = (),
    partial: Sequence[int] = (),
    **columns: float,
) -> Batch:
    root, _, page = request_id.partition("/")
    row = LedgerRow(
        request_id, root, int(page or 0), "polygon", symbol, outcome, reason=reason, rows=len(closes or {}),
        rejects=len(rejects), key_label="key-1", calls=1, called_at_ms=fetched, next_cursor=next_cursor,
    )  # fmt: skip
    held = (BarSeries("polygon", symbol, "1d", "split", bars(closes, partial=partial, **columns)),) if closes else ()
    return Batch(row, held, rejects)


def closes(store: Any, symbol: str = "AAPL") -> dict[int, float]:
    """The stored closes of a symbol by timestamp in Unix ms."""
    ms = store.database.spelling.ms
    return dict(store.database.read(f"SELECT {ms('ts')}, close FROM bars WHERE symbol = ? ORDER BY ts", symbol))


def count(store: Any, table: str) -> int:
    return int(store.database.read(f"SELECT count(*) FROM {table}")[0][0])
