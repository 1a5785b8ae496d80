"""Two vendors' stored daily bars of one symbol: where they disagree, what one side lacks, and which split explains it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from math import log
from typing import Final

import numpy as np

from marketfetch import vendors
from marketfetch.exceptions import BadRequestError
from marketfetch.extras import need
from marketfetch.frames.choosing import wish
from marketfetch.frames.data_doctor import daily_bars
from marketfetch.frames.series_checks import DailyBars, ratio_in_words
from marketfetch.frames.stored_bars import found, reading
from marketfetch.phrases import joined
from marketfetch.schemas.bars import Floats
from marketfetch.schemas.timespans import ADJUSTMENTS
from marketfetch.storage.price_checks import splits

_PRICES: Final = ("open", "high", "low", "close")
_EPOCH: Final = date(1970, 1, 1)
#: How near the ratio of two closes must be to that of splits.
_NEAR: Final = 0.02
#: Splits that one of the two series may lack at once: more than any symbol has had in a decade.
_MOST_SPLITS: Final = 12


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A session on which the two differ most in `field`. `explained`: the splits that explain it, "" for none."""

    day: date
    field: str
    left: float
    right: float
    explained: str = ""

    @property
    def relative(self) -> float:
        """The difference as a share of the larger value."""
        return abs(self.left - self.right) / max(abs(self.left), abs(self.right))


@dataclass(frozen=True, slots=True)
class Comparison:
    """`sessions`: those of both, from `first` to `last`, where both series are there. Volumes are counted apart."""

    left: str
    right: str
    symbol: str
    adjustment: str
    first: date | None
    last: date | None
    sessions: int
    disagreements: list[Disagreement]
    only_left: list[date]
    only_right: list[date]
    volumes: int

    @property
    def unexplained(self) -> int:
        """Sessions that no split explains, and those that one side lacks."""
        prices = sum(not one.explained for one in self.disagreements)
        return prices + len(self.only_left) + len(self.only_right)


def compare(
    left: str,
    right: str,
    symbol: str,
    *,
    adjustment: str | None = None,
    start: date | None = None,
    end: date | None = None,
    tolerance: float = 0.005,
    volume_tolerance: float = 0.1,
) -> Comparison:
    """Compares the daily bars that are stored of `symbol`; makes no call.

    `adjustment` None: the first that both have of raw, split and split_dividend. `tolerance`: the largest relative difference
    of a price that is none. Raises BadRequestError and UnavailableError.
    """
    need("pyarrow", for_what="`marketfetch compare`")
    for name in (left, right):
        if name not in vendors.names():
            raise BadRequestError(vendors.unknown(name))
    asked = wish(symbol, timespan="1d", provider=None, adjustment=adjustment, written="--{name} {value}")
    with reading() as store:
        stored = {(one.provider, one.adjustment): one for one in found(store, asked) if one.provider in (left, right)}
        kind = _common(stored, left, right, symbol)
        known = {split for (_, name), some in splits(store).items() if name == symbol for split in some}
        pair = [daily_bars(store, stored[name, kind]) for name in (left, right)]
    bars = [_within(one, start, end) if one else None for one in pair]
    if not (bars[0] and bars[1] and len(bars[0].days) and len(bars[1].days)):
        return Comparison(left, right, symbol, kind, None, None, 0, [], [], [], 0)
    a, b = _overlap(bars[0], bars[1]), _overlap(bars[1], bars[0])
    days, in_a, in_b = np.intersect1d(a.days, b.days, assume_unique=True, return_indices=True)
    both_a, both_b = _take(a, in_a), _take(b, in_b)
    ends = [int(one.days[n]) for one in (bars[0], bars[1]) for n in (0, -1)]
    return Comparison(
        *(left, right, symbol, kind, _date(max(ends[0], ends[2])), _date(min(ends[1], ends[3])), len(days)),
        list(_disagreements(both_a, both_b, tolerance, sorted(known))),
        [_date(day) for day in np.setdiff1d(a.days, b.days).tolist()],
        [_date(day) for day in np.setdiff1d(b.days, a.days).tolist()],
        int(np.count_nonzero(_apart(both_a.volume, both_b.volume) > volume_tolerance)),
    )


