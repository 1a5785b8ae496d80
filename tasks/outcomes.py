"""The runner's reaction to each error of the tree: one table, and the default pauses where a vendor names none."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final

from marketfetch.quotas.limits import Calendar, KeyLimits
from marketfetch.quotas.values import KeyVerdict
from marketfetch.vendors.errors import (
    BadCredentials,
    Fatal,
    FetchError,
    NoData,
    NotEntitled,
    NotYet,
    RateLimited,
    Scope,
    SuspectEmpty,
    Unavailable,
)


class Step(StrEnum):
    """The next step of a request, in the words of the log."""

    PAUSE = "pause the key, requeue the request, no retry spent"
    BACKOFF = "retry after a backoff"
    ASK_ONCE_MORE = "ask once more"
    RECORD_EMPTY = "record as empty"
    FAIL = "record as failed"
    ASIDE = "set the key aside, requeue the request for another key"
    SUSPECT = "suspect the key, requeue the request, no retry spent: a second call decides"
    REST = "pause the key and requeue the request, no retry spent: the vendor is unhealthy"


#: First match wins, so a class stands before its parent.
TABLE: Final[tuple[tuple[type[FetchError], Step], ...]] = (
    (RateLimited, Step.PAUSE),
    (SuspectEmpty, Step.ASK_ONCE_MORE),
    (Unavailable, Step.BACKOFF),
    (NotYet, Step.BACKOFF),
    (NoData, Step.RECORD_EMPTY),
    (BadCredentials, Step.FAIL),
    (Fatal, Step.FAIL),
)

#: The step of a request after what its reply has done to the key; None: the step of the table.
OF_KEY: Final[dict[KeyVerdict, Step | None]] = {
    "suspected": Step.SUSPECT,
    "aside": Step.ASIDE,
    "rests": Step.REST,
    "spends": None,
    "refused": None,
}

#: The pause of a refused key when the vendor names no time: the window that it named, a little longer.
_PAUSE_MS: Final[dict[Scope, int]] = {
    "second": 1_100,
    "concurrency": 1_000,
    "window": 10_000,
    "minute": 60_000,
    "day": 3_600_000,
}
_ALWAYS_OBEYED_MS: Final = 600_000

#: The first pause of a key whose circuit breaker has opened; it doubles each time, up to about a minute.
REST_MS: Final = 1_000


def next_step(error: FetchError, *, attempts: int, most: int) -> Step:
    """The step for an error after `attempts` spent retries of `most` allowed."""
    step = next((step for kind, step in TABLE if isinstance(error, kind)), Step.FAIL)
    if step is Step.ASK_ONCE_MORE and attempts >= 1:
        # A second empty reply confirms the first.
        return Step.RECORD_EMPTY
    if step in (Step.BACKOFF, Step.ASK_ONCE_MORE) and attempts >= most:
        return Step.FAIL
    return step


def pause_ms(error: RateLimited, *, most_ms: int | None = None) -> int:
    """The key's pause: the vendor's Retry-After, at least 100 ms (0 would waste calls); without one, by window.

    A Retry-After is obeyed up to `most_ms` (see `longest_wait_ms`); None means without a cap.
    """
    if error.retry_after_ms is None:
        return _PAUSE_MS[error.scope]
    return max(100, capped_ms(error.retry_after_ms, most_ms=most_ms))


def capped_ms(wait_ms: int, *, most_ms: int | None) -> int:
    """A vendor's wait, at most `most_ms`."""
    return wait_ms if most_ms is None else min(wait_ms, most_ms)


def longest_wait_ms(limits: KeyLimits | None, *, zone: str, now: datetime) -> int:
    """The longest wait of a vendor that is obeyed: after it, every count of the key has begun anew.

    The later of the longest window of the key's limits and the next change of day: in `zone`, the vendor's, and in the zones of
    the key's calendar days. At least ten minutes, so that an honest Retry-After stands right before midnight too.
    """
    windows = [one.window_ms for one in limits.windows] if limits else []
    zones = {zone, *((one.zone for one in limits.calendars) if limits else ())}
    days = [Calendar("", 1, one).periods(now)[1][2] // 1000 - round(now.timestamp() * 1000) for one in zones]
    return max(_ALWAYS_OBEYED_MS, *windows, *days)


def said_ms(wait_ms: int | None, obeyed_ms: int) -> str:
    """What the vendor said beside the cap, "" where its wait is obeyed or it named none."""
    if wait_ms is None or wait_ms <= obeyed_ms:
        return ""
    return f"; the vendor says to wait {wait_ms / 3_600_000:,.1f} h, which is capped at {obeyed_ms / 3_600_000:,.1f} h"


def kept_reply(provider: str, request_id: str) -> str:
    """Where the raw reply of a failed request is, for the ledger."""
    return f"What came is kept for a week: marketfetch dead reply {provider} {request_id}"


def sentence(error: FetchError, *, provider: str, symbol: str, key_label: str) -> str:
    """The reason of a failed request, for the ledger: symbol, class, the vendor's sentence, and the runner's advice."""
    text = f"{symbol}: {type(error).__name__}: {error.message.rstrip('.')}."
    if isinstance(error, BadCredentials | NotEntitled):
        return f"{text} The key is the one labelled {key_label!r}."
    if isinstance(error, Unavailable) and error.unknown == "refusal":
        return f"{text} The key is the one labelled {key_label!r}."
    if isinstance(error, Unavailable):
        return f"{text} Look whether the vendor is up, and whether providers.{provider}.base_url is right."

    return text
