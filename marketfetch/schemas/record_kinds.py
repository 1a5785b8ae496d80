"""The kinds of records that are no bars: name, columns and natural key, from which their tables are written; and their rows.

`record_models.py` has the checks of their rows. `columns` say type, unit and meaning of every value, in the order of the table;
`key` names the columns by which two rows are one. docs/datasets.md shows all of it for people.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal

#: text, a day (ISO 8601), a number, a whole number.
ColumnType = Literal["text", "day", "number", "whole"]
#: Stands for every symbol of a market, where one call brings them all.
WHOLE_MARKET: Final = "*"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a kind's table. `meaning` has the unit. `filled`: the table has a value in every row."""

    name: str
    type: ColumnType
    meaning: str
    filled: bool = True


@dataclass(frozen=True, slots=True)
class RecordKind:
    """`name` is the name of its table. `once`: columns that two different rows rarely share.

    A whole list has every row of one value of the column `scope`: of one symbol, or of a part of a market, whose value `parts`
    gives by the name of the dataset.

    `listed`: replies are whole lists. False: rows are only added, since a reply has those alone that were asked for.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    once: tuple[str, ...]
    scope: str = "symbol"
    parts: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    #: False: a list has only what lies ahead, so a row that it lacks is not gone.
    judges: bool = True
    stored: bool = True
    listed: bool = True
    #: The column of the row's day, "" where it has none: a question for a range means it.
    dated: str = ""
    #: Datasets of a kind of lists whose replies are no lists.
    searches: tuple[str, ...] = ()


_SYMBOL: Final = Column("symbol", "text", "the vendor's spelling")
_VENDOR_ID: Final = Column("vendor_id", "text", "the vendor's own id of the row, empty where it has none")

SPLITS: Final = RecordKind(
    name="splits",
    title="Stock splits",
    columns=(
        _SYMBOL,
        Column("ex_date", "day", "the first session that trades the new shares"),
        Column("new_shares", "number", "shares after the split, for every `old_shares`"),
        Column("old_shares", "number", "shares before the split"),
        _VENDOR_ID,
    ),
    key=("symbol", "ex_date", "new_shares", "old_shares"),
    once=("symbol", "ex_date"),
    dated="ex_date",
)
DIVIDENDS: Final = RecordKind(
    name="dividends",
    title="Cash dividends",
    columns=(
        _SYMBOL,
        Column("ex_date", "day", "the first session that trades without the dividend"),
        Column("amount", "number", "cash per share, in `currency`, as declared"),
        Column("currency", "text", "ISO 4217, empty where the vendor does not say it"),
        Column("kind", "text", "the vendor's word, empty where it has none: CD, SC (special cash), LT, ST (capital gains)"),
        Column("frequency", "whole", "payments a year, 0 for one that is made once", filled=False),
        Column("declared", "day", "when it was declared", filled=False),
        Column("recorded", "day", "who holds the share on this day is paid", filled=False),
        Column("paid", "day", "when it is paid", filled=False),
        _VENDOR_ID,
    ),
    key=("symbol", "ex_date", "amount", "currency", "kind"),
    once=("symbol", "ex_date"),
    dated="ex_date",
)
QUOTES: Final = RecordKind(
    name="snapshots",
    title="Latest prices",
    columns=(
        _SYMBOL,
        Column("taken_at", "text", "the vendor's own time: ISO 8601 in UTC, a date alone where it gives no time"),
        Column("day", "day", "the date of its session"),
        Column("price", "number", "the latest price, absent before the first trade", filled=False),
        *(
            Column(one, "number", "of that session, absent before it opens", filled=False)
            for one in ("open", "high", "low", "volume")
        ),
        Column("previous_close", "number", "of the session before", filled=False),
    ),
    key=("symbol", "taken_at"),
    once=("symbol", "taken_at"),
    dated="day",
    listed=False,
)
LISTINGS: Final = RecordKind(
    name="symbols",
    title="Listed instruments",
    columns=(
        _SYMBOL,
        Column("status", "text", "active, delisted, or found: by a search, which says neither"),
        Column("listing", "text", "which of several listings of a reused symbol: its last day, else its first one, else empty"),
        Column("name", "text", "the name of the instrument"),
        Column("exchange", "text", "the vendor's word: a MIC such as XNYS, or a name such as NYSE"),
        Column("kind", "text", "the vendor's word: CS, ETF, ADRC ..., or Stock and ETF"),
        Column("market", "text", "the vendor's word, such as stocks; empty where it has none"),
        Column("currency", "text", "of its prices, as the vendor writes it; empty where it does not say it"),
        Column("listed", "day", "its first day on the exchange", filled=False),
        Column("delisted", "day", "its last day on the exchange", filled=False),
        Column("vendor_id", "text", "its composite FIGI, empty where the vendor does not say it"),
    ),
    key=("symbol", "status", "listing"),
    once=("symbol", "status"),
    scope="status",
    parts=MappingProxyType({"symbols": "active", "delisted": "delisted", "search": "found"}),
    searches=("search",),
)
HOLIDAYS: Final = RecordKind(
    name="holidays",
    title="Days on which an exchange is closed, or closes early",
    columns=(
        Column("exchange", "text", "the vendor's word, such as NYSE"),
        Column("day", "day", "the date"),
        Column("status", "text", "closed, or early-close"),
        Column("name", "text", "the name of the holiday"),
        Column("opens", "text", "the time of the opening in UTC, ISO 8601, empty where the exchange is closed"),
        Column("closes", "text", "the time of the close in UTC, ISO 8601, empty where the exchange is closed"),
    ),
    key=("exchange", "day", "status"),
    once=("exchange", "day"),
    dated="day",
    scope="exchange",
    judges=False,
)

MARKETS: Final = RecordKind(
    name="market_status",
    title="Which markets are open now",
    columns=(
        Column("kind", "text", "the vendor's word for a kind of market, such as exchanges or Equity"),
        Column("market", "text", "the vendor's word: an exchange, a kind of currencies, an index group, or a region"),
        Column(
            "taken_at", "text", "the vendor's own time: ISO 8601 in UTC, empty where it gives none, and then it is `fetched_at`"
        ),
        Column("status", "text", "the vendor's word: open, closed, extended-hours ..."),
        Column("exchanges", "text", "the exchanges of a region, as the vendor lists them; empty where it lists none"),
        Column(
            "opens", "text", "when its session begins, in its local time, such as 09:30; empty where the vendor does not say it"
        ),
        Column("closes", "text", "when its session ends, in its local time; empty where the vendor does not say it"),
        Column("notes", "text", "what the vendor adds, such as a break at noon"),
    ),
    key=("kind", "market", "taken_at"),
    once=("kind", "market", "taken_at"),
    listed=False,
)

VALUE_ROWS: Final = RecordKind(
    name="value_rows",
    title="Rows of any table or time series, as they are",
    columns=(
        Column("symbol", "text", "the table, VENDOR/TABLE, or the time series, datasets/DATABASE/CODE"),
        Column("row_key", "text", "a JSON object of the columns of the table's own key"),
        Column("day", "day", "the row's date: of the key, else the first column of dates", filled=False),
        Column("cells", "text", "a JSON object of all columns, typed as the vendor's columns are"),
    ),
    key=("symbol", "row_key"),
    once=("symbol", "row_key"),
    dated="day",
    listed=False,
)

KINDS: Final = MappingProxyType({one.name: one for one in (SPLITS, DIVIDENDS, QUOTES, LISTINGS, HOLIDAYS, MARKETS, VALUE_ROWS)})

#: A value of a record: a text, a day as ISO 8601, a number, or None where it is absent.
Value = str | float | int | None


@dataclass(frozen=True, slots=True)
class Records:
    """`kind` is a name of `KINDS`; "" without rows means that the reply is not one of records.

    Rows are by their natural key, and no two of them have the same one. `dataset` is the one that was asked for, "" where that
    is not known; several may be parts of one kind. `columns` are the vendor's own, of a reply of values that says all that its
    table has. `days`: the first and the last day (ISO 8601) of a list that was asked for by a range; None for a whole list.
    """

    kind: str = ""
    rows: tuple[tuple[Value, ...], ...] = ()
    dataset: str = ""
    columns: tuple[str, ...] = ()
    days: tuple[str, str] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def named(self) -> list[dict[str, Value]]:
        """The rows as mappings from the names of the columns."""
        names = [one.name for one in KINDS[self.kind].columns] if self.kind else []
        return [dict(zip(names, row, strict=True)) for row in self.rows]


NO_RECORDS = Records()