def _common(stored: Mapping[tuple[str, str], object], left: str, right: str, symbol: str) -> str:
    """The adjustment to compare. Raises BadRequestError."""
    have = {name: [kind for kind in ADJUSTMENTS if (name, kind) in stored] for name in (left, right)}
    common = [kind for kind in have[left] if kind in have[right]]
    if common:
        return common[0]
    told = [f"{joined(kinds)} of {name}" if kinds else f"none of {name}" for name, kinds in have.items()]
    raise BadRequestError(
        f"{symbol} has no daily bars of one adjustment from both vendors: stored are {joined(told)}. Fetch what is missing, "
        f"such as `marketfetch fetch {left if not have[left] else right} {symbol}`."
    )


def _disagreements(a: DailyBars, b: DailyBars, tolerance: float, known: Sequence[tuple[date, float]]) -> Iterator[Disagreement]:
    apart = np.stack([_apart(getattr(a, name), getattr(b, name)) for name in _PRICES])
    worst = apart.argmax(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.log(a.close / b.close)
    factors = _factors(known)
    for at in np.flatnonzero(apart.max(axis=0) > tolerance).tolist():
        field = _PRICES[worst[at]]
        day, values = _date(int(a.days[at])), (float(getattr(a, field)[at]), float(getattr(b, field)[at]))
        # A split explains a day on which all four prices differ by its ratio.
        why = ""
        if _all(a, b, at):
            beside_it = [abs(log(getattr(a, name)[at] / getattr(b, name)[at]) - ratios[at]) for name in _PRICES]
            why = _explained(float(ratios[at]), day, factors) if max(beside_it) < _NEAR else ""
        yield Disagreement(day, field, *values, why)


def _factors(known: Sequence[tuple[date, float]]) -> list[tuple[date, float, str]]:
    """The last day and the logarithm of the factor that each run of neighbouring splits makes, with its words."""
    found = []
    some = known[-_MOST_SPLITS:]
    for first in range(len(some)):
        change, names = 0.0, []
        for day, ratio in some[first:]:
            change += log(ratio)
            names.append(f"{ratio_in_words(ratio)} on {day}")
            found.append((some[first][0], change, f"split {joined(names)}"))
    return found


def _explained(ratio: float, day: date, factors: Sequence[tuple[date, float, str]]) -> str:
    """A split explains the days before it: one of the two series has it applied, and the other one has not."""
    fits = (words for before, change, words in factors if day < before and abs(abs(ratio) - abs(change)) < _NEAR and change)
    return next(fits, "")


def _apart(a: Floats, b: Floats) -> Floats:
    """The relative difference; 0 where one of the two is absent."""
    with np.errstate(divide="ignore", invalid="ignore"):
        difference = np.abs(a - b) / np.maximum(np.abs(a), np.abs(b))
    return np.nan_to_num(difference, nan=0.0)


def _all(a: DailyBars, b: DailyBars, at: int) -> bool:
    return all(getattr(one, name)[at] > 0 for one in (a, b) for name in _PRICES)


def _within(bars: DailyBars, start: date | None, end: date | None) -> DailyBars:
    first, last = ((day - _EPOCH).days if day else None for day in (start, end))
    keep = (bars.days >= (bars.days[0] if first is None else first)) & (bars.days <= (bars.days[-1] if last is None else last))
    return _take(bars, keep)


def _overlap(bars: DailyBars, other: DailyBars) -> DailyBars:
    """The bars from the first to the last day of the other series: a shorter history lacks nothing."""
    return _take(bars, (bars.days >= other.days[0]) & (bars.days <= other.days[-1]))


def _take(bars: DailyBars, which: np.ndarray) -> DailyBars:
    return DailyBars(**{name: getattr(bars, name)[which] for name in ("days", *_PRICES, "volume", "vwap")})


def _date(day: int) -> date:
    return _EPOCH + timedelta(days=day)
