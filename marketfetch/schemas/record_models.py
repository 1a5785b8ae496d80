"""The checks of each kind of record, row by row: what a value may be, and which may be absent."""

from __future__ import annotations

import re
from datetime import date
from types import MappingProxyType
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
#: A time in UTC, or none.
_MOMENT: Final = r"^([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?Z)?$"
#: A date outside of these years is a placeholder, such as 0001-01-01.
_FIRST_YEAR, _LAST_YEAR = 1800, 2199


def _a_day(value: object) -> object:
    """A date, or its text in ISO 8601: a number is no date, although a library may read it as Unix time."""
    if isinstance(value, date) or (isinstance(value, str) and _DAY.fullmatch(value)):
        return value
    raise ValueError("not a date such as 2024-01-31")


def _in_our_time(day: date) -> date:
    if not _FIRST_YEAR <= day.year <= _LAST_YEAR:
        raise ValueError(f"a date outside of the years {_FIRST_YEAR} to {_LAST_YEAR}")
    return day


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("a text with signs that can't be printed")
    return text


Day = Annotated[date, BeforeValidator(_a_day), AfterValidator(_in_our_time)]
Text = Annotated[str, Field(max_length=200), AfterValidator(_printable)]
Symbol = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_printable)]


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    symbol: Symbol


class Split(_Row):
    """`new_shares` for `old_shares` from the opening of `ex_date`. A spin-off appears as a ratio such as 1.0460 for 1."""

    ex_date: Day
    new_shares: float = Field(gt=0, lt=1e9, allow_inf_nan=False)
    old_shares: float = Field(gt=0, lt=1e9, allow_inf_nan=False)
    vendor_id: Text = ""


class Dividend(_Row):
    """Cash per share in `currency`; a date that the vendor leaves out is None, and a text ""."""

    ex_date: Day
    amount: float = Field(ge=0, lt=1e9, allow_inf_nan=False)
    currency: Text = ""
    kind: Text = ""
    frequency: int | None = Field(default=None, ge=0, le=366)
    declared: Day | None = None
    recorded: Day | None = None
    paid: Day | None = None
    vendor_id: Text = ""


class Quote(_Row):
    """The latest price of a symbol, in its quote currency, with the date of its session."""

    taken_at: Annotated[str, Field(pattern=r"^([0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9:.]{8,20}Z)?)?$")] = ""
    day: Day
    price: float | None = Field(default=None, gt=0, lt=1e10, allow_inf_nan=False)
    open: float | None = Field(default=None, gt=0)
    high: float | None = Field(default=None, gt=0)
    low: float | None = Field(default=None, gt=0)
    volume: float | None = Field(default=None, ge=0)
    previous_close: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _taken_on_its_day(self) -> Self:
        if not self.taken_at:
            self.__dict__["taken_at"] = self.day.isoformat()  # the model is frozen for its users
        return self

    @field_validator("price", "open", "high", "low", "volume", "previous_close", mode="before")
    @classmethod
    def _zero_is_absent(cls, value: object) -> object:
        """Before the open, vendors send 0 for the prices of the day."""
        return None if value in (0, "0") or (isinstance(value, str) and value.strip("0.") == "") else value


class Listing(_Row):
    """An instrument on a vendor's list. A symbol may be used again: then several of them have it."""

    status: Literal["active", "delisted", "found"]
    listing: Text = ""
    name: Text = ""
    exchange: Text = ""
    kind: Text = ""
    market: Text = ""
    currency: Text = ""
    listed: Day | None = None
    delisted: Day | None = None
    vendor_id: Text = ""

    @model_validator(mode="after")
    def _named_by_its_last_day(self) -> Self:
        if self.listed and self.delisted and self.delisted < self.listed:
            raise ValueError("it is delisted before it is listed")
        day = self.delisted or self.listed
        self.__dict__["listing"] = day.isoformat() if day else ""  # the model is frozen for its users
        return self


class Holiday(BaseModel):
    """A day on which an exchange is closed, or closes early; the times are those of its session."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    exchange: Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_printable)]
    day: Day
    status: Literal["closed", "early-close"]
    name: Text = ""
    opens: Annotated[str, Field(pattern=_MOMENT)] = ""
    closes: Annotated[str, Field(pattern=_MOMENT)] = ""

    @model_validator(mode="after")
    def _with_a_close(self) -> Self:
        if self.status == "early-close" and not self.closes:
            raise ValueError("an early close has no time")
        return self


class MarketStatus(BaseModel):
    """Whether a market is open, in the vendor's words; `taken_at` "" where the vendor names no time."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    kind: Symbol
    market: Symbol
    taken_at: Annotated[str, Field(pattern=_MOMENT)] = ""
    status: Symbol
    exchanges: Text = ""
    opens: Text = ""
    closes: Text = ""
    notes: Text = ""


class ValueRow(_Row):
    """A row of any table; its vendor's reader has checked the cells by the types of their columns."""

    row_key: str
    day: Day | None = None
    cells: str


#: By the name of the kind; fields are the kind's columns, in their order.
MODELS: Final = MappingProxyType[str, type[BaseModel]](
    {
        "splits": Split,
        "dividends": Dividend,
        "snapshots": Quote,
        "symbols": Listing,
        "holidays": Holiday,
        "market_status": MarketStatus,
        "value_rows": ValueRow,
    }
)
