"""What is suspicious in a stored series of daily bars: jumps with and without a split, months at half the price, flat runs.

A reply that passes its checks may still be wrong beside the bars before and after it. These checks see a whole series.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from math import log, nan
from typing import Final, Literal

import numpy as np

from marketfetch.schemas.bars import Floats, Ints

#: `error`: the bars are wrong or can't be used as they are. `warning`: a person should look. `note`: explained.
Level = Literal["error", "warning", "note"]

#: A stored split of less than this is no jump that prices show.
_SMALLEST_SPLIT: Final = 1.2
#: How far from a split's ratio the open or the close may be: the price moves on that day too.
_NEAR_SPLIT: Final = 0.18
#: How near a jump must be to a ratio of small whole numbers that no stored split names.
_NEAR_RATIO: Final = 0.03
_RATIOS: Final = np.array([1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 10, 15, 20, 25, 30, 40, 50, 100])
#: Two jumps that cancel each other within so many bars are one excursion: five months at half the price were seen.
_LONGEST_EXCURSION: Final = 250
_SAME_LEVEL: Final = 0.15
_FEWEST_VWAPS: Final = 20
_MOST_ODD_VWAPS: Final = 0.2
#: Findings of one kind in a series; a damaged one would have thousands.
_MOST_OF_A_KIND: Final = 5
_EPOCH: Final = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class SeriesFinding:
    """One finding of a series: `sentence` says what, `todo` what to do about it; both are sentences without the symbol."""

    kind: str
    level: Level
    first: date
    last: date
    sentence: str
    todo: str


@dataclass(frozen=True, slots=True, eq=False)
class DailyBars:
    """A series by date: `days` since 1970-01-01, prices as stored, NaN where absent."""

    days: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    vwap: Floats


@dataclass(frozen=True, slots=True)
class Bounds:
    """From which change of a close on a jump is one (a factor, also downwards), and how long a run of equal closes may be."""

    jump: float = 1.8
    flat: int = 10


@dataclass(frozen=True, slots=True, eq=False)
class Calendar:
    """`sessions` are the days on which a series may have a bar, `certain` those of them on which every vendor has one.

    Both are days since 1970, ascending, and reach at least from a series' first bar to its last. None: no calendar is known.
    """

    sessions: Ints | None = None
    certain: Ints | None = None

    def skipped(self, days: Ints) -> Ints:
        """How many sessions are not stored between each of these days and the one before it; one value less than days."""
        if self.certain is None:
            return np.zeros(max(len(days) - 1, 0), dtype=np.int64)
        between = np.searchsorted(self.certain, days[1:], "left") - np.searchsorted(self.certain, days[:-1], "right")
        skipped: Ints = np.maximum(between, 0).astype(np.int64)
        return skipped


def check(
    bars: DailyBars, *, adjusted: bool, splits: Mapping[int, float], calendar: Calendar, bounds: Bounds
) -> Iterator[SeriesFinding]:
    """Yields what is suspicious. `splits`: new shares for an old one, by day; `adjusted`: the prices should not show them.

    Prices are compared with those of the session before. Over sessions that are not stored a price may go anywhere.
    """
    if len(bars.days) > 1:
        skipped = calendar.skipped(bars.days)
        explained = _at_splits(bars, skipped, adjusted=adjusted, splits=splits)
        yield from (one for _, one in explained)
        yield from _jumps(bars, skipped, adjusted=adjusted, bounds=bounds, seen={at for at, _ in explained})
        yield from _flat(bars, skipped, bounds)
    yield from _non_sessions(bars, calendar)
    yield from _vwaps(bars)


def _at_splits(
    bars: DailyBars, skipped: Ints, *, adjusted: bool, splits: Mapping[int, float]
) -> list[tuple[int, SeriesFinding]]:
    """What the prices show of each stored split, with the position of its first bar."""
    found: list[tuple[int, SeriesFinding]] = []
    for day, ratio in sorted(splits.items()):
        at = int(np.searchsorted(bars.days, day))
        if not _follows(skipped, at) or max(ratio, 1 / ratio) < _SMALLEST_SPLIT:
            continue
        when = _date(day)
        name = f"the split of {ratio_in_words(ratio)} on {when}"
        shown = _shows(bars, at, 1 / ratio)
        if shown and not adjusted:
            found.append((at, _one("split", "note", when, when, f"{name} explains the change of the price", "Nothing")))
        elif shown:
            text = f"{name} is not applied to these adjusted prices"
            todo = "Fetch the series again with --again; the raw prices and the stored split give the adjusted ones"
            found.append((at, _one("split not applied", "error", when, when, text, todo)))
        elif not adjusted:
            beside = next((n for n in (at - 1, at + 1) if _follows(skipped, n) and _shows(bars, n, 1 / ratio)), None)
            if beside is not None:
                at, text = beside, f"the prices show {name} on {_date(int(bars.days[beside]))}"
            else:
                text = f"the prices do not show {name}"
            todo = "Compare the split at another vendor; the vendor may have its date wrong, or may have adjusted these prices"
            found.append((at, _one("split not shown", "error", when, when, text, todo)))
    return found


def _follows(skipped: Ints, at: int) -> bool:
    """True if the bar of the session before the one at this position is stored."""
    return 0 < at <= len(skipped) and skipped[at - 1] == 0


def _shows(bars: DailyBars, at: int, factor: float) -> bool:
    """True if the price changes by about `factor` from the bar before to this one, and not by about nothing."""
    for price in (bars.open[at], bars.close[at]):
        change = _change(bars.close[at - 1], price)
        if abs(change - log(factor)) < min(_NEAR_SPLIT, abs(log(factor)) / 2):
            return True
    return False


#: Stands for what depends on the vendor and the symbol, which a check of bars does not know: data_doctor.py writes it.
FETCH_SPLITS: Final = "Fetch the splits"


def _jumps(bars: DailyBars, skipped: Ints, *, adjusted: bool, bounds: Bounds, seen: set[int]) -> Iterator[SeriesFinding]:
    if not (bars.close > 0).all():
        return  # rates, spreads and settlements go through 0
    with np.errstate(divide="ignore", invalid="ignore"):
        changes = np.log(bars.close[1:] / bars.close[:-1])
    large = [int(n) + 1 for n in np.flatnonzero(np.abs(changes) >= np.log(bounds.jump)) if int(n) + 1 not in seen]
    yield from (_over_a_gap(bars, at, int(skipped[at - 1])) for at in [n for n in large if skipped[n - 1]][:_MOST_OF_A_KIND])
    jumps = [at for at in large if not skipped[at - 1]]
    left, shown = 0, 0
    while left < len(jumps) and shown < _MOST_OF_A_KIND:
        at, shown = jumps[left], shown + 1
        change = float(changes[at - 1])
        back = jumps[left + 1] if left + 1 < len(jumps) else None
        when = _date(int(bars.days[at]))
        if (
            back is not None
            and back - at + int(skipped[at:back].sum()) <= _LONGEST_EXCURSION
            and abs(change + changes[back - 1]) < _SAME_LEVEL
        ):
            last = _date(int(bars.days[back - 1]))
            text = f"from {when} to {last} ({back - at} bars) prices are about {_times(change)} those before and after"
            todo = "Compare these days at another vendor, and fetch them again with --again once this one has corrected them"
            yield _one("excursion", "error", when, last, text, todo)
            left += 2
            continue
        left += 1
        moved = _moved(bars, at)
        near = _near_ratio(bars, at)
        if near is None:
            text, todo = f"{moved}, and no split explains it", "Look at the day at another vendor"
            yield _one("jump", "error", when, when, text, todo)
        elif adjusted:
            text = f"{moved}: as a split of {ratio_in_words(near)} that is not applied"
            yield _one("jump like a split", "error", when, when, text, FETCH_SPLITS)
        else:
            text = f"{moved}: as a split of {ratio_in_words(near)} that is not stored"
            yield _one("jump like a split", "warning", when, when, text, FETCH_SPLITS)


def _over_a_gap(bars: DailyBars, at: int, skipped: int) -> SeriesFinding:
    when, number = _date(int(bars.days[at])), "1 session that is" if skipped == 1 else f"{skipped:,} sessions that are"
    todo = "`marketfetch gaps` says why; with --repair it asks for them"
    return _one("jump over a gap", "note", when, when, f"{_moved(bars, at)}, after {number} not stored", todo)


def _moved(bars: DailyBars, at: int) -> str:
    return f"the close goes from {bars.close[at - 1]:g} to {bars.close[at]:g} on {_date(int(bars.days[at]))}"


def _near_ratio(bars: DailyBars, at: int) -> float | None:
    """The ratio of small whole numbers, new shares for an old one, that the change of the price is near to."""
    for price in (bars.open[at], bars.close[at]):
        change = _change(bars.close[at - 1], price)
        off = np.abs(np.log(_RATIOS) - abs(change))
        if off.min() < _NEAR_RATIO:
            ratio = float(_RATIOS[off.argmin()])
            return ratio if change < 0 else 1 / ratio
    return None


def _flat(bars: DailyBars, skipped: Ints, bounds: Bounds) -> Iterator[SeriesFinding]:
    same = (bars.close[1:] == bars.close[:-1]) & (bars.volume[1:] > 0) & (skipped == 0)
    edges = np.flatnonzero(np.diff(np.concatenate(([False], same, [False])).astype(np.int8)))
    long = [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a + 1 >= bounds.flat]
    for first, end in long[:_MOST_OF_A_KIND]:
        span = _date(int(bars.days[first])), _date(int(bars.days[end]))
        text = f"{end - first + 1} sessions in a row close at {bars.close[first]:g} although there is volume, from {span[0]}"
        yield _one("flat run", "warning", *span, text, "Look at these days at another vendor: the price may be repeated")


def _non_sessions(bars: DailyBars, calendar: Calendar) -> Iterator[SeriesFinding]:
    if calendar.sessions is None:
        return
    if days := bars.days[~np.isin(bars.days, calendar.sessions)].tolist():
        named = ", ".join(str(_date(day)) for day in days[:3]) + (", ..." if len(days) > 3 else "")
        text = f"{len(days)} bars are on days without a session ({named})"
        todo = "Leave them out of what you compute: the vendor sends bars on holidays or weekends"
        yield _one("no session", "warning", _date(days[0]), _date(days[-1]), text, todo)


def _vwaps(bars: DailyBars) -> Iterator[SeriesFinding]:
    there = ~np.isnan(bars.vwap)
    known = int(np.count_nonzero(there))
    odd = int(np.count_nonzero(there & ((bars.vwap < bars.low) | (bars.vwap > bars.high))))
    if known >= _FEWEST_VWAPS and odd > _MOST_ODD_VWAPS * known:
        text = f"{odd:,} of {known:,} vwaps lie outside their bar"
        span = _date(int(bars.days[0])), _date(int(bars.days[-1]))
        yield _one(
            "vwap", "warning", *span, text, "Do not use the vwap of this series: it may not be adjusted as the prices are"
        )


def stopped(last: int, latest: int, behind: int) -> SeriesFinding:
    """A finding for a series that ends `behind` sessions before the latest bar of its vendor; days since 1970."""
    text = f"the series ends on {_date(last)}, {behind:,} sessions before the vendor's latest bar"
    return _one(
        "stopped", "warning", _date(last), _date(latest), text, "See if the symbol was delisted or renamed, or fetch on"
    )


def contradicting(day: date, ratios: Sequence[float]) -> SeriesFinding:
    """A finding for several stored splits of one symbol and date."""
    named = ", ".join(map(ratio_in_words, ratios))
    todo = "Compare the date at another vendor: prices that are adjusted with both are wrong"
    return _one("duplicate split", "error", day, day, f"{len(ratios)} splits are stored for {day} ({named})", todo)


def outdated(day: date, fetched: date) -> SeriesFinding:
    """A finding for adjusted prices that were fetched before a split, of a series without coverage."""
    text = f"the adjusted prices before the split on {day} were fetched earlier, on {fetched}"
    return _one("older than an action", "error", day, day, text, "Fetch the series again with --again")


def stale(why: str, first: date, last: date, todo: str) -> SeriesFinding:
    """A finding for prices that were adjusted before an action that is known now; `why` is a clause without a subject."""
    return _one("older than an action", "error", first, last, f"the series {why}", todo)


def _one(kind: str, level: Level, first: date, last: date, sentence: str, todo: str) -> SeriesFinding:
    return SeriesFinding(kind, level, first, last, sentence, todo)


def _change(before: float, price: float) -> float:
    """The logarithm of the change; NaN, which is near to nothing, where there is none."""
    return log(price / before) if price > 0 and before > 0 else nan


def _times(change: float) -> str:
    return f"{np.exp(change):.2g} times"


def ratio_in_words(ratio: float) -> str:
    """`4-for-1`, `1-for-10`, `3-for-2`."""
    for old in range(1, 101):
        if abs(ratio * old - round(ratio * old)) < 1e-6 * old and round(ratio * old):
            return f"{round(ratio * old)}-for-{old}"
    return f"{ratio:g}-for-1"


def _date(day: int) -> date:
    return _EPOCH + timedelta(days=day)
