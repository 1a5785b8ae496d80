"""`marketfetch export`: stored bars as files."""

from __future__ import annotations

import json
import sys
from contextlib import nullcontext
from datetime import date
from typing import IO, TYPE_CHECKING, Final

import click

from marketfetch.cli import completing, doubts
from marketfetch.cli.days import adjust_options, range_options
from marketfetch.cli.known_words import ADJUSTMENT, TIMESPAN
from marketfetch.cli.screen import err, hint, json_option
from marketfetch.cli.symbol_list import symbols_of
from marketfetch.phrases import counted

if TYPE_CHECKING:
    from marketfetch.frames.export_names import Format
    from marketfetch.frames.exporting import Exported
    from marketfetch.storage.stored_records import RecordQuestion
    from marketfetch.storage.stored_series import StoredSeries

_NO_BAR: Final = "No row is stored in this range, so the files have none; without --start and --end all of them are written."


@click.command()
@click.argument("destination", metavar="DEST")
@click.option(
    "--to",
    type=click.Choice(["parquet", "csv", "arrow"]),
    help="The format of the files.  [default: what DEST ends in, else parquet]",
)
@click.option("--symbols", multiple=True, help="Symbols, with blanks or commas between them.  [default: all]")
@click.option("--symbols-file", type=click.File("rb"), help="More symbols, as in `marketfetch fetch`.")
@range_options(start_default="the first stored one", end_default="the last stored one")
@click.option(
    "--dataset",
    shell_complete=completing.datasets,
    default="bars",
    show_default=True,
    help="Or splits, dividends, snapshots, symbols, values ...",
)
@click.option("--timespan", type=TIMESPAN, help="Only bars of this length.")
@click.option("--provider", shell_complete=completing.providers, help="Only bars of this vendor.")
@click.option("--adjustment", type=ADJUSTMENT, help="Only raw, split or split_dividend bars.")
@adjust_options
@click.option("--overwrite", is_flag=True, help="Remove an earlier export in DEST first.")
@json_option
def export(
    *,
    destination: str,
    to: Format | None,
    symbols: tuple[str, ...],
    symbols_file: IO[bytes] | None,
    start: date | None,
    end: date | None,
    dataset: str,
    timespan: str | None,
    provider: str | None,
    adjustment: str | None,
    adjust: str | None,
    as_of: date | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Write stored bars, or the rows of another dataset, as files into DEST.

    DEST is a folder, or any URL that fsspec knows (s3://bucket/bars, needs s3fs).

    One file a series, in folders provider=P/symbol=S/timespan=T/adjustment=A, and _manifest.json last; or one file for all, if
    DEST ends in .parquet, .csv or .arrow, which then is the format. A slash at the end makes any name a folder. After an
    interruption the same command goes on where it stopped. Another dataset is one file, DEST or the dataset's name in it.
    """
    from marketfetch.frames.adjusting import read_adjust
    from marketfetch.frames.choosing import wish
    from marketfetch.frames.exporting import export as exported
    from marketfetch.frames.record_exporting import export_records
    from marketfetch.frames.record_questions import question

    named = symbols_of(symbols, symbols_file) if symbols or symbols_file else None
    if dataset.lower() != "bars":
        if adjustment or adjust or timespan:
            raise click.UsageError(f"{dataset} have no timespan and no adjustment: leave these options out")
        found = question(dataset, provider=provider, symbols=named, start=start, end=end, as_of=as_of, told=hint)
        done = export_records(destination, found, dataset=dataset, to=to, overwrite=overwrite)
        _tell(done, as_json=as_json, why_none="" if done.rows else _why_none(found, dataset))
        return
    by, adjustment = read_adjust(adjust, as_of, adjustment)
    asked = wish(named, timespan=timespan, provider=provider, adjustment=adjustment, written="--{name} {value}", told=hint)
    status = err().status("") if sys.stderr.isatty() else nullcontext()
    with doubts.said(), status as line:

        def told(done: int, all_of_them: int, one: StoredSeries) -> None:
            if line is not None:
                line.update(f"{done:,} of {all_of_them:,}: {one.provider} {one.symbol} {one.timespan} {one.adjustment}")

        done = exported(
            destination,
            asked,
            to=to,
            start=start,
            end=end,
            overwrite=overwrite,
            adjust=by,
            told=told,
        )
    _tell(done, as_json=as_json, why_none="" if done.rows else _NO_BAR)


def _why_none(asked: RecordQuestion, dataset: str) -> str:
    from marketfetch.frames.empty_answers import why_none
    from marketfetch.frames.stored_bars import reading

    with reading("records") as store:
        return f"{why_none(store, asked, dataset)} The file has no row."


def _tell(done: Exported, *, as_json: bool, why_none: str) -> None:
    if why_none:
        hint(why_none)
    if as_json:
        from marketfetch.documents.data_documents import files_of_export

        click.echo(json.dumps(files_of_export(done)))
        return
    before = f" ({counted(done.skipped, 'file')} of the run before)" if done.skipped else ""
    if done.new_folder:
        hint(f"The folder {done.new_folder} is new.")
    click.echo(f"Wrote {counted(done.files, 'file')} to {done.destination}{before}, {counted(done.rows, 'row')} in all.")
