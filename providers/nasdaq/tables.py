"""Finds the columns of a dataset or datatable that form a bar: by settings, by a built-in table, or by their names.

https://docs.data.nasdaq.com/docs/tables-1, https://docs.data.nasdaq.com/docs/time-series
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, Literal

from marketfetch.schemas.timespans import Timespan
from marketfetch.vendors.errors import BadRequest

from .column_mapping import ColumnMapping, PriceColumns

WIKI_PRICES: Final = "WIKI/PRICES"

#: Built-in mappings of tables whose column names alone are not enough.
KNOWN: Final[Mapping[str, ColumnMapping]] = MappingProxyType(
    {
        # https://data.nasdaq.com/databases/WIKIP/documentation: adj_* holds splits and dividends. Ended 2018-03-27.
        WIKI_PRICES: ColumnMapping(
            symbol="ticker",
            raw=PriceColumns(open="open", high="high", low="low", close="close", volume="volume"),
            split_dividend=PriceColumns(
                open="adj_open", high="adj_high", low="adj_low", close="adj_close", volume="adj_volume"
            ),
        ),
        # https://data.nasdaq.com/databases/RTAT/documentation: a share of retail turnover, not a price.
        "NDAQ/RTAT10": ColumnMapping(symbol="ticker", raw=PriceColumns(close="activity")),
        # https://data.nasdaq.com/databases/MULTPL/documentation: one value a month, for every code of the database.
        "MULTPL/*": ColumnMapping(kind="dataset", timespan="1mo", raw=PriceColumns(close="Value")),
    }
)

_DATES: Final = ("date", "trade date", "month", "quarter", "year", "period end date")
_SYMBOLS: Final = ("ticker", "symbol")
_CLOSES: Final = ("close", "settle", "last", "value", "price", "rate", "index value")
_FREQUENCIES: Final[Mapping[str, Timespan]] = MappingProxyType({"daily": "1d", "weekly": "1w", "monthly": "1mo"})


def plain(name: str) -> str:
    """Strips case, spaces, dots, dashes and underscores from a column's name: "Adj. Close" and "adj_close" are one."""
    return re.sub(r"[\s._\-]+", "", name).lower()


def mapping_named(name: str, tables: Mapping[str, ColumnMapping]) -> ColumnMapping | None:
    """Returns the mapping of "VENDOR/TABLE" or "DB/CODE" from settings or the built-in ones; None if there is none."""
    wanted = name.upper()
    family = f"{wanted.partition('/')[0]}/*"
    for known in (tables, KNOWN):
        for title, mapping in known.items():
            if title.upper() in (wanted, family):
                return mapping
    return None


def mapping_by_columns(columns: Sequence[str], *, kind: Literal["dataset", "table"]) -> ColumnMapping | None:
    """Returns a built-in mapping whose columns all exist, else one by column names; None if no column is surely a price."""
    have = {plain(name): name for name in columns}
    for known in KNOWN.values():
        if known.symbol and all(plain(name) in have for name in _names(known)):
            return known
    date = next((have[plain(name)] for name in _DATES if plain(name) in have), None)
    symbol = next((have[name] for name in _SYMBOLS if name in have), None)
    close = next((have[plain(name)] for name in _CLOSES if plain(name) in have), None)
    if date is not None and close is None and len(columns) == 1:
        close = "close"  # Dates without values: each row becomes a reject whose reason names the missing field.
    if date is None or close is None:
        return None
    raw = PriceColumns(close=close, **{name: have[name] for name in ("open", "high", "low", "volume") if name in have})
    adjusted = None
    if all(f"adj{name}" in have for name in ("open", "high", "low", "close")):
        names = {name: have[f"adj{name}"] for name in ("open", "high", "low", "close", "volume") if f"adj{name}" in have}
        adjusted = PriceColumns(**names)
    return ColumnMapping(kind=kind, date=date, symbol=symbol, raw=raw, split_dividend=adjusted)


def timespan_of(frequency: object) -> Timespan | None:
    """Returns the timespan of a dataset's `frequency`; None if the field is absent or no supported timespan."""
    return _FREQUENCIES.get(str(frequency).lower())


def unmapped(name: str, columns: Sequence[str]) -> BadRequest:
    """Returns the error for a table without a column that is surely a price; the message shows the setting to write."""
    close = next((column for column in columns if plain(column) not in {plain(one) for one in _DATES}), "COLUMN")
    date = columns[0] if columns else "date"
    return BadRequest(
        f"Nasdaq Data Link: {name} has the columns {', '.join(columns)}, and none is surely a price. "
        f"Name it in marketfetch.toml: "
        f'[providers.nasdaq.tables."{name}"] with date = "{date}" and raw = {{ close = "{close}" }}',
        status=200,
    )


def missing(name: str, column: str, columns: Sequence[str]) -> BadRequest:
    """Returns the error for a mapping that names a column which the response does not have."""
    return BadRequest(
        f"Nasdaq Data Link: {name} has no column {column!r}; it has {', '.join(columns)}. "
        f'Correct [providers.nasdaq.tables."{name}"] in marketfetch.toml',
        status=200,
    )


def _names(mapping: ColumnMapping) -> list[str]:
    names = [mapping.date, *([mapping.symbol] if mapping.symbol else [])]
    for prices in mapping.prices().values():
        names += list(prices.model_dump(exclude_none=True).values())
    return names
