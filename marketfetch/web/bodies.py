"""The bodies of requests that ask for data: the arguments of `submit`, `update` and `plan`, with the same names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, model_validator

from marketfetch.ops.symbol_words import split
from marketfetch.ops.universes import AT
from marketfetch.schemas.job_spec import NORMAL
from marketfetch.settings import get_settings
from marketfetch.suggestions import did_you_mean
from marketfetch.web.problems import Refused

_DAY = "A date, or words: today, yesterday, -5d, -2w, -3mo, -1y."
#: More than a market has. Universes of the settings may be longer.
MOST_SYMBOLS: Final = 20_000
_MOST_NAMES: Final = 50

# A body is checked on the event loop: the check ends at the first wrong value, as a list of 100,000 errors takes seconds.
Symbols = Annotated[list[str], Field(max_length=MOST_SYMBOLS, fail_fast=True)]
Tags = Annotated[list[str], Field(max_length=100, fail_fast=True)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _few_names(cls, given: Any) -> Any:
        if isinstance(given, dict) and len(given) > _MOST_NAMES:
            raise ValueError(f"has {len(given):,} names, which no request has")
        return given


class _Symbols(_Body):
    provider: str = Field(description="The name of a vendor: GET /api/v1/vendors lists them.")
    symbols: Symbols = Field(description="The vendor's own spelling; @NAME stands for a universe of the settings.")
    timespan: str = Field(default="1d", description="The length of a bar: 1m 5m 15m 30m 1h 1d 1w 1mo.")
    dataset: str = Field(default="bars", description="bars, splits, dividends, or the vendor's name for the data.")
    adjustment: str | None = Field(default=None, description="raw, split or split_dividend; null: the vendor's usual one.")
    priority: int = Field(default=NORMAL, ge=0, le=9, description="0 first, 9 last, strictly.")
    by_symbol: bool = Field(default=False, description="No call with the whole market in place of calls by symbol.")

    def arguments(self) -> dict[str, Any]:
        """The arguments of the public function. Raises Refused for a universe that the settings do not have."""
        refuse_files(self.symbols)
        return self.model_dump()


class Wish(_Symbols):
    """What to fetch: symbols of a vendor in a range of days, both inclusive."""

    start: str | None = Field(default=None, description=_DAY)
    end: str | None = Field(default=None, description=_DAY)
    again: bool = Field(default=False, description="Fetch anew what is stored already.")


class _Handle(_Body):
    owner: str | None = Field(default=None, description="Whose job it is; null: the token's. Of others: scope operate.")
    name: str = Field(default="", description="A name to find the job by.")
    tags: Tags = Field(default=[], description="Words to find the job by.")


class JobWish(Wish, _Handle):
    """A job to submit."""


class UpdateWish(_Symbols, _Handle):
    """The last sessions of symbols, less what is stored and final."""

    last: str = Field(default="5 sessions", description="A number of sessions, or of days: 5 sessions, 30d.")


class Pause(_Body):
    """How long a key makes no call."""

    seconds: float = Field(default=86_400, gt=0, le=366 * 86_400, description="Seconds.")
    provider: str | None = Field(default=None, description="Where several vendors have a key of that label.")


class Repair(_Body):
    """Which missing sessions to ask for; what is null is left open."""

    provider: str | None = None
    symbols: Symbols | None = None
    timespan: str | None = None
    adjustment: str | None = None
    start: str | None = Field(default=None, description=_DAY)
    end: str | None = Field(default=None, description=_DAY)
    all: bool = Field(default=False, description="Also what the vendor has none of, or refused.")


def symbols_of(words: Sequence[str]) -> list[str]:
    """The symbols and universes of a query, with commas or blanks between them. Raises Refused for the name of a file."""
    found = [one for word in words for one in (split(word) or [word.strip()])]
    refuse_files(found)
    return found


def refuse_files(symbols: Sequence[str]) -> None:
    """Raises Refused for @FILE: files of the server are not for its clients. Universes of the settings may name them."""
    known = get_settings().universes
    for one in symbols:
        name = one.removeprefix(AT)
        if one.startswith(AT) and name not in known:
            meant = did_you_mean(name, known, as_written="@{}")
            there_are = f"There are {', '.join(f'@{each}' for each in known)}." if known else "The settings have none."
            raise Refused(422, f"There is no universe {one[:64]}. {meant}{' ' if meant else ''}{there_are}")
