"""By what the raw prices and volumes of many series are multiplied, from their splits and dividends. Pure: no I/O, no clock.

    splits only            price of a bar before the ex date × old shares ÷ new shares; volume × new ÷ old
    splits and dividends   price further × close ÷ (close + cash), with the raw close of the ex date; the volume as above

The second is the total return of a holder who reinvests at the close of the ex date, and what the vendors of adjusted closes do
(tests/frames/test_factors.py compares). An ex date without a session counts from the next bar on. A split on the day of
a dividend needs no rule: the cash is paid for the new shares, in which that day's close is.

What is doubtful is decided in doubtful_actions.py and returned as a `Doubt`; no action is dropped without one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from marketfetch.frames.actions import Actions, Bars, Floats, Ints, Places
from marketfetch.frames.doubtful_actions import Doubt, chosen_splits, counted_dividends


@dataclass(frozen=True, slots=True)
class Factors:
    """For each bar the number by which its prices are multiplied, and the one for its volume; and what was in doubt."""

    price: Floats
    volume: Floats
    doubts: tuple[Doubt, ...]


def factors(bars: Bars, splits: Actions, dividends: Actions | None, *, daily: Bars | None = None) -> Factors:
    """The factors of these bars. `dividends` None: for splits only. `daily`: daily bars of the same series with the closes that
    count, where `bars` are shorter; None if `bars` are daily themselves.

    The actions are those that count, see `Actions.known_on`. Memory: two numbers a bar.
    """
    closes = daily or bars
    days = Places(closes)
    split_n, split_day, ratio, doubts = chosen_splits(splits, days, closes.close)
    cash_n, cash_day, kept = np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
    if dividends is not None:
        cash_n, cash_day, kept, more = counted_dividends(dividends, (split_n, split_day, ratio), days, closes.close)
        doubts = (*doubts, *more)
    places = days if closes is bars else Places(bars)
    split_price = _spread(places, split_n, split_day, 1 / ratio)
    volume = _spread(places, split_n, split_day, ratio)
    price = split_price * _spread(places, cash_n, cash_day, kept) if len(kept) else split_price
    return Factors(price, volume, doubts)


def _spread(places: Places, n: Ints, day: Ints, factor: Floats) -> Floats:
    """For each bar the product of the factors of its series whose day is after the bar's."""
    found = np.ones(len(places.bars.n))
    order = np.lexsort((day, n))
    n, day, factor = n[order], day[order], factor[order]
    behind = places.at(n, day)
    first, _ = places.ends(n)
    for low, high in _runs(n):
        after = np.cumprod(factor[low:high][::-1])[::-1]
        begins = int(first[low])
        for one, end in zip(after.tolist(), behind[low:high].tolist(), strict=True):
            found[begins:end] = one
            begins = max(begins, end)
    return found


def _runs(n: Ints) -> Iterator[tuple[int, int]]:
    """The ranges of equal numbers in a sorted array."""
    if len(n):
        ends = [*(np.flatnonzero(np.diff(n)) + 1).tolist(), len(n)]
        yield from zip([0, *ends], ends, strict=False)
