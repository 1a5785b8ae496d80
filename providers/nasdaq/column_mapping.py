"""ColumnMapping: which columns of a vendor's table form a bar. Settings hold the mapping of a table that is not built in."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator

from marketfetch.schemas.timespans import Adjustment, Timespan


class PriceColumns(BaseModel):
    """The vendor's column names for one adjustment. Only `close` is required: a value series has no other price."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    close: str
    open: str | None = None
    high: str | None = None
    low: str | None = None
    volume: str | None = None
    vwap: str | None = None


class ColumnMapping(BaseModel):
    """How a Nasdaq Data Link dataset or datatable becomes bars.

    `date` and `symbol` are column names (`symbol` None: the whole table is one series). `raw`, `split` and `split_dividend`
    name the price columns of each adjustment; a table with several adjustments gives several series per response.
    Case, spaces, dots, dashes and underscores in a name do not matter ("Adj. Close" = "adj_close").
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["dataset", "table"] = "table"
    timespan: Timespan = "1d"
    zone: str = "America/New_York"
    date: str = "date"
    symbol: str | None = None
    raw: PriceColumns | None = None
    split: PriceColumns | None = None
    split_dividend: PriceColumns | None = None

    @model_validator(mode="after")
    def _has_prices(self) -> Self:
        if not (self.raw or self.split or self.split_dividend):
            raise ValueError("name the price columns under raw, split or split_dividend (at least close)")
        return self

    def prices(self) -> dict[Adjustment, PriceColumns]:
        """Returns the price columns of each adjustment that this table has, in a fixed order."""
        named: dict[Adjustment, PriceColumns | None] = {
            "raw": self.raw,
            "split": self.split,
            "split_dividend": self.split_dividend,
        }
        return {adjustment: columns for adjustment, columns in named.items() if columns}
