"""`marketfetch show --dataset splits`: stored records as a table, and as one JSON document."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, Final

import click

from marketfetch.cli.screen import hint, table
from marketfetch.phrases import counted

#: Columns that a table of a terminal leaves out: the JSON document has them.
_ALWAYS: Final = ("provider", "symbol")
_WIDEST: Final = 40


def show_records(
    symbol: str | None,
    dataset: str,
    *,
    provider: str | None,
    start: date | None,
    end: date | None,
    as_of: date | None,
    last: int,
    as_json: bool,
) -> None:
    """Prints the last rows of a dataset, of a symbol or of all. Calls no vendor."""
    from marketfetch.frames.empty_answers import why_none
    from marketfetch.frames.record_frames import rows_of
    from marketfetch.frames.record_questions import question
    from marketfetch.frames.stored_bars import reading

    asked = question(
        dataset,
        provider=provider,
        symbols=None if symbol is None else (symbol,),
        start=start,
        end=end,
        as_of=as_of,
        told=hint,
    )
    rows = rows_of(asked)
    shown = rows[-last:]
    if as_json:
        from marketfetch.documents.data_documents import shown_record

        click.echo(json.dumps({"dataset": dataset, "rows": [shown_record(one) for one in shown], "total": len(rows)}))
    if not rows:
        with reading("records") as store:
            hint(why_none(store, asked, dataset))
    if as_json or not rows:
        return
    print_rows([_flat(one) for one in shown])
    if len(shown) < len(rows):
        hint(f"The last {len(shown):,} of {counted(len(rows), 'row')}: --last shows more, `marketfetch export` writes all.")


def print_rows(rows: Sequence[Mapping[str, Any]]) -> None:
    """Prints rows by the names of their columns, without those that are empty in all of them."""
    from marketfetch.printable import printable

    names = list(dict.fromkeys(name for row in rows for name in row))
    shown = [name for name in names if name in _ALWAYS or any(row.get(name) not in (None, "") for row in rows)]
    lines = [[printable(_text(row.get(name)), most=_WIDEST) for name in shown] for row in rows]
    rest = [name for name in reversed(shown) if name not in _ALWAYS]
    table([shown, *lines], go=rest)


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row for the screen: the cells of a table as columns, and none of the times of the calls but the latest."""
    found = {
        name: value for name, value in row.items() if name not in ("row_key", "cells", "first_seen", "gone_at", "vendor_id")
    }
    fetched = found.pop("fetched_at")
    cells = json.loads(row["cells"]) if "cells" in row else {}
    if cells:
        found.pop("day", None)
    return {**found, **cells, "fetched_at": fetched}


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, float):
        return f"{value:g}" if abs(value) < 1e6 else f"{value:.2f}"
    return "" if value is None else str(value)
