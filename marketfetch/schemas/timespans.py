"""The timespans of bars: 1m 5m 15m 30m 1h 1d 1w 1mo; and the adjustments of prices."""

from __future__ import annotations

from typing import Final, Literal, get_args

Timespan = Literal["1m", "5m", "15m", "30m", "1h", "1d", "1w", "1mo"]
Adjustment = Literal["raw", "split", "split_dividend"]

TIMESPANS: Final[tuple[Timespan, ...]] = get_args(Timespan)
ADJUSTMENTS: Final[tuple[Adjustment, ...]] = get_args(Adjustment)

_MINUTE_MS: Final = 60_000
_DAY_MS: Final = 24 * 60 * _MINUTE_MS

#: The maximum length of a bar by timespan, in milliseconds. A day has 25 hours when clocks go back.
LONGEST_MS: Final[dict[Timespan, int]] = {
    "1m": _MINUTE_MS,
    "5m": 5 * _MINUTE_MS,
    "15m": 15 * _MINUTE_MS,
    "30m": 30 * _MINUTE_MS,
    "1h": 60 * _MINUTE_MS,
    "1d": _DAY_MS + 60 * _MINUTE_MS,
    "1w": 7 * _DAY_MS + 60 * _MINUTE_MS,
    "1mo": 31 * _DAY_MS + 60 * _MINUTE_MS,
}


def is_intraday(timespan: Timespan) -> bool:
    """Returns True for bars shorter than a session; their `ts` is an instant, not a date."""
    return timespan in ("1m", "5m", "15m", "30m", "1h")
