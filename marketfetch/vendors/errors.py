"""What can go wrong between us and a vendor, and what the runner does about it.

FetchError
├── RateLimited      the key (or the address) is over a limit      pause the key, put the request back, no retry spent
├── Transient
│   ├── Unavailable  5xx, timeouts, resets, cut or non-JSON replies, HTML pages      backoff, then failed; three in a row: the
│   │                                                                                key rests (docs/decisions/0010)
│   └── SuspectEmpty an empty reply in a shape known to lie (null for a list)        asked once more, then NoData
├── NoData           the vendor has nothing for this range          done, zero rows, recorded as empty
├── BadCredentials   the vendor refuses the key                     the key is set aside; with no other key: failed
└── Fatal            asking again can't help                        failed at once
    ├── NotEntitled    the plan does not include this
    ├── UnknownSymbol  no such instrument (some vendors say the same for bad parameters)
    ├── BadRequest     the vendor does not understand the question
    ├── Gone           410: the vendor has retired this dataset
    ├── TooManyRows    more rows, or more values, than a reply of this vendor can hold: none is kept
    └── TooManyRejects so many rows failed their checks that the reply can't be trusted

Errors carry data and a sentence that may be shown to anyone: never a key, never a URL with one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from marketfetch.schemas.page import Page  # numpy comes with it, and whoever plans or submits needs none

#: What a vendor's refusal counts: the calls of a second, a minute, ten seconds ("window"), a day, or those under way.
Scope = Literal["second", "minute", "window", "day", "concurrency"]


class FetchError(Exception):
    """One request did not give rows. `status` is the HTTP status, None if no reply came."""

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.status = status

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions with keyword-only arguments don't unpickle by themselves; Celery's pool carries them as pickles.
        return _rebuild, (type(self), self.message, self.__dict__)


class RateLimited(FetchError):
    """Refused for calling too often. `retry_after_ms` is what the vendor said, None if it did not say."""

    def __init__(self, message: str, *, scope: Scope, retry_after_ms: int | None = None, status: int | None = None) -> None:
        super().__init__(message, status=status)
        self.scope = scope
        self.retry_after_ms = retry_after_ms


class Transient(FetchError):
    """May go well when asked again. `retry_after_ms` is the vendor's wish (503 with Retry-After), None without one.

    `sent` False: the vendor has not seen the call, so no limit counts it.
    """

    def __init__(
        self, message: str, *, status: int | None = None, retry_after_ms: int | None = None, sent: bool = True
    ) -> None:
        super().__init__(message, status=status)
        self.retry_after_ms = retry_after_ms
        self.sent = sent


class Unavailable(Transient):
    """No usable reply: 5xx, a timeout, a reset, a body that is cut, not JSON, or an HTML page."""


class SuspectEmpty(Transient):
    """An empty reply in a shape that vendors have sent under load although there was data."""


class NoData(FetchError):
    """A true and empty answer."""


class BadCredentials(FetchError):
    """The vendor does not accept the key."""


class Fatal(FetchError):
    """Asking again can't help."""


class NotEntitled(Fatal):
    """The key's plan does not include this data."""


class UnknownSymbol(Fatal):
    """The vendor knows no such instrument."""


class BadRequest(Fatal):
    """The vendor does not understand the question."""


class Gone(Fatal):
    """The vendor has retired this dataset (410)."""


class TooManyRows(Fatal):
    """The reply holds more than a reply of this vendor can hold; it is never cut to size."""


class TooManyRejects(Fatal):
    """More rows of the reply failed their checks than the setting allows. `page` holds the rows and the rejects."""

    def __init__(self, message: str, *, page: Page | None = None, status: int | None = None) -> None:
        super().__init__(message, status=status)
        self.page = page


class PlanError(ValueError):
    """A wish that this vendor can't serve, told before anything is sent: what, why, and what to ask instead."""


def _rebuild(kind: type[FetchError], message: str, state: dict[str, object]) -> FetchError:
    error = kind.__new__(kind, message)
    error.__dict__.update(state)
    error.args = (message,)
    return error
