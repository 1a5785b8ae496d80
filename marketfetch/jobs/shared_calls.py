"""Which symbols that miss different days to put into one call of several symbols."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple

from marketfetch.jobs.market_calls import sessions_in
from marketfetch.schemas.coverage import Days
from marketfetch.schemas.request import Request
from marketfetch.schemas.timespans import is_intraday
from marketfetch.vendors.covering import symbols_of
from marketfetch.vendors.protocol import Vendor, VendorOptions

#: So many symbols are planned to see how many a call takes.
_PROBED: Final = 200


class Piece(NamedTuple):
    """Some symbols, and days that each of them misses."""

    days: Days
    symbols: tuple[str, ...]


def together(
    pieces: list[Piece],
    plan: Callable[[Sequence[str], Days], Sequence[Request]],
    vendor: Vendor[Any],
    options: VendorOptions,
) -> list[Piece]:
    """Returns the pieces, those of few symbols together in one call where the vendor has calls of several symbols.

    `plan` makes the requests of some symbols for some days; the symbols of all pieces have one dataset and one calendar.
    """
    if len(pieces) < 2:
        return pieces
    some = list(dict.fromkeys(symbol for one in pieces[:_PROBED] for symbol in one.symbols))[:_PROBED]
    tried = plan(some, pieces[0].days)
    size = max(len(symbols_of(one)) for one in tried)
    if size < 2 or is_intraday(tried[0].timespan):
        return pieces
    page, finality = vendor.page_rows(tried[0], options), vendor.finality_of(tried[0], options)

    def calls(symbols: int, days: Days) -> int:
        return max(1, math.ceil(symbols * len(sessions_in(finality, days)) / page))

    return packed(pieces, size, calls)


def packed(pieces: Iterable[Piece], size: int, calls: Callable[[int, Days], int]) -> list[Piece]:
    """Returns pieces that have all days of all symbols, for fewer calls if there is a way: at most `size` symbols share one.

    Pure. `calls` is how many calls some symbols, `size` at most, take for some days: more than one where a page does not hold
    them.
    In the order of their days, each run of pieces may become one; of equal calls the fewest rows.
    """
    full: list[Piece] = []
    rest: list[Piece] = []
    for days, symbols in pieces:
        # A whole call of symbols that miss the same is as good as it gets.
        whole = len(symbols) // size * size
        full += [Piece(days, symbols[:whole])] if whole else []
        rest += [Piece(days, symbols[whole:])] if whole < len(symbols) else []
    rest.sort(key=lambda one: one.days)
    #: Per number of pieces, from the first on: calls, rows, and how many of them come before the last run.
    best: list[tuple[int, int, int]] = [(0, 0, 0)]
    for n in range(1, len(rest) + 1):
        ways = []
        together, last = 0, rest[n - 1].days.last
        for k in range(n - 1, -1, -1):
            together += len(rest[k].symbols)
            if together > size:
                break
            last = max(last, rest[k].days.last)
            span = Days(rest[k].days.first, last)
            rows = together * (span.last - span.first + 1)
            ways.append((best[k][0] + calls(together, span), best[k][1] + rows, k))
        best.append(min(ways))
    runs: list[Piece] = []
    n = len(rest)
    while n:
        k = best[n][2]
        runs.append(_one(rest[k:n]))
        n = k
    return [*full, *runs[::-1]]


def _one(pieces: Sequence[Piece]) -> Piece:
    days = Days(pieces[0].days.first, max(one.days.last for one in pieces))
    return Piece(days, tuple(dict.fromkeys(symbol for one in pieces for symbol in one.symbols)))
