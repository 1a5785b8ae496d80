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

from .column_mapping import US_STOCKS, ColumnMapping, PriceColumns, plain
from .options import NasdaqOptions

WIKI_PRICES: Final = "WIKI/PRICES"

_SHARADAR: Final = ColumnMapping(
    symbol="ticker",
    calendar=US_STOCKS,
    raw=PriceColumns(close="closeunadj"),
    split=PriceColumns(open="open", high="high", low="low", close="close", volume="volume"),
    split_dividend=PriceColumns(close="closeadj"),
)
_QUOTED: Final = PriceColumns(open="open", high="high", low="low", close="close", volume="volume")
_ADJ: Final = PriceColumns(open="adj_open", high="adj_high", low="adj_low", close="adj_close", volume="adj_volume")

#: Built-in mappings of tables whose column names alone are not enough.
KNOWN: Final[Mapping[str, ColumnMapping]] = MappingProxyType(
    {
        # https://data.nasdaq.com/databases/WIKIP/documentation: adj_* holds splits and dividends. Ended 2018-03-27.
        WIKI_PRICES: ColumnMapping(symbol="ticker", calendar=US_STOCKS, raw=_QUOTED, split_dividend=_ADJ),
        "WIKI/*": ColumnMapping(kind="dataset", calendar=US_STOCKS, raw=_QUOTED, split_dividend=_ADJ),
        # https://data.nasdaq.com/databases/EOD/documentation: as WIKI, which it follows.
        "QUOTEMEDIA/PRICES": ColumnMapping(symbol="ticker", calendar=US_STOCKS, raw=_QUOTED, split_dividend=_ADJ),
        "EOD/*": ColumnMapping(kind="dataset", calendar=US_STOCKS, raw=_QUOTED, split_dividend=_ADJ),
        # https://data.nasdaq.com/databases/SEP/documentation, .../SFP/documentation: open to volume are adjusted for splits and
        # stock dividends, closeadj for cash dividends and spin-offs too; closeunadj is the close as traded.
        "SHARADAR/SEP": _SHARADAR,
        "SHARADAR/SFP": _SHARADAR,
        # https://data.nasdaq.com/databases/BITFINEX/documentation: a day is a UTC day, and has no open.
        "QDL/BITFINEX": ColumnMapping(
            symbol="code", zone="UTC", raw=PriceColumns(high="high", low="low", close="last", volume="volume")
        ),
        # https://data.nasdaq.com/databases/RTAT/documentation: a share of retail turnover, not a price.
        "NDAQ/RTAT10": ColumnMapping(symbol="ticker", price="value", raw=PriceColumns(close="activity")),
        # https://data.nasdaq.com/databases/MULTPL/documentation: one value a month, for every code of the database.
        "MULTPL/*": ColumnMapping(kind="dataset", timespan="1mo", raw=PriceColumns(close="Value")),
    }
)

_DATES: Final = ("date", "trade date", "month", "quarter", "year", "period end date")
_SYMBOLS: Final = ("ticker", "symbol")
_CLOSES: Final = ("close", "settle", "last", "value", "price", "rate", "index value")
#: A name of a column that says that the prices beside it may be adjusted; which of them are, no name tells.
_SUGGESTS_ADJUSTMENT: Final = re.compile(r"adj|spli?t|factor|totalreturn|closetr$|^aclose|dividendclose")
#: A dataset with as few columns may have them by chance.
_FEW_COLUMNS: Final = 4
_FREQUENCIES: Final[Mapping[str, Timespan]] = MappingProxyType({"daily": "1d", "weekly": "1w", "monthly": "1mo"})


def mapping_named(name: str, tables: Mapping[str, ColumnMapping]) -> ColumnMapping | None:
    """Returns the mapping of "VENDOR/TABLE" or "DB/CODE" from settings or the built-in ones; None if there is none."""
    wanted = name.upper()
    family = f"{wanted.partition('/')[0]}/*"
    for known in (tables, KNOWN):
        titles = {title.upper(): mapping for title, mapping in known.items()}
        if found := titles.get(wanted) or titles.get(family):
            return found
    return None


