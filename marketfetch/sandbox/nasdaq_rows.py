"""The price rows behind Nasdaq Data Link's datasets and tables: raw and fully adjusted numbers of one stock."""

from __future__ import annotations

from datetime import date
from typing import Any, Final

import numpy as np

from marketfetch.sandbox import recorded
from marketfetch.sandbox.market import Market
from marketfetch.sandbox.symbols import stock

#: What each vendor table calls the fourteen numbers; WIKI ended on this day and is still served.
WIKI_END: Final = date(2018, 3, 27)
_ADJ: Final = ("adj_open", "adj_high", "adj_low", "adj_close", "adj_volume")
NUMBERS: Final = ("open", "high", "low", "close", "volume", "dividend", "split", *_ADJ)


def price_rows(market: Market, name: str, *, first: date, last: date, wiki: bool) -> list[tuple[str, dict[str, float]]] | None:
    """(ISO date, numbers by NUMBERS) oldest first; None for an unknown symbol.

    With `wiki` the recorded adjusted prices of 2014 stand as they were exported, and nothing follows WIKI_END.
    """
    symbol = stock(name)
    if symbol is None:
        return None
    days = market.daily(symbol).between(first, min(last, WIKI_END) if wiki else last)
    factor = days.dividend / days.split
    columns: list[Any] = [days.open, days.high, days.low, days.close, days.volume, days.cash, days.ratio]
    columns += [np.round(column * factor, 6) for column in (days.open, days.high, days.low, days.close)]
    columns.append(np.round(days.volume * days.split, 1))
    texts = [str(day) for day in days.day]
    rows = [
        (day, dict(zip(NUMBERS, numbers, strict=True)))
        for day, numbers in zip(texts, zip(*(column.tolist() for column in columns), strict=True), strict=True)
    ]
    if wiki:
        known = recorded.wiki_rows()
        for day, numbers in rows:
            if row := known.get((name, day)):
                numbers |= {field: float(row[field]) for field in _ADJ}
                numbers |= {"dividend": float(row["ex-dividend"]), "split": float(row["split_ratio"])}
    return rows
