"""The checks of a cross-section: those of bars, and for the symbols that a vendor brings without having been asked for them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from marketfetch.schemas.bars import PRICE_COLUMNS, BarColumns, Flags, Ints
from marketfetch.schemas.integrity import Rows, check_bars
from marketfetch.schemas.page import Quirk
from marketfetch.schemas.price_rules import PriceKind
from marketfetch.schemas.rejects import RejectBook, Rejects
from marketfetch.schemas.symbol_text import problem

#: What nearly every ticker of a stock looks like; any other text is looked at letter by letter.
_PLAIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9.]{0,63}")

NO_SYMBOL: Final = "not a symbol: it has characters that no symbol has"
ANOTHER_DAY: Final = "timestamp is outside the asked day"


@dataclass(frozen=True, slots=True, eq=False)
class CheckedSection:
    """The symbols that passed, in order, and the bar of each; the rejects and the quirks."""

    symbols: tuple[str, ...]
    bars: BarColumns
    rejects: Rejects
    quirks: tuple[Quirk, ...]


def check_cross_section(
    symbols: Sequence[str], bars: BarColumns, *, numbers: Ints, start_ms: int, kind: PriceKind, symbol_field: str
) -> CheckedSection:
    """Checks the bars of `symbols`, one row each, of the one time `start_ms`.

    A symbol that is none, as a vendor has sent (docs/rows.md, prices of 9e11: bytes of another field, with
    prices of 9e11), a bar of another time, and two rows of a symbol that differ (issues/153) are rejects; so is a bar that
    `check_bars` rejects. `numbers` are the rows of the reply, `symbol_field` is the vendor's name of the symbol.
    """
    book = RejectBook()
    good = np.ones(len(symbols), dtype=np.bool_)
    for i, symbol in enumerate(symbols):
        if not is_symbol(symbol):
            good[i] = False
            book.add(int(numbers[i]), symbol_field, symbol, NO_SYMBOL)
    for i in np.flatnonzero(good & (bars.ts != start_ms)).tolist():
        good[i] = False
        book.add(int(numbers[i]), "ts", int(bars.ts[i]), ANOTHER_DAY, symbol=symbols[i])
    if not good.all():
        symbols, bars, numbers = [symbols[i] for i in np.flatnonzero(good).tolist()], bars.take(good), numbers[good]
    names, places = _places(symbols)
    # The place of its symbol stands for the time of a bar: so the checks see each symbol's rows as rows of one time.
    checked = check_bars(replace(bars, ts=places), rows=Rows(numbers), required=PRICE_COLUMNS, kind=kind)
    of_row = dict(zip(numbers.tolist(), symbols, strict=True)) if checked.rejects else {}
    found = checked.rejects.worded(lambda one: replace(one, symbol=of_row.get(one.row, "")), str)
    kept = names if len(checked.bars) == len(names) else tuple(names[i] for i in checked.bars.ts.tolist())
    return CheckedSection(
        symbols=kept,
        bars=replace(checked.bars, ts=np.full(len(kept), start_ms, dtype=np.int64)),
        rejects=Rejects.together(book.rejects(), found),
        quirks=checked.quirks,
    )


def is_symbol(text: str) -> bool:
    """True for a text that may be a symbol, as a vendor brings it without having been asked for it."""
    return bool(_PLAIN.fullmatch(text)) or problem(text) is None


def _places(symbols: Sequence[str]) -> tuple[tuple[str, ...], Ints]:
    """The distinct symbols, and for each row the place of its symbol among them."""
    names = tuple(dict.fromkeys(symbols))
    if len(names) == len(symbols):
        return names, np.arange(len(names), dtype=np.int64)
    place = {name: i for i, name in enumerate(names)}
    return names, np.fromiter(map(place.__getitem__, symbols), dtype=np.int64, count=len(symbols))


def commonest(values: Ints, where: Flags) -> int:
    """The value that most of them are, of those at `where`; 0 where there is none."""
    found, counts = np.unique(values[where], return_counts=True)
    return int(found[np.argmax(counts)]) if len(found) else 0
