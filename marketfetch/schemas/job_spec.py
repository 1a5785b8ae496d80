"""JobSpec: a user's wish, with absolute dates only."""

from __future__ import annotations

import hashlib
from collections import Counter
from datetime import date
from typing import Annotated, Final, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from marketfetch.schemas.day_words import out_of_order
from marketfetch.schemas.symbol_text import Symbol
from marketfetch.schemas.timespans import Adjustment, Timespan

#: A vendor's name in commands, settings, tasks and queues. marketfetch/vendors knows which are installed.
PROVIDER_NAME: Final = r"^[a-z][a-z0-9_]{0,31}$"
Provider = Annotated[str, Field(pattern=PROVIDER_NAME)]

#: The range of a wish for a whole list, which has none.
WHOLE_START: Final = date.min
WHOLE_END: Final = date.max

#: The type of the error of a range that begins in the future.
STARTS_AHEAD: Final = "starts_ahead"

#: The priority of a job that names none; 0 is served first, 9 last. A record of it is written as the release before does.
NORMAL: Final = 5
Priority = Annotated[int, Field(strict=True, ge=0, le=9, exclude_if=lambda priority: priority == NORMAL)]


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("has a character that can't be seen: write it anew")
    return text


Dataset = Annotated[str, AfterValidator(_printable)]


class JobSpec(BaseModel):
    """A user's wish: bars of `symbols` from `start` to `end`, both dates inclusive, in the exchange's zone.

    A dataset that comes as a whole list, such as splits, has no range: `start` is the first date that there is, `end` the last.

    `dataset` is the vendor's name for the data; with "bars" the vendor chooses it by symbol, timespan and adjustment.
    `adjustment` None means the vendor's default. `as_of` is the minute of the wish in UTC ("2026-11-20T10:15Z"; the release
    before wrote a date, or a minute without Z); it is part of a request's identity only if the request's bars were not final
    then. `again` is a nonce that makes an otherwise equal job a new one. `priority` is no part of a request's identity: the
    most urgent of its waiters counts. `by_symbol`: no call with the whole market takes the place of calls by symbol.
    `keys_of` is the owner whose keys the calls are made with, "" for the keys without an owner. A release that knows no owners
    of keys can't read a job that names one, so it feeds none of its requests.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    provider: Provider
    dataset: Dataset = "bars"
    symbols: tuple[Symbol, ...]
    timespan: Timespan = "1d"
    adjustment: Adjustment | None = None
    start: date
    end: date
    as_of: str
    again: str = ""
    priority: Priority = NORMAL
    by_symbol: bool = Field(default=False, strict=True, exclude_if=lambda by_symbol: not by_symbol)
    keys_of: str = Field(default="", max_length=100, exclude_if=lambda keys_of: not keys_of)

    @model_validator(mode="after")
    def _dates_in_order(self) -> Self:
        if self.end < self.start and self.start.isoformat() > (today := self.as_of[:10]):
            both = f"{self.start}, after its end {self.end} and after today ({today} in UTC)"
            sentence = f"the range begins on {both}: ask for an earlier start"
            raise PydanticCustomError(STARTS_AHEAD, "{sentence}", {"sentence": sentence})
        if self.end < self.start:
            raise ValueError(out_of_order(self.start, self.end))
        # No minimum of the field itself: of a single bad symbol that would be a second error.
        if not self.symbols:
            raise ValueError("there is no symbol: name at least one")
        if len(set(self.symbols)) != len(self.symbols):
            twice = sorted(symbol for symbol, times in Counter(self.symbols).items() if times > 1)
            raise ValueError(f"symbols named twice: {', '.join(twice)}: name each once")
        return self

    @property
    def is_whole(self) -> bool:
        """True for a wish without a range, for a whole list."""
        return (self.start, self.end) == (WHOLE_START, WHOLE_END)

    @property
    def id(self) -> str:
        """16 hex digits of SHA-256 over the wish, so two equal wishes have the same id."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]
