"""Text from vendors, made storable: a letter that a database can't hold must not keep a whole batch from being stored."""

from __future__ import annotations

from marketfetch.schemas.ledger import Batch


def storable(text: str) -> str:
    """`text` with NUL (Postgres has none) and lone surrogates (not UTF-8) written as escapes."""
    return text.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode()


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
