"""`marketfetch compare`: two vendors' stored daily bars, session by session."""

from __future__ import annotations

import json
from datetime import date
from typing import TYPE_CHECKING

import click

from marketfetch.cli import completing
from marketfetch.cli.days import range_options
from marketfetch.cli.exit_codes import FAILED, OK
from marketfetch.cli.known_words import ADJUSTMENT
from marketfetch.cli.screen import hint, json_option, table
from marketfetch.cli.symbol_list import symbols_of
from marketfetch.phrases import counted

if TYPE_CHECKING:
    from marketfetch.frames.comparing import Comparison


@click.command()
@click.argument("left", metavar="PROVIDER", shell_complete=completing.providers)
@click.argument("right", metavar="OTHER", shell_complete=completing.providers)
@click.argument("symbols", metavar="SYMBOL...", nargs=-1, required=True, shell_complete=completing.symbols)
@range_options(start_default="the first day that both have", end_default="the last day that both have")
@click.option("--adjustment", type=ADJUSTMENT, help="raw, split or split_dividend.  [default: the first that both have]")
@click.option(
    "--tolerance",
    type=click.FloatRange(0, 1),
    default=0.005,
    show_default=True,
    help="The largest difference of a price, as a share of it, that is none.",
)
@click.option(
    "--least",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    help="A difference of a price of so much or less, in its own unit, is none either: 0.01 for a vendor that rounds to cents.",
)
@click.option(
    "--volume-tolerance",
    type=click.FloatRange(0, 1),
    default=0.1,
    show_default=True,
    help="The same for volumes, which vendors count otherwise: they are only counted.",
)
@click.option("--limit", type=click.IntRange(0, 100_000), default=20, show_default=True, help="List so many sessions.")
@json_option
@click.pass_context
def compare(
    ctx: click.Context,
    *,
    left: str,
    right: str,
    symbols: tuple[str, ...],
    start: date | None,
    end: date | None,
    adjustment: str | None,
    tolerance: float,
    least: float,
    volume_tolerance: float,
    limit: int,
    as_json: bool,
) -> None:
    """Compare the daily bars of SYMBOL, or of a universe (@NAME), that are stored of the vendors PROVIDER and OTHER.

    It makes no call. Sessions whose prices differ by more than the tolerance, those that a stored split explains, and those
    that one side lacks within the days that both cover. Exits with 1 if a session is left that no split explains.
    """
    from marketfetch.exceptions import BadRequestError
    from marketfetch.frames import comparing
    from marketfetch.ops.universes import to_read

    named = to_read(symbols_of(symbols), hint)
    found, missing = [], []
    for symbol in named.symbols:
        try:
            found.append(
                comparing.compare(
                    *(left, right, symbol),
                    adjustment=adjustment,
                    start=start,
                    end=end,
                    tolerance=tolerance,
                    least=least,
                    volume_tolerance=volume_tolerance,
                )
            )
        except BadRequestError as error:
            if symbol not in named.optional:
                raise
            missing.append(error)
    if missing and not found:
        raise missing[0]
    if missing:
        hint(f"{counted(len(missing), 'symbol')} of the universe can't be compared. The first one: {missing[0]}")
    if as_json:
        from marketfetch.documents.data_documents import comparisons

        click.echo(json.dumps(comparisons(found, limit)))
    else:
        for one in found:
            _tell(one, tolerance, volume_tolerance, limit)
    ctx.exit(FAILED if any(one.unexplained for one in found) else OK)


def _tell(one: Comparison, tolerance: float, volume_tolerance: float, limit: int) -> None:
    from marketfetch.documents.data_documents import explanations

    if one.first is None or one.last is None or one.first > one.last:
        hint(f"{one.symbol}: {one.left} and {one.right} have no day of this range in common.")
        return
    what = f"{one.symbol} {one.adjustment}, {one.first} to {one.last}"
    agree = one.sessions - len(one.disagreements)
    click.echo(f"{what}: {counted(one.sessions, 'session')} of both, {agree:,} agree within {tolerance:.2%}.")
    left = sum(not other.explained for other in one.disagreements)
    rows = [(f"{left:,}", "disagree, and nothing explains it")]
    rows += [(f"{number:,}", f"disagree: {why}") for why, number in explanations(one).items()]
    rows += [(f"{len(one.only_left):,}", f"only {one.left} has"), (f"{len(one.only_right):,}", f"only {one.right} has")]
    rows += [(f"{one.volumes:,}", f"have volumes that differ by more than {volume_tolerance:.0%}")]
    rows += [(f"{number:,}", f"of these: {why}") for why, number in one.volume_causes.items()]
    table([row for row in rows if row[0] != "0"])
    listed = [("date", "field", one.left, one.right, "apart")]
    listed += [
        (f"{other.day}", other.field, f"{other.left:g}", f"{other.right:g}", f"{other.relative:.2%}")
        for other in one.disagreements
        if not other.explained
    ]
    listed += [(f"{day}", "session", "stored", "missing", "") for day in one.only_left]
    listed += [(f"{day}", "session", "missing", "stored", "") for day in one.only_right]
    if len(listed) > 1 and limit:
        click.echo("")
        table(listed[: limit + 1])
    if one.unexplained > limit:
        hint(f"{limit:,} of {counted(one.unexplained, 'session')} are listed: --limit lists more.")
    if one.unexplained:
        hint(
            "A third vendor shows which one is right. Splits and dividends explain more once they are stored: "
            "`marketfetch fetch PROVIDER SYMBOL --dataset splits`."
        )
