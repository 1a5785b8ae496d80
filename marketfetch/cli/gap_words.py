"""What `marketfetch gaps` says of the reasons of gaps, and of the stretches that sessions of intraday bars lack."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Final

import click

from marketfetch.cli.screen import hint, table
from marketfetch.phrases import counted

if TYPE_CHECKING:
    from marketfetch.ops.missing_minutes import Stretch
    from marketfetch.ops.missing_sessions import Found

#: Characters of a reason in the table; `--json` has all of it.
SHOWN: Final = 60
#: What another call may bring, unless the vendor has refused the request. What it has confirmed not to have is shown too.
MENDABLE: Final = ("never asked", "failed", "rejected")


def sums(by_reason: Mapping[str, int]) -> str:
    """`2 never asked, 1 vendor has none`."""
    return ", ".join(f"{by_reason[why]:,} {why}" for why in (*MENDABLE, "vendor has none") if by_reason.get(why))


def print_stretches(all_found: Found, limit: int) -> None:
    """A table of the stretches: first what a call may bring."""
    found = all_found.stretches
    if found:
        by_reason = Counter[str](one.why for one in found)
        bars = counted(sum(one.bars for one in found), "bar")
        click.echo(f"{counted(len(found), 'stretch', 'stretches')} of sessions that have bars lack {bars}: {sums(by_reason)}.")
        rows: list[tuple[str, ...]] = [("vendor", "symbol", "bars", "session", "from", "to", "missing", "why", "more")]
        rows += [_cells(one) for one in sorted(found, key=lambda one: one.why not in MENDABLE)[:limit]]
        table(rows, elastic={"more": 20, "symbol": 12}, go=("more", "bars", "vendor"))
        zones = ", ".join(sorted({one.zone for one in found}))
        hint(f"Times of stretches are those of the exchange: {zones}.")
    if len(found) > limit:
        hint(f"{limit:,} of {counted(len(found), 'stretch', 'stretches')} are listed: --limit lists more, --json all.")
    if all_found.outside:
        hint(
            f"Outside of the regular hours {counted(all_found.outside, 'session')} may lack bars, of which the vendor has not "
            f"said that it has none: --extended lists them."
        )


def _cells(one: Stretch) -> tuple[str, ...]:
    from marketfetch.documents.series_documents import reason_of_gap
    from marketfetch.printable import printable
    from marketfetch.vendors.times import zone_info

    zone = zone_info(one.zone)
    return (
        one.provider,
        printable(one.symbol, most=SHOWN),
        f"{one.timespan} {one.adjustment}".rstrip(),
        str(one.day),
        _clock(one.begin_ms, zone),
        _clock(one.end_ms, zone),
        f"{one.bars:,} of {one.possible:,}{' extended' if one.extended else ''}",
        one.why,
        printable(reason_of_gap(one), most=SHOWN),
    )


def _clock(at_ms: int, zone: tzinfo) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, zone):%H:%M}"
