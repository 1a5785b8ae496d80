"""Why daily bars of two vendors disagree: a cause counts where it makes all four prices of the session agree. Pure: no I/O.

partial      the bar of one side was fetched before its session was over
splits       one side is adjusted for the splits behind the day
dividends    one side is adjusted for the dividends behind the day too, as close ÷ (close + cash), with splits or without
unit         nearly all prices of one side are 100 times those of the other, as pence and pounds are
shift        nearly all bars that disagree are those of the next session of the other side: it dates them otherwise
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from math import log
from typing import Final

import numpy as np

from marketfetch.frames.series_checks import DailyBars, ratio_in_words
from marketfetch.phrases import joined
from marketfetch.schemas.bars import Flags, Floats

PRICES: Final = ("open", "high", "low", "close")
_EPOCH: Final = date(1970, 1, 1)
#: How near the ratio of two closes must be to that of splits.
_NEAR: Final = 0.02
#: Splits that one of the two series may lack at once: more than any symbol has had in a decade.
_MOST_SPLITS: Final = 12
#: The share of the sessions that a unit or a shift must make agree, and the fewest: a few equal prices are chance.
_NEARLY_ALL: Final = 0.9
_FEWEST: Final = 5


@dataclass(frozen=True, slots=True)
class Cash:
    """A dividend: its ex date as days since 1970, and the cash for one share."""

    day: int
    amount: float


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known beside the bars. `names`: the vendors. `partial`: the days of each side whose bar is partial."""

    names: tuple[str, str] = ("left", "right")
    splits: Sequence[tuple[date, float]] = ()
    dividends: Sequence[Cash] = ()
    partial: tuple[frozenset[int], frozenset[int]] = field(default=(frozenset(), frozenset()))


def causes(a: DailyBars, b: DailyBars, bad: Sequence[int], tolerance: float, facts: Facts) -> dict[int, str]:
    """The cause of each place of `bad` that has one, in words. Both sides have the same days, which ascend."""
    found: dict[int, str] = {}
    for cause in (_partial, _splits, _dividends, _unit, _shift):
        left = [at for at in bad if at not in found]
        if not left:
            break
        found.update(cause(a, b, left, tolerance, facts))
    return found


def apart(a: Floats, b: Floats) -> Floats:
    """The relative difference; 0 where one of the two is absent."""
    with np.errstate(divide="ignore", invalid="ignore"):
        difference = np.abs(a - b) / np.maximum(np.abs(a), np.abs(b))
    return np.nan_to_num(difference, nan=0.0)


def _partial(a: DailyBars, _b: DailyBars, bad: Sequence[int], _tolerance: float, facts: Facts) -> Iterator[tuple[int, str]]:
    for at in bad:
        day = int(a.days[at])
        for name, days in zip(facts.names, facts.partial, strict=True):
            if day in days:
                yield at, f"the bar of {name} is partial: its session was open at the call"
                break


def _splits(a: DailyBars, b: DailyBars, bad: Sequence[int], _tolerance: float, facts: Facts) -> Iterator[tuple[int, str]]:
    """A split explains the days before it on which all four prices differ by its ratio."""
    factors = _split_factors(sorted(facts.splits))
    logs = _logs(a, b)
    for at in bad:
        ratio = float(logs[3, at])
        if not np.abs(logs[:, at] - ratio).max() < _NEAR:
            continue  # also where a price is absent
        day = date.fromordinal(_EPOCH.toordinal() + int(a.days[at]))
        fits = (words for ex, change, words in factors if day < ex and abs(abs(ratio) - abs(change)) < _NEAR and change)
        if words := next(fits, ""):
            yield at, words


def _split_factors(known: Sequence[tuple[date, float]]) -> list[tuple[date, float, str]]:
    """The first ex date and the logarithm of the factor that each run of neighbouring splits makes, with its words."""
    found = []
    some = known[-_MOST_SPLITS:]
    for first in range(len(some)):
        change, names = 0.0, []
        for day, ratio in some[first:]:
            change += log(ratio)
            names.append(f"{ratio_in_words(ratio)} on {day}")
            found.append((some[first][0], change, f"split {joined(names)}"))
    return found


