"""Which of the stored splits and dividends count where a vendor's list is doubtful, and what is said about it.

Seen at vendors: a split twice with different ratios (216 at one of them), a corrected one beside the first; dividends above
the price, and in another currency than the others.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from marketfetch.frames.actions import EPOCH, Actions, Floats, Ints, Places


@dataclass(frozen=True, slots=True)
class Doubt:
    """An action that counts otherwise than it stands: the series, the ex date, and what was decided, as a sentence."""

    n: int
    ex_date: date
    text: str


def chosen_splits(splits: Actions, places: Places, close: Floats) -> tuple[Ints, Ints, Floats, tuple[Doubt, ...]]:
    """Series, day and ratio of the splits that count: one of each series and day.

    Equal ratios are one split. Of different ones on one day, the one that the closes before and on it support counts; without
    these closes the one that was seen last.
    """
    order = np.lexsort((splits.value, splits.first_seen, splits.ex_day, splits.n))
    n, day, ratio = splits.n[order], splits.ex_day[order], splits.value[order]
    good = np.isfinite(ratio) & (ratio > 0)
    doubts = [_doubt(n[i], day[i], f"a split of {ratio[i]:g} for 1 is none and does not count") for i in np.flatnonzero(~good)]
    n, day, ratio = n[good], day[good], ratio[good]
    takes = np.ones(len(n), dtype=np.bool_)
    again = np.flatnonzero((n[1:] == n[:-1]) & (day[1:] == day[:-1])) if len(n) else np.empty(0, np.int64)
    decided: set[tuple[int, int]] = set()
    for begin in again.tolist():
        if (key := (int(n[begin]), int(day[begin]))) in decided:
            continue
        decided.add(key)
        same = np.flatnonzero((n == n[begin]) & (day == day[begin]))
        best, why = _supported(n[begin], day[begin], ratio[same], places, close)
        takes[same] = False
        takes[same[best]] = True
        if len(several := sorted(set(ratio[same].tolist()))) > 1:
            words = " and ".join(f"{one:g} for 1" for one in several)
            text = f"the vendor has splits of {words} on one day: {ratio[same[best]]:g} for 1 counts, {why}"
            doubts.append(_doubt(n[begin], day[begin], text))
    takes &= ratio != 1
    return n[takes], day[takes], ratio[takes], tuple(doubts)


def _supported(n: int, day: int, ratios: Floats, places: Places, close: Floats) -> tuple[int, str]:
    """The place in `ratios` of the one that counts, and the reason."""
    series, days = np.array([n]), np.array([day])
    at, (first, end) = int(places.at(series, days)[0]), places.ends(series)
    if int(first[0]) < at < int(end[0]) and close[at - 1] > 0 and close[at] > 0:
        jump = close[at - 1] / close[at]
        best = int(np.argmin(np.abs(np.log(ratios) - np.log(jump))))
        return best, f"which the closes {close[at - 1]:g} and {close[at]:g} around it support"
    return len(ratios) - 1, "which was seen last; there are no closes around it"


def counted_dividends(
    dividends: Actions, splits: tuple[Ints, Ints, Floats], places: Places, close: Floats
) -> tuple[Ints, Ints, Floats, tuple[Doubt, ...]]:
    """Series, day and factor (0 to 1) of the dividends that count: all of a day are paid, so their cash adds up.

    A day behind the last bar has no close to reinvest at, and waits for it. Cash of the price before the ex date or more, or in
    another currency than most of the series' dividends, does not count.
    """
    first, end = places.ends(dividends.n)
    at = places.at(dividends.n, dividends.ex_day)
    inside = (at > first) & (at < end) & (dividends.value != 0)
    here = dividends.where(inside)
    at = at[inside]
    usual = _usual_currencies(dividends)
    cash: dict[tuple[int, int], float] = {}
    place: dict[tuple[int, int], int] = {}
    kinds: dict[tuple[int, int, str], float] = {}
    on_split = {(i, j): ratio for i, j, ratio in zip(*(one.tolist() for one in splits), strict=True)}
    doubts: list[Doubt] = []
    values = zip(here.n.tolist(), here.ex_day.tolist(), here.value.tolist(), here.kind, at.tolist(), strict=True)
    for n, day, amount, kind, bar in values:
        before = float(close[bar - 1]) / on_split.get((n, day), 1.0)
        if currency_of(kind) != usual[n]:
            doubts.append(
                _doubt(n, day, f"a dividend in {currency_of(kind)}, where the others are in {usual[n]}, does not count")
            )
        elif not 0 < amount < before or not close[bar] > 0:
            doubts.append(_doubt(n, day, f"a dividend of {amount:g} at a close of {before:g} before it does not count"))
        else:
            if (other := kinds.setdefault((n, day, kind), amount)) != amount:
                doubts.append(_doubt(n, day, f"dividends of {other:g} and {amount:g} on one day are both counted"))
            cash[n, day] = cash.get((n, day), 0.0) + amount
            place[n, day] = bar
    keys = np.array(list(cash), dtype=np.int64).reshape(-1, 2)
    paid, of_day = np.array(list(cash.values())), close[np.array(list(place.values()), dtype=np.int64)]
    return keys[:, 0], keys[:, 1], of_day / (of_day + paid), tuple(doubts)


def kind_of(word: str, currency: str) -> str:
    """The kind of a dividend: what may stand on one day beside another one, and its currency."""
    return f"{word} {currency.upper()}"


def currency_of(kind: str) -> str:
    return kind.rpartition(" ")[2]


def _usual_currencies(dividends: Actions) -> dict[int, str]:
    counts = Counter(zip(dividends.n.tolist(), map(currency_of, dividends.kind), strict=True))
    usual: dict[int, str] = {}
    for (n, currency), _ in sorted(counts.items(), key=lambda one: (one[1], one[0][1])):
        usual[n] = currency
    return usual


def _doubt(n: int, day: int, text: str) -> Doubt:
    return Doubt(int(n), EPOCH + timedelta(days=int(day)), text)
