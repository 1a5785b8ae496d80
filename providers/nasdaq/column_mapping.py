"""ColumnMapping: which columns of a vendor's table form a bar, and what its prices are.

Settings hold the mapping of a table that is not built in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, field_validator, model_validator

from marketfetch.schemas.price_rules import PriceKind
from marketfetch.schemas.timespans import Adjustment, Timespan
from marketfetch.vendors.trading_days import EVERY_DAY, WEEK_OF_CURRENCIES, exchange

#: What a column of closes holds, by its plain name; any other holds traded prices.
_KIND_BY_CLOSE: Final[Mapping[str, PriceKind]] = MappingProxyType(
    {"settle": "settlement", "settlement": "settlement", "value": "value", "rate": "value", "indexvalue": "value"}
)


def plain(name: str) -> str:
    """Strips case, spaces, dots, dashes and underscores from a column's name: "Adj. Close" and "adj_close" are one."""
    return re.sub(r"[\s._\-]+", "", name).lower()


#: The calendar of stocks of the US, whose exchanges have the same sessions.
US_STOCKS: Final = "XNYS"


class PriceColumns(BaseModel):
    """The vendor's column names for one adjustment. Only `close` is required: a value series has no other price."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    close: str
    open: str | None = None
    high: str | None = None
    low: str | None = None
    volume: str | None = None
    vwap: str | None = None


class ColumnMapping(BaseModel):
    """How a Nasdaq Data Link dataset or datatable becomes bars.

    `date` and `symbol` are column names. `symbol` None: the whole table is one series; several columns: a series is named by
    their values, joined by "+", as in "ZSFH+99999". `raw`, `split` and `split_dividend` name the price columns of each
    adjustment; a table with several adjustments gives several series per response. `price` says what the raw prices are, and so
    which checks hold (see marketfetch/schemas/price_rules.py); None: by the name of the column of closes. `ignore` names
    columns of texts or ids whose values may differ within a series. Case, spaces, dots, dashes and underscores in a name do not
    matter ("Adj. Close" = "adj_close"). `calendar` is the exchange whose sessions the rows have, such as XNYS, or 24/7 or 24/5;
    None where it is not known, so that no session can be said to be missing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    kind: Literal["dataset", "table"] = "table"
    timespan: Timespan = "1d"
    zone: str = "America/New_York"
    calendar: str | None = None
    date: str = "date"
    symbol: str | tuple[str, ...] | None = None
    price: Literal["traded", "settlement", "value"] | None = None
    ignore: tuple[str, ...] = ()
    raw: PriceColumns | None = None
    split: PriceColumns | None = None
    split_dividend: PriceColumns | None = None

    @field_validator("calendar")
    @classmethod
    def _is_known(cls, calendar: str | None) -> str | None:
        # The built-in tables have US_STOCKS: importing them reads no calendar.
        if calendar not in (None, EVERY_DAY, WEEK_OF_CURRENCIES, US_STOCKS):
            exchange(calendar)
        return calendar

    @model_validator(mode="after")
    def _has_prices(self) -> Self:
        if not (self.raw or self.split or self.split_dividend):
            raise ValueError("name the price columns under raw, split or split_dividend (at least close)")
        return self

    @property
    def key(self) -> tuple[str, ...]:
        """The columns that name a series."""
        return (self.symbol,) if isinstance(self.symbol, str) else self.symbol or ()

    def kind_of(self, adjustment: Adjustment) -> PriceKind:
        """Returns what the prices of an adjustment are."""
        if adjustment != "raw" or self.raw is None:
            return "adjusted"
        return self.price or _KIND_BY_CLOSE.get(plain(self.raw.close), "traded")

    def prices(self) -> dict[Adjustment, PriceColumns]:
        """Returns the price columns of each adjustment that this table has, in a fixed order."""
        named: dict[Adjustment, PriceColumns | None] = {
            "raw": self.raw,
            "split": self.split,
            "split_dividend": self.split_dividend,
        }
        return {adjustment: columns for adjustment, columns in named.items() if columns}
