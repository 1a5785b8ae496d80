"""`marketfetch gaps`: sessions, and stretches of sessions, without a stored bar, with the reason, as a table or as JSON."""

from __future__ import annotations

import json
import math
from collections import Counter
from datetime import date
from typing import TYPE_CHECKING

import click

from marketfetch.cli import completing
from marketfetch.cli.days import range_options
from marketfetch.cli.durations import LENGTH
from marketfetch.cli.exit_codes import FAILED, OK
from marketfetch.cli.gap_words import SHOWN, print_stretches, sums
from marketfetch.cli.known_words import ADJUSTMENT, TIMESPAN
from marketfetch.cli.screen import hint, table
from marketfetch.phrases import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from marketfetch.jobs.gap_repair import RepairJob
    from marketfetch.ops.missing_sessions import Chosen, Found, Gap


@click.command()
@click.argument("words", metavar="[PROVIDER] [SYMBOLS]...", nargs=-1, shell_complete=completing.vendors_then_symbols)
@click.option(
    "--timespan", type=TIMESPAN, help="Only bars of this length: 1m 5m 15m 30m 1h 1d 1w 1mo.  [default: all that are stored]"
)
@click.option("--adjustment", type=ADJUSTMENT, help="Only raw, split or split_dividend.")
@range_options(start_default="each series' first day", end_default="each series' last day")
@click.option(
    "--stretch",
    type=LENGTH,
    default="30m",
    show_default=True,
    help="Of intraday bars, count stretches of this length or more.",
)
@click.option("--extended", is_flag=True, help="Of intraday bars, those before the open and after the close count too.")
@click.option("--repair", "repairing", is_flag=True, help="Submit jobs for what a call may bring, and for nothing else.")
@click.option("--all", "all_of_them", is_flag=True, help="With --repair: also what the vendor has none of, or refused.")
@click.option("--limit", type=click.IntRange(0, 100_000), default=50, show_default=True, help="List so many gaps.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, with every gap.")
@click.pass_context
def gaps(
    ctx: click.Context,
    *,
    words: tuple[str, ...],
    timespan: str | None,
    adjustment: str | None,
    start: date | None,
    end: date | None,
    stretch: float,
    extended: bool,
    repairing: bool,
    all_of_them: bool,
    limit: int,
    as_json: bool,
) -> None:
    """Show which sessions have no stored bar, and why: of a vendor, of SYMBOLS, or of all that is stored. Calls no vendor.

    Each series is compared with its own calendar: an exchange's sessions, currencies from Sunday to Friday, crypto every day;
    from its first to its last known day, and only as far as bars are final. Of intraday bars a session is missing when none of
    its bars is stored. Of one that has bars, the stretches without a bar are listed: those of --stretch and longer, since
    minutes without a trade are normal. Breaks and early closes are known. The reasons are

    \b
    never asked      no reply has covered the session, or only one from before it was final
    failed           the request for it failed
    rejected         rows of the reply for it failed a check (`marketfetch rejects`)
    vendor has none  a final reply covered it, and had no bar

    Exits with 1 if a call may bring what is missing, which is so for the first three reasons, unless the vendor has refused the
    request, such as one for a symbol that it does not know; with 0 if nothing is, and after --repair. Extended hours count with
    --extended.
    """
    from marketfetch.documents.series_documents import gaps_document
    from marketfetch.exceptions import BadRequestError
    from marketfetch.frames.stored_bars import reading
    from marketfetch.jobs.gap_repair import can_mend
    from marketfetch.ops.missing_sessions import find

    chosen = _chosen(words, timespan, adjustment, start, end, math.ceil(stretch / 60), extended=extended)
    with reading() as store:
        try:
            found = find(store, chosen)
        except BadRequestError:
            _check_vendor(words, chosen)
            raise
    if all_of_them and not repairing:
        raise click.UsageError("--all says what --repair asks for: write both")
    jobs = _repaired(found, all_of_them=all_of_them) if repairing else None
    mendable = any(can_mend(one) for one in found.missing)
    if as_json:
        click.echo(json.dumps(gaps_document(found, jobs)))
    else:
        _print(found, limit, advise=mendable and not repairing)
        _print_jobs(jobs or ())
    ctx.exit(FAILED if mendable and not repairing else OK)


