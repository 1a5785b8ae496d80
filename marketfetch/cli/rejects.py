"""`marketfetch rejects`: the rows that failed a check, counted by reason first, then the latest of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import click

from marketfetch.cli import completing
from marketfetch.cli.screen import hint, json_option, table
from marketfetch.phrases import counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from marketfetch.jobs.refused_rows import RefusedRows

#: Characters of a value in the table; `--json` has all 200 that are kept.
_SHOWN: Final = 40
#: The words that are cut on a narrow terminal, and to how many characters. The counts above the rows have whole reasons.
_ELASTIC: Final = {"symbol": 10, "field": 10, "value": 8, "reason": 20}
#: Reasons for which it is said what to do.
_ADVISED: Final = 3


@click.command()
@click.argument("what", metavar="[JOB|PROVIDER|SYMBOL]", required=False, default="", shell_complete=completing.jobs)
@click.option("--reason", default="", help="Only rejects whose field and reason contain this text, such as 'low is above'.")
@click.option("--limit", type=click.IntRange(0, 10_000), default=20, show_default=True, help="List so many of the latest rows.")
@json_option
def rejects(*, what: str, reason: str, limit: int, as_json: bool) -> None:
    """Show the rows that failed a check and are not stored: of a job, a vendor, a symbol, or all.

    Counts by reason come first, then the latest rows with field, value, reason, time and request. The first hundred rows of
    each reason of a reply are kept; the counts of a job and of a vendor include the others. docs/rows.md says what each check
    is for.
    """
    from marketfetch.documents.reject_documents import cleaner, rejects_document
    from marketfetch.jobs.refused_rows import refused_rows

    found = refused_rows(what, reason=reason, limit=limit)
    if as_json:
        click.echo(json.dumps(rejects_document(found)))
        return
    if not found.kept:
        _say_none(found)
        return
    clean = cleaner()
    click.echo(f"{_title(found, clean)}.")
    rows = [("rows", "symbols", "field", "reason")]
    rows += [(f"{one.rows:,}", f"{one.symbols:,}", clean(one.field), clean(one.reason)) for one in found.reasons]
    table(rows)
    if found.rows:
        click.echo("")
        table(_lines(found, clean), elastic=_ELASTIC, go=("row", "vendor", "request", "value"))
    _hints(found, clean)


def _title(found: RefusedRows, clean: Callable[[str], str]) -> str:
    contains = f" for a reason with {found.choice.reason!r}" if found.choice.reason else ""
    left = f", of which {found.kept:,} are kept" if found.rejected > found.kept else ""
    return f"{clean(found.what)}: {counted(found.rejected, 'rejected row')}{left}{contains}"


def _lines(found: RefusedRows, clean: Callable[[str], str]) -> list[tuple[str, ...]]:
    from marketfetch.documents.reject_documents import utc

    lines: list[tuple[str, ...]] = [("when (UTC)", "vendor", "symbol", "row", "field", "value", "reason", "request")]
    for one in found.rows:
        when = f"{utc(one.rejected_ms):%Y-%m-%d %H:%M:%S}"
        value = clean(one.value)
        short = value if len(value) <= _SHOWN else f"{value[: _SHOWN - 3]}..."
        texts = (clean(one.field), short, clean(one.reason), one.request_id)
        lines.append((when, one.provider, clean(one.symbol), str(one.row), *texts))
    return lines


def _say_none(found: RefusedRows) -> None:
    from marketfetch.jobs.lookup import recorded

    if found.choice.reason:
        hint(f"No rejected row of {found.what} has {found.choice.reason!r} in its field or reason.")
    elif found.rejected:
        hint(f"{counted(found.rejected, 'row')} of {found.what} failed a check, and none of their values is kept any more.")
    else:
        hint(f"No row of {found.what} was rejected, as far as {recorded().database.where} knows.")


def _hints(found: RefusedRows, clean: Callable[[str], str]) -> None:
    """Says what there is more of, and what to do."""
    from marketfetch.schemas.check_advice import advice

    if len(found.rows) < found.kept:
        hint(f"{len(found.rows):,} of {counted(found.kept, 'kept row')} are listed: --limit and --reason choose others.")
    for one in found.reasons[:_ADVISED]:
        hint(f"{clean(one.field)}, {clean(one.reason)}: {advice(one.reason)}.")
    again = f" `marketfetch retry {found.choice.job_id}` makes its failed requests again." if found.choice.job_id else ""
    hint(f"These rows are not stored; the good rows of the same replies are.{again}")
