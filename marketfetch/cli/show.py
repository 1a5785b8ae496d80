"""`marketfetch show`: the latest stored bars of a symbol as a table, with a spark line."""

from __future__ import annotations

import json
import math
import webbrowser
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import click

from marketfetch.cli import completing, doubts
from marketfetch.cli.days import adjust_options, range_options
from marketfetch.cli.known_words import ADJUSTMENT, TIMESPAN
from marketfetch.cli.screen import hint, json_option, table
from marketfetch.cli.show_records import show_records
from marketfetch.phrases import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from marketfetch.schemas.bars import BarColumns
    from marketfetch.storage.stored_series import StoredSeries

_BLOCKS: Final = "▁▂▃▄▅▆▇█"
_MOST_BLOCKS: Final = 50
#: How many bars are shown: where nothing is asked, and at most.
_USUAL: Final = 30
_MOST: Final = 100_000
#: The widths of a price, and of a change or a volume: with a time and blanks between they fill 79 columns.
_LONGEST: Final = 9
_SHORT: Final = 7


@click.command()
@click.argument("symbol", required=False, shell_complete=completing.symbols)
@click.option(
    "--timespan", type=TIMESPAN, default="1d", show_default=True, help="The length of a bar: 1m 5m 15m 30m 1h 1d 1w 1mo."
)
@click.option(
    "--last", type=click.IntRange(1, _MOST), help="How many bars, the latest ones.  [default: 30; with --start or --end all]"
)
@click.option(
    "--dataset",
    shell_complete=completing.datasets,
    default="bars",
    show_default=True,
    help="Or splits, dividends, snapshots, symbols, values ...",
)
@range_options(start_default="the first stored one", end_default="the last stored one")
@click.option("--provider", shell_complete=completing.providers, help="The vendor, where several have bars of SYMBOL.")
@click.option("--adjustment", type=ADJUSTMENT, help="raw, split or split_dividend, where several are stored.")
@adjust_options
@json_option
@click.option("--plot", is_flag=True, help="Draw price and volume into a PNG file here, and print its name.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="The file to draw into: .png, .svg or .pdf.")
@click.option("--open", "opening", is_flag=True, help="Open the picture in the browser.")
def show(
    *,
    symbol: str | None,
    dataset: str,
    timespan: str,
    last: int | None,
    start: date | None,
    end: date | None,
    provider: str | None,
    adjustment: str | None,
    adjust: str | None,
    as_of: date | None,
    as_json: bool,
    plot: bool,
    output: Path | None,
    opening: bool,
) -> None:
    """Show the latest stored bars of SYMBOL, oldest first, as a table or with --plot as a picture. Calls no vendor.

    With --dataset the stored rows of that dataset, of SYMBOL or of all, as they are known now, or were on --as-of.
    A universe (@NAME) stands for what is stored of its symbols, which are shown one after the other.

    Times are the starts of the bars: the date of the session; for bars shorter than a day, the time in the exchange's zone.
    """
    from marketfetch.frames.adjusted_bars import adjusted_columns, last_ms
    from marketfetch.frames.adjusting import read_adjust, tell_of_stale
    from marketfetch.frames.choosing import one_of_each, wish
    from marketfetch.frames.stored_bars import found, reading, spans
    from marketfetch.storage.reading_back import last_bars

    if as_json and (plot or output or opening):
        raise click.UsageError("a picture is no JSON: leave out --json, or --plot, --output and --open")
    if dataset.lower() != "bars":
        if adjustment or adjust or plot or output or opening or timespan != "1d":
            raise click.UsageError(f"{dataset} have no timespan, no adjustment and no picture: leave these options out")
        show_records(
            *(symbol, dataset),
            provider=provider,
            start=start,
            end=end,
            as_of=as_of,
            last=last or _USUAL,
            as_json=as_json,
        )
        return
    if symbol is None:
        raise click.UsageError("name a symbol, or a dataset that has none: `marketfetch show AAPL`, `show --dataset holidays`")
    by, adjustment = read_adjust(adjust, as_of, adjustment)
    asked = wish(symbol, timespan=timespan, provider=provider, adjustment=adjustment, written="--{name} {value}", told=hint)
    if asked.optional and output:
        raise click.UsageError("a universe is one picture for each symbol: write --plot instead of --output")
    shown: list[tuple[StoredSeries, BarColumns]] = []
    with doubts.said(), reading() as store:
        for one in one_of_each(asked, found(store, asked)):
            ((_, start_ms, end_ms),) = spans([one], start, end)
            count = last or (_MOST if start or end else _USUAL)
            if by:
                end_ms = min(end_ms or last_ms(one, by), last_ms(one, by))
            of_series = (one.provider, one.symbol, one.timespan, one.adjustment)
            bars = last_bars(store, *of_series, count, start_ms=start_ms, end_ms=end_ms)
            if by:
                shown.append((replace(one, adjustment=by.adjustment), adjusted_columns(store, one, bars, by)))
                continue
            if one.adjustment != "raw":
                tell_of_stale(store, [one])
            shown.append((one, bars))
    if as_json:
        from marketfetch.documents.data_documents import shown_series

        documents = [shown_series(series, bars, _days(series, bars)) for series, bars in shown]
        click.echo(json.dumps({"series": documents} if asked.optional else documents[0]))
        return
    for number, (series, bars) in enumerate(shown):
        if not len(bars.ts):
            hint(f"No bars of {series.symbol} are stored in this range; without --start and --end the latest ones are shown.")
        elif plot or output or opening:
            _plot(series, bars, output, opening=opening)
        else:
            click.echo("\n" if number else "", nl=False)
            _print(series, bars)


def _plot(series: StoredSeries, bars: BarColumns, output: Path | None, *, opening: bool) -> None:
    """Draws the bars and prints the name of the file."""
    from marketfetch.frames.bar_chart import save_chart

    path = output or Path(f"{quote(series.symbol, safe='')}-{series.timespan}-{series.adjustment}.png")
    save_chart(series, bars, _labels(series, bars), path)
    click.echo(path)
    if opening and not webbrowser.open(path.absolute().as_uri()):
        hint(f"No browser was found: open {path} yourself.")


def _labels(series: StoredSeries, bars: BarColumns) -> list[str]:
    """The date of each bar's session; of an intraday bar its time in the exchange's zone, or in UTC where none is known."""
    from marketfetch.schemas.timespans import is_intraday
    from marketfetch.vendors.times import zone_info

    if not is_intraday(series.timespan):  # type: ignore[arg-type]
        return [str(day) for day in _days(series, bars) or []]
    zone = zone_info(series.zone or "UTC")
    return [f"{datetime.fromtimestamp(ts / 1000, zone):%Y-%m-%d %H:%M}" for ts in bars.ts.tolist()]


def _days(series: StoredSeries, bars: BarColumns) -> list[date] | None:
    """The dates of the sessions; None for intraday bars whose zone is not known."""
    from marketfetch.storage.session_dates import session_days

    days = session_days(bars.ts, series.timespan, series.zone)
    return None if days is None else days.astype("datetime64[D]").tolist()


def _print(series: StoredSeries, bars: BarColumns) -> None:
    from marketfetch.schemas.timespans import is_intraday

    closes = bars.close.tolist()
    name = f"{series.symbol} {series.timespan} {series.adjustment} from {series.provider}"
    intraday = is_intraday(series.timespan)  # type: ignore[arg-type]
    where = f", times in {series.zone or 'UTC'}" if intraday else ""
    click.echo(f"{name}: the latest {counted(len(closes), 'bar')}{where}")
    click.echo(f"close {_spark(closes)} {_price(min(closes))} to {_price(max(closes))}\n")
    titles = [one.rjust(_LONGEST) for one in ("open", "high", "low", "close")]
    rows = [("time" if intraday else "date", *titles, *(one.rjust(_SHORT) for one in ("change", "volume")))]
    labels = _labels(series, bars)
    for i, label in enumerate(labels):
        prices = [_price(float(getattr(bars, column)[i])) for column in ("open", "high", "low", "close")]
        change = _change(closes[i - 1], closes[i]) if i else ""
        volume = _compact(float(bars.volume[i])).rjust(_SHORT) + ("*" if bars.partial[i] else "")
        rows.append((label, *(one.rjust(_LONGEST) for one in prices), change.rjust(_SHORT), volume))
    unseen = table(rows, go=("change", "volume"))
    if bars.partial.any():
        which = "The last one" if bars.partial[-1] and bars.partial.sum() == 1 else f"{bars.partial.sum():,} of them"
        click.echo(f"{which if 'volume' in unseen else '*'} could still change when it was fetched")


def _spark(values: Sequence[float]) -> str:
    """The values as blocks, from the least to the greatest; of many, the last one of each equal part."""
    count = min(len(values), _MOST_BLOCKS)
    shown = [values[(n + 1) * len(values) // count - 1] for n in range(count)]
    least, most = min(shown), max(shown)
    if most == least:
        return _BLOCKS[3] * count
    return "".join(_BLOCKS[round((one - least) / (most - least) * (len(_BLOCKS) - 1))] for one in shown)


def _price(value: float) -> str:
    """At most nine characters, for the screen: no more digits than fit."""
    if math.isnan(value):
        return ""
    text = f"{value:.2f}" if abs(value) >= 1 or value == 0 else f"{value:.4g}"
    return text if len(text) <= _LONGEST else _compact(value)


def _change(before: float, now: float) -> str:
    if before <= 0 or now <= 0:
        return ""
    text = f"{(now / before - 1) * 100:+.2f}%"
    return text if len(text) <= _SHORT else f"{(now / before - 1) * 100:+.0f}%"[:_SHORT]


def _compact(value: float) -> str:
    if math.isnan(value):
        return ""
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            text = f"{value / size:.2f}{letter}"
            return text if len(text) <= _SHORT else f"{value:.1e}"
    return f"{value:g}" if len(f"{value:g}") <= _SHORT else f"{value:.1e}"
