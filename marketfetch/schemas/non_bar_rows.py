"""Records that are not bars. This release reads and validates them; it does not store them."""

from __future__ import annotations

from datetime import date

from pydantic import BaseModel, ConfigDict, Field, field_validator


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    symbol: str = Field(min_length=1)


class Quote(_Record):
    """The latest price of a symbol, in its quote currency, with the date of its session."""

    price: float = Field(gt=0, allow_inf_nan=False)
    day: date
    open: float | None = Field(default=None, gt=0)
    high: float | None = Field(default=None, gt=0)
    low: float | None = Field(default=None, gt=0)
    volume: float | None = Field(default=None, ge=0)
    previous_close: float | None = Field(default=None, gt=0)

    @field_validator("open", "high", "low", "previous_close", mode="before")
    @classmethod
    def _zero_is_absent(cls, value: object) -> object:
        """Before the open, vendors send 0 for the prices of the day."""
        return None if value in (0, "0") or (isinstance(value, str) and value.strip("0.") == "") else value


class Split(_Record):
    """`new` shares for `old` shares from the opening of `day`. A spin-off appears as a ratio such as 1.0460 for 1."""

    day: date
    new: float = Field(gt=0, allow_inf_nan=False)
    old: float = Field(gt=0, allow_inf_nan=False)


class Dividend(_Record):
    """Cash per share in the listing's currency; a date that the vendor leaves out is None."""

    ex_day: date
    amount: float = Field(ge=0, allow_inf_nan=False)
    declared: date | None = None
    recorded: date | None = None
    paid: date | None = None


class Ticker(_Record):
    """One listed instrument of a vendor's reference list."""

    name: str = ""
    market: str = ""
    active: bool = True
