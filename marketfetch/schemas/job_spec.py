"""JobSpec: a user's wish, with every relative date already made absolute."""

from __future__ import annotations

import hashlib
from datetime import date
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from marketfetch.schemas.timespans import Adjustment, Timespan

#: A vendor's name, as it stands in commands, settings, tasks and queues. Which exist: marketfetch/vendors.
PROVIDER_NAME: Final = r"^[a-z][a-z0-9_]{0,31}$"
Provider = Annotated[str, Field(pattern=PROVIDER_NAME)]
Symbol = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9:._/\-^=+]+$")]


class JobSpec(BaseModel):
    """What a user wants: bars of `symbols` from `start` to `end`, both dates inclusive, in the exchange's zone.

    `dataset` is the vendor's name for the data; "bars" lets the vendor choose it from symbol, timespan and adjustment.
    `adjustment` None means what the vendor serves by default. `as_of` is when the wish was made (ISO date, or minute for
    intraday bars): it becomes part of a request's identity only where the range was still open then. `again` is a nonce
    that makes an otherwise equal job a new one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    provider: Provider
    dataset: str = "bars"
    symbols: tuple[Symbol, ...] = Field(min_length=1)
    timespan: Timespan = "1d"
    adjustment: Adjustment | None = None
    start: date
    end: date
    as_of: str
    again: str = ""

    @model_validator(mode="after")
    def _dates_in_order(self) -> Self:
        if self.end < self.start:
            raise ValueError(f"the end date {self.end} is before the start date {self.start}: swap them")
        if len(set(self.symbols)) != len(self.symbols):
            twice = sorted({symbol for symbol in self.symbols if self.symbols.count(symbol) > 1})
            raise ValueError(f"symbols named twice: {', '.join(twice)}: name each once")
        return self

    @property
    def id(self) -> str:
        """Two equal wishes have one id: 16 hex digits of SHA-256 over the wish."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]

    @property
    def generation(self) -> str:
        """Empty where the range was wholly closed when the wish was made, so that its bars can't change; else `as_of`."""
        if self.again:
            return self.again
        return "" if self.end.isoformat() < self.as_of[:10] else self.as_of