def _dividends(a: DailyBars, b: DailyBars, bad: Sequence[int], tolerance: float, facts: Facts) -> Iterator[tuple[int, str]]:
    if not facts.dividends:
        return
    logs = _logs(a, b)
    splits = _split_logs(a, facts.splits)
    has_splits = bool(np.any(splits))
    ways: list[tuple[Floats, str]] = []
    for adjusted, plain, sign in ((1, a, -1.0), (0, b, 1.0)):
        # log(a / b) is -factor where b is adjusted, and +factor where a is.
        name = facts.names[adjusted]
        cash = _cash_logs(plain, facts.dividends)
        ways.append((sign * cash, f"{name} is adjusted for dividends"))
        if has_splits:
            ways.append((sign * (cash + splits), f"{name} is adjusted for splits and dividends"))
            in_shares_of_today = [
                Cash(one.day, one.amount * np.exp(_split_log_behind(one.day, facts.splits))) for one in facts.dividends
            ]
            ways.append((sign * _cash_logs(plain, in_shares_of_today), f"{name} is adjusted for dividends"))
    for at in bad:
        fits = (words for way, words in ways if way[at] != 0 and np.abs(logs[:, at] - way[at]).max() <= tolerance)
        if words := next(fits, ""):
            yield at, words


def _unit(a: DailyBars, b: DailyBars, bad: Sequence[int], tolerance: float, facts: Facts) -> Iterator[tuple[int, str]]:
    logs = _logs(a, b)
    for sign, (more, less) in ((1, facts.names), (-1, facts.names[::-1])):
        fits: Flags = np.abs(logs - sign * log(100)).max(axis=0) <= tolerance
        if fits.sum() >= max(_FEWEST, _NEARLY_ALL * len(a.days)):
            words = f"prices of {more} are 100 times those of {less}, as pence and pounds are"
            yield from ((at, words) for at in bad if fits[at])


def _shift(a: DailyBars, b: DailyBars, bad: Sequence[int], tolerance: float, facts: Facts) -> Iterator[tuple[int, str]]:
    for early, late, (first, second) in ((a, b, facts.names), (b, a, facts.names[::-1])):
        # The bar that `early` has on a session stands on the next one of `late`.
        differs = np.stack([apart(getattr(early, name)[:-1], getattr(late, name)[1:]) for name in PRICES])
        same = differs.max(axis=0, initial=0.0) <= tolerance
        fits = np.append(same, False) | np.append(False, same)
        matching = [at for at in bad if fits[at]]
        if len(matching) >= max(_FEWEST, _NEARLY_ALL * len(bad)):
            words = f"{second} has the bars of {first} a session later: one of the two dates them otherwise"
            yield from ((at, words) for at in matching)


def volume_causes(a: DailyBars, b: DailyBars, tolerance: float, explained: Mapping[int, str]) -> dict[str, int]:
    """How many sessions have volumes that differ by more than the tolerance, by cause; "" for none."""
    found: dict[str, int] = {}
    differs = apart(a.volume, b.volume)
    with np.errstate(divide="ignore", invalid="ignore"):
        volumes, prices = np.log(a.volume / b.volume), np.log(a.close / b.close)
    for at in np.flatnonzero(differs > tolerance).tolist():
        why = ""
        if abs(abs(volumes[at]) - log(100)) <= tolerance:
            why = "one of the two counts lots of 100"
        elif "split" in explained.get(at, "") and abs(volumes[at] + prices[at]) <= max(tolerance, _NEAR):
            why = "the split of the prices"
        found[why] = found.get(why, 0) + 1
    return found


def _logs(a: DailyBars, b: DailyBars) -> Floats:
    """The logarithms of the ratios of the four prices; NaN where one is absent or not above zero."""
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.stack([np.log(getattr(a, name) / getattr(b, name)) for name in PRICES])
    return np.where(np.isfinite(found), found, np.nan)


def _split_logs(bars: DailyBars, splits: Sequence[tuple[date, float]]) -> Floats:
    """By what splits multiply the prices of each day: the logarithm."""
    found = np.zeros(len(bars.days))
    for day, ratio in splits:
        found[bars.days < (day - _EPOCH).days] -= log(ratio)
    return found


def _split_log_behind(day: int, splits: Sequence[tuple[date, float]]) -> float:
    return -sum(log(ratio) for ex_date, ratio in splits if (ex_date - _EPOCH).days > day)


def _cash_logs(bars: DailyBars, dividends: Sequence[Cash]) -> Floats:
    """By what dividends multiply the prices of each day: the logarithm. Behind the last bar its close counts."""
    found = np.zeros(len(bars.days))
    for one in dividends:
        at = min(int(np.searchsorted(bars.days, one.day)), len(bars.days) - 1)
        close = float(bars.close[at])
        if close > 0 and one.amount > 0:
            found[bars.days < one.day] += log(close / (close + one.amount))
    return found