def _repaired(found: Found, *, all_of_them: bool) -> list[RepairJob]:
    from marketfetch.cli.owner import is_system_user, owner
    from marketfetch.jobs.gap_repair import can_mend, repair

    chosen = [one for one in found.missing if all_of_them or can_mend(one)]
    if not chosen and found.missing:
        hint("No call can bring these sessions, so nothing was submitted: --all asks for them all the same.")
    return repair(chosen, owner=owner(), keys_without_owner=is_system_user())


def _print_jobs(jobs: Sequence[RepairJob]) -> None:
    for one in jobs:
        click.echo(
            f"job {one.job.job_id}: {counted(one.job.requests, 'request')} to {one.provider} for "
            f"{counted(one.sessions, 'session')} of {counted(one.symbols, 'symbol')}."
        )


def _chosen(
    words: tuple[str, ...],
    timespan: str | None,
    adjustment: str | None,
    start: date | None,
    end: date | None,
    stretch_minutes: int,
    *,
    extended: bool,
) -> Chosen:
    """The series that are meant. Raises BadRequestError."""
    from marketfetch.cli.symbol_list import symbols_of, with_universes
    from marketfetch.exceptions import BadRequestError
    from marketfetch.frames.choosing import wish
    from marketfetch.ops.missing_sessions import Chosen
    from marketfetch.vendors import names

    provider = words[0] if words and words[0] in names() else None
    symbols = with_universes(symbols_of(words[1:] if provider else words)) or None
    wish(symbols, timespan=timespan, provider=provider, adjustment=adjustment, written="--{name} {value}")
    if start and end and start > end:
        raise BadRequestError(f"The range begins ({start}) after its end ({end}): write the earlier one as the start.")
    among = None if symbols is None else frozenset(symbols)
    return Chosen(provider, among, timespan, adjustment, start, end, stretch_minutes, extended)


def _check_vendor(words: tuple[str, ...], chosen: Chosen) -> None:
    """Raises WrongValueError where the first word, of which nothing is stored, was to name a vendor."""
    from marketfetch.exceptions import WrongValueError
    from marketfetch.suggestions import did_you_mean
    from marketfetch.vendors import names, unknown

    if words and chosen.provider is None and did_you_mean(words[0].lower(), names()):
        raise WrongValueError(unknown(words[0]))


def _print(found: Found, limit: int, *, advise: bool) -> None:
    from marketfetch.jobs.gap_repair import is_refused

    by_reason: Counter[str] = Counter()
    for gap in found.gaps:
        by_reason[gap.why] += gap.sessions
    compared = f"{counted(found.sessions, 'session')} of {counted(found.series, 'series', 'series')}"
    if not found.gaps:
        click.echo(f"No session is missing among {compared}.")
    else:
        click.echo(f"{counted(sum(by_reason.values()), 'session')} missing among {compared}: {sums(by_reason)}.")
        rows: list[tuple[str, ...]] = [("vendor", "symbol", "bars", "from", "to", "sessions", "why", "more")]
        rows += [_cells(one) for one in found.gaps[:limit]]
        table(rows, elastic={"more": 20, "symbol": 12}, go=("more", "bars", "vendor"))
    print_stretches(found, limit)
    for sentence in found.notes:
        hint(sentence)
    if len(found.gaps) > limit:
        hint(f"{limit:,} of {counted(len(found.gaps), 'gap')} are listed: --limit lists more, --json all.")
    if any(is_refused(one) for one in found.missing):
        hint(
            "No call brings sessions whose request the vendor has refused (UnknownSymbol, NotEntitled, BadRequest, Gone): the "
            "exit code does not count them. --repair --all asks for them all the same."
        )
    if advise:
        hint("The same command with --repair asks for what a call may bring, and for nothing else.")


def _cells(gap: Gap) -> tuple[str, ...]:
    from marketfetch.documents.series_documents import reason_of_gap
    from marketfetch.printable import printable

    bars = f"{gap.timespan} {gap.adjustment}".rstrip()
    more = printable(reason_of_gap(gap), most=SHOWN)
    return (
        gap.provider,
        printable(gap.symbol, most=SHOWN),
        bars,
        str(gap.first),
        str(gap.last),
        f"{gap.sessions:,}",
        gap.why,
        more,
    )
