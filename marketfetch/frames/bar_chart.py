"""`marketfetch show --plot`: the bars of one series as a picture, price above volume.

The axis has a place for each session, not for each day: nights, weekends and holidays leave no gaps.
"""

from __future__ import annotations

import contextlib
import io
import uuid
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from marketfetch.exceptions import BadRequestError, UnavailableError
from marketfetch.extras import need
from marketfetch.printable import printable

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from marketfetch.schemas.bars import BarColumns
    from marketfetch.storage.stored_series import StoredSeries

ENDINGS: Final = ("png", "svg", "pdf")
#: More bars than these are a line: candles would be thinner than a dot.
_MOST_CANDLES: Final = 160
_MOST_DATES: Final = 8
_UP, _DOWN, _LINE, _GREY = "#1a7f5a", "#c0392b", "#1f5fa8", "#5f6b7a"


def save_chart(series: StoredSeries, bars: BarColumns, labels: Sequence[str], path: Path) -> None:
    """Draws the bars into the file `path`, which appears whole or not at all; its ending says the format.

    `labels` are the dates or times of the bars. Raises BadRequestError, UnavailableError (without matplotlib too).
    """
    ending = path.suffix.removeprefix(".").lower()
    if ending not in ENDINGS:
        raise BadRequestError(f"{path} is no picture: let its name end in .{', .'.join(ENDINGS)}.")
    need("matplotlib", for_what="`marketfetch show --plot`")
    picture = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of letters that the font lacks: a box stands for them
        _figure(series, bars, labels).savefig(picture, format=ending, facecolor="white")
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        part.write_bytes(picture.getvalue())
        part.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        raise UnavailableError(f"{path} can't be written ({error.strerror or error}): name another file by --output.") from None


def _figure(series: StoredSeries, bars: BarColumns, labels: Sequence[str]) -> Figure:
    import numpy as np
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 6), dpi=120, layout="constrained")
    with_volume = bool(np.isfinite(bars.volume).any())
    rows = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1)) if with_volume else (figure.subplots(), None)
    price, volume = rows[0], rows[1]
    rises = np.where(np.isfinite(bars.open), bars.close >= bars.open, np.diff(bars.close, prepend=bars.close[0]) >= 0)
    if len(bars) <= _MOST_CANDLES and bool(np.isfinite(bars.low + bars.high + bars.open).any()):
        _candles(price, bars, rises)
    else:
        price.plot(np.arange(len(bars)), bars.close, color=_LINE, linewidth=1.3, marker="o" if len(bars) == 1 else None)
    price.set_ylabel("price", color=_GREY)
    last = price if volume is None else volume
    if volume is not None:
        colors = np.where(rises, _UP, _DOWN)
        volume.bar(np.arange(len(bars)), np.nan_to_num(bars.volume), width=0.8, color=colors, alpha=0.6)
        volume.set_ylabel("volume", color=_GREY)
        volume.yaxis.set_major_formatter(_compact)
    for axes in (price, *(() if volume is None else (volume,))):
        _plain(axes)
    places = np.unique(np.linspace(0, len(bars) - 1, min(_MOST_DATES, len(bars))).round().astype(int))
    last.set_xticks(places, [labels[place] for place in places.tolist()])
    last.set_xlim(-0.8, len(bars) - 0.2)
    _titles(figure, price, series, labels, partial=int(bars.partial.sum()))
    return figure


def _candles(axes: Axes, bars: BarColumns, rises: NDArray[np.bool_]) -> None:
    """A wick from low to high, a body from open to close; a bar that has a close alone is a short line."""
    import numpy as np

    x = np.arange(len(bars))
    whole = np.isfinite(bars.open) & np.isfinite(bars.high) & np.isfinite(bars.low)
    least = float(np.nanmax(bars.close) - np.nanmin(bars.close)) * 0.004
    for found, color in ((rises & whole, _UP), (~rises & whole, _DOWN)):
        axes.vlines(x[found], bars.low[found], bars.high[found], color=color, linewidth=0.9)
        bottom = np.minimum(bars.open, bars.close)[found]
        axes.bar(x[found], np.maximum(np.abs(bars.close - bars.open)[found], least), 0.7, bottom, color=color)
    axes.hlines(bars.close[~whole], x[~whole] - 0.35, x[~whole] + 0.35, color=_LINE, linewidth=1.3)


def _plain(axes: Axes) -> None:
    axes.grid(axis="y", color="#e4e8ee", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#c8ced8")
    axes.tick_params(colors=_GREY, labelsize=9)


def _titles(figure: Figure, axes: Axes, series: StoredSeries, labels: Sequence[str], *, partial: int) -> None:
    span = labels[0] if labels[0] == labels[-1] else f"{labels[0]} to {labels[-1]}"
    words = [f"from {series.provider}", f"{series.adjustment} prices", f"{series.timespan} bars", span]
    words += [series.zone] if series.zone else []
    words += [f"{partial} could still change when fetched"] if partial else []
    # A symbol such as BAC$L is no formula.
    figure.suptitle(printable(series.symbol, most=40), x=0.01, ha="left", fontsize=15, fontweight="bold", parse_math=False)
    axes.set_title(" · ".join(words), loc="left", fontsize=9.5, color=_GREY, parse_math=False)


def _compact(value: float, _place: Any) -> str:
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"
