"""A calendar of days as the numbers of an SVG: a column a week, a row a weekday, darker where more is stored."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from marketfetch.ops.stored_share import DayShare, Group

SIDE: Final = 14
_STEP: Final = SIDE + 3
_LEFT, _TOP = 32, 18
#: The name of a month.
_LABEL: Final = 26
#: From which share on a day has which level; below the last one it has 0.
_LEVELS: Final = ((1.0, 4), (0.95, 3), (0.5, 2), (1e-9, 1))
_NAMED: Final = ((0, "Mon"), (2, "Wed"), (4, "Fri"))
_MOST_LISTED: Final = 40


def drawing(of: Group) -> dict[str, Any]:
    """Cells, labels, and the days that lack something, the latest first."""
    first = of.days[0].day - timedelta(days=of.days[0].day.weekday())
    cells = []
    for one in of.days:
        week, weekday = divmod((one.day - first).days, 7)
        words = f"{one.day}: {one.stored:,} of {one.expected:,} stored"
        cells.append([_LEFT + week * _STEP, _TOP + weekday * _STEP, _level(one), one.stored < one.expected, words])
    months: list[tuple[int, str]] = []
    for one in of.days:
        if not months or one.day.strftime("%b") != months[-1][1]:
            months.append((_LEFT + (one.day - first).days // 7 * _STEP, one.day.strftime("%b")))
    if len(months) > 1 and months[1][0] - months[0][0] < 2 * _STEP:
        del months[0]
    expected, stored = sum(one.expected for one in of.days), sum(one.stored for one in of.days)
    lacking = [[f"{one.day}", one.stored, one.expected] for one in reversed(of.days) if one.stored < one.expected]
    return {
        "title": f"{of.provider} {of.timespan} {of.adjustment}",
        "series": of.series,
        "cells": cells,
        "months": [list(one) for one in months],
        "weekdays": [[_TOP + row * _STEP + 11, name] for row, name in _NAMED],
        "width": max(_LEFT + ((of.days[-1].day - first).days // 7 + 1) * _STEP, months[-1][0] + _LABEL),
        "height": _TOP + 7 * _STEP,
        "side": SIDE,
        "stored": stored,
        "expected": expected,
        "percent": f"{1000 * stored // expected / 10}" if stored < expected else "100",
        "lacking": lacking[:_MOST_LISTED],
        "lacking_days": len(lacking),
    }


def _level(one: DayShare) -> int:
    return next((level for least, level in _LEVELS if one.stored >= least * one.expected), 0)
