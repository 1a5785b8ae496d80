"""`marketfetch status --freshness`: the series that are behind their calendar, worst first."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import click

from marketfetch.cli.exit_codes import FAILED, OK
from marketfetch.cli.screen import hint, table
from marketfetch.phrases import counted

#: Sentences about listings: a market has many that have ended.
_MOST_LISTINGS: Final = 5

if TYPE_CHECKING:
    from marketfetch.ops.staleness import Freshness


def show_freshness(*, limit: int, as_json: bool) -> int:
    """Prints which series are stale; returns the exit code: 1 if a call may mend one."""
    from marketfetch.documents.series_documents import freshness_document
    from marketfetch.frames.stored_bars import reading
    from marketfetch.ops.staleness import freshness

    with reading() as store:
        found = freshness(store)
    stale = [one for one in found.stale if not one.over]
    if as_json:
        click.echo(json.dumps(freshness_document(found)))
    else:
        _print(found, len(stale), limit)
    return FAILED if stale or found.adjusted else OK


def _print(found: Freshness, stale: int, limit: int) -> None:
    from marketfetch.ops.adjusted_diagnosis import stale_sentences
    from marketfetch.printable import printable

    ended = len(found.stale) - stale
    words = f"{counted(found.fresh + len(found.stale), 'series', 'series')}: {found.fresh:,} fresh, {stale:,} stale"
    click.echo(f"{words}{f', {ended:,} of which the vendor has no more' if ended else ''}.")
    rows: list[tuple[str, ...]] = [("sessions", "vendor", "symbol", "bars", "last bar", "due", "more")]
    for one in found.stale[:limit]:
        bars = f"{one.timespan} {one.adjustment}"
        last = "none final" if one.last is None else str(one.last)
        none = f"vendor has none, asked on {datetime.fromtimestamp(one.none_at_ms / 1000, UTC):%Y-%m-%d}"
        why = none if one.vendor_has_none else "delisted" if one.delisted else ""
        rows.append((f"{one.sessions:,}", one.provider, printable(one.symbol, most=40), bars, last, str(one.due), why))
    if len(rows) > 1:
        table(rows, elastic={"more": 15, "symbol": 12}, go=("more", "bars", "vendor"))
    for sentence in (*stale_sentences(found.adjusted), *found.notes):
        hint(sentence)
    for one in [one for one in found.stale[:limit] if one.listing][:_MOST_LISTINGS]:
        hint(f"{printable(one.symbol, most=40)} {one.listing}.")
    if len(found.stale) > limit:
        hint(f"{limit:,} of {counted(len(found.stale), 'series', 'series')} are listed: --limit lists more, --json all.")
