"""`marketfetch doctor`: what is suspicious in the stored daily bars, a sentence for each finding."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Final

import click

from marketfetch.cli import completing
from marketfetch.cli.exit_codes import FAILED, OK
from marketfetch.cli.screen import hint, json_option, table
from marketfetch.cli.symbol_list import symbols_of
from marketfetch.phrases import counted

if TYPE_CHECKING:
    from marketfetch.frames.data_doctor import DataFinding, Examined

#: What is said of the notes in the first line, by their kind.
_NOTES: Final = {"split": "that a split explains", "jump over a gap": "over sessions that are not stored"}


@click.command()
@click.argument("symbols", nargs=-1, shell_complete=completing.symbols)
@click.option("--provider", shell_complete=completing.providers, help="Only bars of this vendor.")
@click.option(
    "--jump",
    type=click.FloatRange(1.1, 1_000),
    default=1.8,
    show_default=True,
    help="From which change of the close from one session to the next on, up or down, it is a jump: a factor.",
)
@click.option(
    "--flat",
    type=click.IntRange(3, 1_000),
    default=10,
    show_default=True,
    help="So many sessions in a row with one close, and with volume, are suspicious.",
)
@click.option("--notes", is_flag=True, help="List also what is explained: jumps at a stored split, or over missing sessions.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="List so many findings.")
@json_option
@click.pass_context
def doctor(
    ctx: click.Context,
    *,
    symbols: tuple[str, ...],
    provider: str | None,
    jump: float,
    flat: int,
    notes: bool,
    limit: int,
    as_json: bool,
) -> None:
    """Look for what is wrong in the stored daily bars of SYMBOLS, or of all: each reply passed its checks by itself.

    Jumps of the close with the split that explains them, and without; weeks or months at another level; runs of equal closes;
    bars on days without a session; vwaps outside their bars; series that stop; two splits of one date; adjusted prices that
    are older than a split. Exits with 1 if a finding is an error. Of the installation `marketfetch check` is the doctor.
    """
    from marketfetch.frames.data_doctor import examine
    from marketfetch.frames.series_checks import Bounds

    seen = examine(symbols_of(symbols) if symbols else None, provider=provider, bounds=Bounds(jump, flat), told=hint)
    chosen = [one for one in seen.findings if notes or one.finding.level != "note"]
    if as_json:
        from marketfetch.documents.data_documents import doctor_findings

        click.echo(json.dumps(doctor_findings(seen, chosen[:limit])))
    else:
        _tell(seen, chosen, limit)
    ctx.exit(FAILED if seen.errors else OK)


def _tell(seen: Examined, chosen: list[DataFinding], limit: int) -> None:
    from marketfetch.printable import printable

    click.echo(f"{counted(seen.bars, 'daily bar')} in {seen.series:,} series: {_sum(seen)}.")
    kinds = Counter((one.finding.level, one.finding.kind) for one in seen.findings)
    if kinds:
        table([(level, f"{number:,}", kind) for (level, kind), number in sorted(kinds.items())])
    for one in chosen[:limit]:
        found = one.finding
        where = f"{one.provider} {printable(one.symbol)}{f' {one.adjustment}' if one.adjustment else ''}"
        click.echo(f"\n{found.level}: {where}: {found.sentence}.\n  {found.todo}.")
    if len(chosen) > limit:
        hint(f"{limit:,} of {counted(len(chosen), 'finding')} are listed: --limit lists more.")


def _sum(seen: Examined) -> str:
    levels = Counter(one.finding.level for one in seen.findings)
    if not levels:
        return "nothing is suspicious"
    parts = [counted(levels["error"], "error"), counted(levels["warning"], "warning")]
    notes = Counter(one.finding.kind for one in seen.findings if one.finding.level == "note")
    parts += [f"{counted(notes[kind], 'jump')} {what}" for kind, what in _NOTES.items() if notes[kind]]
    return ", ".join(parts)
