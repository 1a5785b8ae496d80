"""A batch's rows for the tables `ledger` and `rejects`. Text from vendors is made storable: one letter that a database
can't hold must not keep a whole batch from being stored."""

from __future__ import annotations

from typing import Any

from marketfetch.schemas.ledger import Batch


def storable(text: str) -> str:
    """`text` with NUL (Postgres has none) and lone surrogates (not UTF-8) written as escapes."""
    return text.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode()


def request_row(batch: Batch) -> tuple[Any, ...]:
    """The ledger row as (request_id, root, page, provider, symbol, outcome, reason, rows, rejects, key_label, calls,
    final_to, called_at_ms, next_cursor)."""
    row = batch.ledger
    final_to = batch.covered[0].final_to if batch.covered else None
    return (
        *(row.request_id, row.root, row.page, row.provider, storable(row.symbol), row.outcome, storable(row.reason)),
        *(row.rows, row.rejects, row.key_label, row.calls, final_to.isoformat() if final_to else None),
        *(row.called_at_ms, row.next_cursor and storable(row.next_cursor)),
    )


def reject_rows(batch: Batch) -> list[tuple[str, str, str, int, str, str, str]]:
    """The rejects as (request_id, provider, symbol, row, field, value, reason)."""
    row = batch.ledger
    return [
        (
            *(row.request_id, row.provider, storable(bad.symbol or row.symbol)),
            *(bad.row, bad.field, storable(bad.value), storable(bad.reason)),
        )
        for bad in batch.rejects
    ]
