"""Which columns of a dataset or datatable are a bar's: settings first, then tables known to us, then plain names.

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

#: Tables whose columns are not told by their names.
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
    """A column's name without case, spaces, dots, dashes and underscores: "Adj. Close" and "adj_close" are one."""
    return re.sub(r"[\s._\-]+", "", name).lower()


def mapping_named(name: str, tables: Mapping[str, ColumnMapping]) -> ColumnMapping | None:
    """The mapping of "VENDOR/TABLE" or "DB/CODE" from settings or from those known to us; None where there is none."""
    wanted = name.upper()
    family = f"{wanted.partition('/')[0]}/*"
    for known in (tables, KNOWN):
        for title, mapping in known.items():
            if title.upper() in (wanted, family):
                return mapping
    return None


def mapping_by_columns(columns: Sequence[str], *, kind: Literal["dataset", "table"]) -> ColumnMapping | None:
    """A known table that has all these columns, else a mapping from plain names; None where no column is a price for sure."""
    have = {plain(name): name for name in columns}
    for known in KNOWN.values():
        if known.symbol and all(plain(name) in have for name in _names(known)):
            return known
    date = next((have[plain(name)] for name in _DATES if plain(name) in have), None)
    symbol = next((have[name] for name in _SYMBOLS if name in have), None)
    close = next((have[plain(name)] for name in _CLOSES if plain(name) in have), None)
    if date is not None and close is None and len(columns) == 1:
        close = "close"  # Dates without values: every row is a reject, and says what it lacks.
    if date is None or close is None:
        return None
    raw = PriceColumns(close=close, **{name: have[name] for name in ("open", "high", "low", "volume") if name in have})
    adjusted = None
    if all(f"adj{name}" in have for name in ("open", "high", "low", "close")):
        names = {name: have[f"adj{name}"] for name in ("open", "high", "low", "close", "volume") if f"adj{name}" in have}
        adjusted = PriceColumns(**names)
    return ColumnMapping(kind=kind, date=date, symbol=symbol, raw=raw, split_dividend=adjusted)


def timespan_of(frequency: object) -> Timespan | None:
    """The timespan that a dataset's `frequency` means; None where it says nothing, or something that is no timespan of ours."""
    return _FREQUENCIES.get(str(frequency).lower())


def unmapped(name: str, columns: Sequence[str]) -> BadRequest:
    """What to write where we can't tell which column is a price."""
    close = next((column for column in columns if plain(column) not in {plain(one) for one in _DATES}), "COLUMN")
    date = columns[0] if columns else "date"
    return BadRequest(
        f"{name} has the columns {', '.join(columns)}, and none that is surely a price. Say which in marketfetch.toml: "
        f'[providers.nasdaq.tables."{name}"] with date = "{date}" and raw = {{ close = "{close}" }}',
        status=200,
    )


def missing(name: str, column: str, columns: Sequence[str]) -> BadRequest:
    """A mapping that names a column which the reply does not have."""
    return BadRequest(
        f'{name} has no column {column!r}; it has {", ".join(columns)}. Correct [providers.nasdaq.tables."{name}"] '
        f"in marketfetch.toml",
        status=200,
    )


def _names(mapping: ColumnMapping) -> list[str]:
    names = [mapping.date, *([mapping.symbol] if mapping.symbol else [])]
    for prices in mapping.prices().values():
        names += list(prices.model_dump(exclude_none=True).values())
    return names