def mapping_by_columns(name: str, columns: Sequence[str], *, kind: Literal["dataset", "table"]) -> ColumnMapping | None:
    """Returns a mapping by column names; None if no column is surely a price.

    A saved response whose `name` is "" may have the columns of a built-in table. Raises BadRequest where a name suggests an
    adjustment: which prices are adjusted, and for what, is never guessed.
    """
    have = {plain(column): column for column in columns}
    for known in () if name else KNOWN.values():
        named = _names(known)
        told = known.key or len(named) > _FEW_COLUMNS
        if known.kind == kind and told and all(plain(column) in have for column in named):
            return known
    date = next((have[plain(column)] for column in _DATES if plain(column) in have), None)
    symbol = next((have[column] for column in _SYMBOLS if column in have), None)
    close = next((have[plain(column)] for column in _CLOSES if plain(column) in have), None)
    if date is not None and close is None and len(columns) == 1:
        close = "close"  # Dates without values: each row becomes a reject whose reason names the missing field.
    if date is None or close is None:
        return None
    prices = {column: have[column] for column in ("open", "high", "low", "volume") if column in have}
    mapping = ColumnMapping(kind=kind, date=date, symbol=symbol, raw=PriceColumns(close=close, **prices))
    if doubtful := [column for column in columns if _SUGGESTS_ADJUSTMENT.search(plain(column))]:
        raise BadRequest(
            f"Nasdaq Data Link: the columns {', '.join(doubtful)} of {name or 'this table'} suggest that some prices are "
            f"adjusted, and which ones is never guessed. Name the columns of each adjustment in marketfetch.toml: "
            f"{_setting(name, mapping)}, and what is adjusted as split = {{ ... }} or split_dividend = {{ ... }}",
            status=200,
        )
    return mapping


def describe(options: NasdaqOptions) -> tuple[str, ...]:
    """Returns a sentence for each table that the settings map: what its prices are, by the columns that hold them."""
    sentences = []
    for name, mapping in options.tables.items():
        columns = {one: prices.model_dump(exclude_none=True).values() for one, prices in mapping.prices().items()}
        kinds = [f"{one} ({mapping.kind_of(one)} prices) from {', '.join(named)}" for one, named in columns.items()]
        key = f"a series for each {' and '.join(mapping.key)}" if mapping.key else "one series"
        sentences.append(f"The table {name} has {key}: {'; '.join(kinds)}.")
    return tuple(sentences)


def timespan_of(frequency: object) -> Timespan | None:
    """Returns the timespan of a dataset's `frequency`; None if the field is absent or no supported timespan."""
    return _FREQUENCIES.get(str(frequency).lower())


def unmapped_key(name: str, mapping: ColumnMapping, key: Sequence[str], *, sure: bool) -> BadRequest:
    """Returns the error for columns that divide the rows of a series, and that no mapping names. `sure`: the vendor says so."""
    named = " and ".join(key)
    why = f"the key of {name} includes {named}" if sure else f"the values of {named} differ within one series of {name}"
    whole = mapping.model_copy(update={"symbol": (*mapping.key, *key)})
    other = "" if sure else f"; if they name no series, add {_ignoring(key)}"
    return BadRequest(
        f"Nasdaq Data Link: {why}, which no mapping names, so several series would be mixed. Name it in marketfetch.toml: "
        f"{_setting(name, whole)}{other}",
        status=200,
    )


def no_key(name: str, mapping: ColumnMapping, columns: Sequence[str]) -> BadRequest:
    """Returns the error for columns that look like a key, where the vendor says that the key is another."""
    return BadRequest(
        f"Nasdaq Data Link: the values of {' and '.join(columns)} differ within one series of {name}, and they are no part of "
        f"its key. Say so in marketfetch.toml: {_setting(name, mapping)}, {_ignoring(columns)}",
        status=200,
    )


def _ignoring(columns: Sequence[str]) -> str:
    return f"ignore = [{', '.join(_quoted(one) for one in columns)}]"


def _setting(name: str, mapping: ColumnMapping) -> str:
    """The mapping as it is written in marketfetch.toml."""
    key = ", ".join(_quoted(one) for one in mapping.key)
    symbol = f"symbol = {key if len(mapping.key) == 1 else f'[{key}]'}, " if key else ""
    prices = (mapping.raw or PriceColumns(close="COLUMN")).model_dump(exclude_none=True)
    columns = ", ".join(f"{field} = {_quoted(column)}" for field, column in prices.items())
    table = f"[providers.nasdaq.tables.{_quoted(name or 'VENDOR/TABLE')}]"
    return f"{table} with date = {_quoted(mapping.date)}, {symbol}raw = {{ {columns} }}"


def _quoted(text: str) -> str:
    return f'"{text}"'


def unmapped(name: str, columns: Sequence[str]) -> BadRequest:
    """Returns the error for a table without a column that is surely a price; the message shows the setting to write."""
    have = {plain(column): column for column in columns}
    date = next((have[plain(one)] for one in _DATES if plain(one) in have), None)
    date = date or next((column for column in columns if "date" in plain(column)), columns[0] if columns else "date")
    symbol = next((have[one] for one in _SYMBOLS if one in have), None)
    close = next((column for column in columns if column not in (date, symbol)), "COLUMN")
    return BadRequest(
        f"Nasdaq Data Link: {name} has the columns {', '.join(columns)}, and none is surely a price. "
        f"Name it in marketfetch.toml, for example: "
        f"{_setting(name, ColumnMapping(date=date, symbol=symbol, raw=PriceColumns(close=close)))}",
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
    names = [mapping.date, *mapping.key]
    for prices in mapping.prices().values():
        names += list(prices.model_dump(exclude_none=True).values())
    return names
