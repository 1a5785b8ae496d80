"""What the runner does about each error of the tree: one table, and the pauses that vendors leave unsaid."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from marketfetch.vendors.errors import (
    BadCredentials,
    Fatal,
    FetchError,
    NoData,
    NotEntitled,
    RateLimited,
    Scope,
    SuspectEmpty,
    Unavailable,
)


class Step(StrEnum):
    """The next step of a request, in the words of the log."""

    PAUSE = "pause the key, put the request back, no retry spent"
    BACKOFF = "try again after a backoff"
    ASK_ONCE_MORE = "ask once more"
    RECORD_EMPTY = "record as empty"
    FAIL = "record as failed"
    ASIDE = "set the key aside, put the request back for another one"
    REST = "let the key rest and put the request back, no retry spent: the vendor answers nobody"


#: First match wins, so a class stands before its parent.
TABLE: Final[tuple[tuple[type[FetchError], Step], ...]] = (
    (RateLimited, Step.PAUSE),
    (SuspectEmpty, Step.ASK_ONCE_MORE),
    (Unavailable, Step.BACKOFF),
    (NoData, Step.RECORD_EMPTY),
    (BadCredentials, Step.FAIL),
    (Fatal, Step.FAIL),
)

#: How long a refused key rests when the vendor does not say: the window that it named, a little longer.
_PAUSE_MS: Final[dict[Scope, int]] = {
    "second": 1_100,
    "concurrency": 1_000,
    "window": 10_000,
    "minute": 60_000,
    "day": 3_600_000,
}


#: How long a key rests at first when its vendor is taken for ill; doubled each time, up to about a minute.
REST_MS: Final = 1_000


def next_step(error: FetchError, *, attempts: int, most: int) -> Step:
    """The step for an error after `attempts` spent retries of `most` allowed."""
    step = next((step for kind, step in TABLE if isinstance(error, kind)), Step.FAIL)
    if step is Step.ASK_ONCE_MORE and attempts >= 1:
        # Twice empty is an answer.
        return Step.RECORD_EMPTY
    if step in (Step.BACKOFF, Step.ASK_ONCE_MORE) and attempts >= most:
        return Step.FAIL
    return step


def pause_ms(error: RateLimited) -> int:
    """How long the key rests: as the vendor said, at least 100 ms (a Retry-After of 0 would burn calls); else by window."""
    if error.retry_after_ms is None:
        return _PAUSE_MS[error.scope]
    return max(100, error.retry_after_ms)


def sentence(error: FetchError, *, provider: str, symbol: str, key_label: str) -> str:
    """Why a request failed, for the ledger: symbol, class, the vendor's sentence, and what only the runner can add to it."""
    text = f"{symbol}: {type(error).__name__}: {error.message.rstrip('.')}."
    if isinstance(error, BadCredentials | NotEntitled):
        return f"{text} The key is the one labelled {key_label!r}."
    if isinstance(error, Unavailable):
        return f"{text} Look whether the vendor is up, and whether providers.{provider}.base_url is right."
    return text
