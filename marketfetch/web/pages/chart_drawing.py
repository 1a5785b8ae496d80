"""A chart as the numbers of an SVG, for browsers without JavaScript: closes as a line, volumes below, and the marks."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any, Final

from marketfetch.web.pages.chart_data import Chart

WIDTH: Final = 1_000
HEIGHT: Final = 360
_LEFT, _RIGHT, _TOP, _PRICES_END, _VOLUMES_TOP, _BOTTOM = 6, 60, 24, 255, 275, 330
#: Half the side of the mark of a partial bar.
_MARK: Final = 6
_TICKS: Final = 5
_LABELS: Final = 6


def drawing(of: Chart) -> dict[str, Any]:
    """Lines, rectangles and labels in a box of WIDTH by HEIGHT. Needs a bar."""
    ts, close, volume = of.bars.ts.tolist(), of.bars.close.tolist(), of.bars.volume.tolist()
    first, last = ts[0], max(ts[-1], ts[0] + 1)
    prices = [one for one in close if one == one]
    low, high, step = _nice(min(prices), max(prices))
    most = max((one for one in volume if one == one), default=0) or 1
    span = WIDTH - _LEFT - _RIGHT
    wide = max(1.0, 0.7 * span / len(ts))
    inset = max(wide / 2, _MARK)  # so that nothing of the first and the last bar lies outside

    def x(ms: float) -> float:
        return round(_LEFT + inset + (span - 2 * inset) * (min(max(ms, first), last) - first) / (last - first), 1)

    def y(price: float) -> float:
        return round(_PRICES_END - (_PRICES_END - _TOP) * (price - low) / (high - low), 1)

    def height(one: float) -> float:
        return round((_BOTTOM - _VOLUMES_TOP) * (one if one == one else 0) / most, 1)

    return {
        "lines": _lines(of, [(x(at), y(price)) for at, price in zip(ts, close, strict=True)]),
        "volumes": [
            [round(x(at) - wide / 2, 1), _BOTTOM - height(one), height(one)] for at, one in zip(ts, volume, strict=True)
        ],
        "wide": round(wide, 1),
        "gaps": [[x(one.begin_ms), max(2.0, round(x(one.end_ms) - x(one.begin_ms), 1)), one.words] for one in of.gaps],
        "actions": [[x(one.begin_ms), one.words] for one in of.actions],
        "partial": [[x(ts[n]), y(close[n])] for n, one in enumerate(of.bars.partial.tolist()) if one and close[n] == close[n]],
        "prices": [[y(low + n * step), f"{low + n * step:,.{_digits(step)}f}"] for n in range(round((high - low) / step) + 1)],
        "times": [[x(ts[n]), f"{datetime.fromtimestamp(ts[n] / 1000, UTC):%Y-%m-%d}"] for n in _places(len(ts))],
        "box": {"width": WIDTH, "height": HEIGHT, "top": _TOP, "bottom": _BOTTOM, "left": _LEFT, "right": WIDTH - _RIGHT},
    }


def _lines(of: Chart, points: list[tuple[float, float]]) -> list[str]:
    """The line of closes, broken at each gap."""
    ends = sorted(one.begin_ms for one in of.gaps)
    found: list[list[str]] = [[]]
    before = None
    for at, (x, y) in zip(of.bars.ts.tolist(), points, strict=True):
        if before is not None and any(before < end <= at for end in ends):
            found.append([])
        found[-1].append(f"{x},{y}")
        before = at
    return [" ".join(one) for one in found]


def _places(number: int) -> list[int]:
    return sorted({round(n * (number - 1) / (_LABELS - 1)) for n in range(_LABELS)}) if number > 1 else [0]


def _nice(low: float, high: float) -> tuple[float, float, float]:
    """The range of an axis, and the step of its labels: 1, 2 or 5 of a power of ten."""
    rough = max(high - low, abs(high) * 1e-4, 1e-9) / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * one for one in (1, 2, 5, 10) if power * one >= rough)
    begin, end = math.floor(low / step) * step, math.ceil(high / step) * step
    return begin, end if end > begin else begin + step, step


def _digits(step: float) -> int:
    return max(0, -math.floor(math.log10(step)))
