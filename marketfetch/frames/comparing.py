"""Two vendors' stored daily bars of one symbol: where they disagree, what one side lacks, and what explains it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import numpy as np

from marketfetch import vendors
from marketfetch.exceptions import BadRequestError, WrongValueError
from marketfetch.extras import need
from marketfetch.frames.choosing import wish
from marketfetch.frames.data_doctor import daily_bars
from marketfetch.frames.disagreement_causes import PRICES, Cash, Facts, apart, causes, volume_causes
from marketfetch.frames.series_checks import DailyBars
from marketfetch.frames.stored_bars import found, reading
from marketfetch.phrases import joined
from marketfetch.schemas.timespans import ADJUSTMENTS
from marketfetch.storage.price_checks import partial_days, splits
from marketfetch.storage.store import Store
from marketfetch.storage.stored_actions import stored_actions
from marketfetch.storage.stored_series import StoredSeries

_EPOCH: Final = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A session on which the two differ most in `field`. `explained`: the cause that explains it, "" for none."""

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
    """`sessions`: those of both, from `first` to `last`, where both series are there. Volumes are counted apart.

    `adjustment` is that of both series, or says which each of them has. `volume_causes`: of the `volumes` that differ, how many
    each cause explains.
    """

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
    volume_causes: Mapping[str, int]

    @property
    def unexplained(self) -> int:
        """Sessions that nothing explains, and those that one side lacks."""
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
    least: float = 0.0,
    volume_tolerance: float = 0.1,
) -> Comparison:
    """Compares the daily bars that are stored of `symbol`; makes no call.

    `adjustment` None: the first that both have of raw, split and split_dividend, or else the first of each side. `tolerance`:
    the largest relative difference of a price that is none; `least`: the largest one in the unit of the price, for vendors that
    round. Raises BadRequestError and UnavailableError.
    """
    need("pyarrow", for_what="`marketfetch compare`")
    for name in (left, right):
        if name not in vendors.names():
            raise WrongValueError(vendors.unknown(name))
    asked = wish(symbol, timespan="1d", provider=None, adjustment=adjustment, written="--{name} {value}")
    with reading() as store:
        stored = {(one.provider, one.adjustment): one for one in found(store, asked) if one.provider in (left, right)}
        kinds = _kinds(stored, left, right, symbol)
        series = [stored[name, kind] for name, kind in zip((left, right), kinds, strict=True)]
        facts = _facts(store, left, right, series)
        pair = [daily_bars(store, one) for one in series]
    kind = kinds[0] if kinds[0] == kinds[1] else f"{kinds[0]} of {left} and {kinds[1]} of {right}"
    bars = [_within(one, start, end) if one else None for one in pair]
    if not (bars[0] and bars[1] and len(bars[0].days) and len(bars[1].days)):
        return Comparison(left, right, symbol, kind, None, None, 0, [], [], [], 0, {})
    a, b = _overlap(bars[0], bars[1]), _overlap(bars[1], bars[0])
    days, in_a, in_b = np.intersect1d(a.days, b.days, assume_unique=True, return_indices=True)
    both_a, both_b = _take(a, in_a), _take(b, in_b)
    ends = [int(one.days[n]) for one in (bars[0], bars[1]) for n in (0, -1)]
    apart_at, explained = differing(both_a, both_b, tolerance, facts, least=least)
    volumes = volume_causes(both_a, both_b, volume_tolerance, explained)
    return Comparison(
        *(left, right, symbol, kind, _date(max(ends[0], ends[2])), _date(min(ends[1], ends[3])), len(days)),
        list(_disagreements(both_a, both_b, apart_at, explained)),
        [_date(day) for day in np.setdiff1d(a.days, b.days).tolist()],
        [_date(day) for day in np.setdiff1d(b.days, a.days).tolist()],
        sum(volumes.values()),
        {why: number for why, number in volumes.items() if why},
    )


def _kinds(stored: Mapping[tuple[str, str], object], left: str, right: str, symbol: str) -> tuple[str, str]:
    """The adjustments to compare. Raises BadRequestError where one side has nothing."""
    have = {name: [kind for kind in ADJUSTMENTS if (name, kind) in stored] for name in (left, right)}
    if common := [kind for kind in have[left] if kind in have[right]]:
        return common[0], common[0]
    if all(have.values()):
        return have[left][0], have[right][0]
    told = [f"{joined(kinds)} of {name}" if kinds else f"none of {name}" for name, kinds in have.items()]
    raise BadRequestError(
        f"{symbol} has no daily bars of one adjustment from both vendors: stored are {joined(told)}. Fetch what is missing, "
        f"such as `marketfetch fetch {left if not have[left] else right} {symbol}`."
    )


def _facts(store: Store, left: str, right: str, series: Sequence[StoredSeries]) -> Facts:
    """Splits of every vendor; dividends of one, the two that are compared first, since two lists would count twice."""
    symbol = series[0].symbol
    known = {split for (_, name), some in splits(store).items() if name == symbol for split in some}
    lists: dict[str, dict[int, float]] = {}
    for one in stored_actions(store, "dividends", [symbol]):
        if one.gone_at is None:
            day, of_vendor = (date.fromisoformat(one.ex_date) - _EPOCH).days, lists.setdefault(one.provider, {})
            of_vendor[day] = of_vendor.get(day, 0.0) + one.value
    source = next((name for name in (left, right, *sorted(lists)) if name in lists), "")
    return Facts(
        names=(left, right),
        splits=sorted(known),
        dividends=[Cash(day, amount) for day, amount in sorted(lists.get(source, {}).items())],
        partial=(partial_days(store, series[0]), partial_days(store, series[1])),
    )


def differing(
    a: DailyBars, b: DailyBars, tolerance: float, facts: Facts, *, least: float = 0.0
) -> tuple[list[int], dict[int, str]]:
    """The places at which two series with the same days disagree, and what explains those of them that have a cause."""
    beyond = [
        (apart(getattr(a, name), getattr(b, name)) > tolerance) & (np.abs(getattr(a, name) - getattr(b, name)) > least)
        for name in PRICES
    ]
    bad = np.flatnonzero(np.stack(beyond).any(axis=0)).tolist()
    return bad, causes(a, b, bad, tolerance, facts)


def _disagreements(a: DailyBars, b: DailyBars, bad: Sequence[int], explained: Mapping[int, str]) -> Iterator[Disagreement]:
    for at in bad:
        field = max(PRICES, key=lambda name: float(apart(getattr(a, name)[at : at + 1], getattr(b, name)[at : at + 1])[0]))
        day, values = _date(int(a.days[at])), (float(getattr(a, field)[at]), float(getattr(b, field)[at]))
        yield Disagreement(day, field, *values, explained.get(at, ""))


def _within(bars: DailyBars, start: date | None, end: date | None) -> DailyBars:
    first, last = ((day - _EPOCH).days if day else None for day in (start, end))
    keep = (bars.days >= (bars.days[0] if first is None else first)) & (bars.days <= (bars.days[-1] if last is None else last))
    return _take(bars, keep)


def _overlap(bars: DailyBars, other: DailyBars) -> DailyBars:
    """The bars from the first to the last day of the other series: a shorter history lacks nothing."""
    return _take(bars, (bars.days >= other.days[0]) & (bars.days <= other.days[-1]))


def _take(bars: DailyBars, which: np.ndarray) -> DailyBars:
    return DailyBars(**{name: getattr(bars, name)[which] for name in ("days", *PRICES, "volume", "vwap")})


def _date(day: int) -> date:
    return _EPOCH + timedelta(days=day)
