"""The errors of a call to a vendor, and how a worker handles each.

FetchError
├── RateLimited      the key (or the address) is over a limit      pause the key, requeue the request, no retry spent
├── Transient
│   ├── Unavailable  5xx, timeouts, resets, truncated or non-JSON bodies, HTML,      backoff, then failed; three in a row open
│   │                unknown sentences, unknown 401 and 403                          the circuit breaker (docs/decisions/0010)
│   ├── SuspectEmpty an empty response that may be wrong (null for a list)           one retry, then NoData
│   └── NotYet       a file or a session that will appear later                      asked for again then, at last failed
├── NoData           the vendor has no data for this range          done, zero rows, recorded as empty
├── BadCredentials   the vendor's own words reject the key          the key is suspected; a second call that says the same sets
│                                                                   it aside, with no other key: failed (docs/decisions/0020)
└── Fatal            a retry can't help                             failed at once
    ├── NotEntitled    the plan does not include this
    ├── UnknownSymbol  no such instrument (some vendors return the same for bad parameters)
    ├── BadRequest     the vendor rejects the request
    ├── Gone           410: the vendor has retired this dataset
    ├── EndlessPages   the pages go in a circle, or never end: what is good of them is kept
    ├── TooManyRows    more rows, or more values, than a response of this vendor can hold: none is kept
    └── TooManyRejects so many rows failed their checks that the response, or a series of it, is not trustworthy

Errors carry data and a message for every reader: it contains no key and no URL with a key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from marketfetch.schemas.page import Page  # imports numpy, which planning and submitting do not need

#: The limit that a vendor reports: calls per second, per minute, per other window ("window"), per day, or concurrent calls.
Scope = Literal["second", "minute", "window", "day", "concurrency"]

#: The words of a body that its vendor's reader does not know, "" where it knows them.
Unknown = Literal["", "sentence", "refusal"]


class FetchError(Exception):
    """A request without rows. `status` is the HTTP status, None without a response."""

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.status = status

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[object, ...]:
        # Pickle can't rebuild exceptions with keyword-only arguments, and Celery's pool pickles them.
        return _rebuild, (type(self), self.message, self.__dict__)


class RateLimited(FetchError):
    """The vendor reports a rate limit. `retry_after_ms` is its Retry-After, None if it sent none."""

    def __init__(self, message: str, *, scope: Scope, retry_after_ms: int | None = None, status: int | None = None) -> None:
        super().__init__(message, status=status)
        self.scope = scope
        self.retry_after_ms = retry_after_ms


class Transient(FetchError):
    """A retry may succeed. `retry_after_ms` is the vendor's Retry-After (503), None if it sent none.

    `sent` False: the call did not reach the vendor, so no limit counts it.
    """

    def __init__(
        self, message: str, *, status: int | None = None, retry_after_ms: int | None = None, sent: bool = True
    ) -> None:
        super().__init__(message, status=status)
        self.retry_after_ms = retry_after_ms
        self.sent = sent


class Unavailable(Transient):
    """No usable response: 5xx, a timeout, a connection reset, a truncated body, not JSON, or an HTML page.

    `unread` True: the vendor's reader raised what is no error of this tree. The body is kept for a developer to look at.

    `unknown`: the vendor's reader does not know the words of the body, and the message quotes them. "sentence": a sentence in
    place of data. "refusal": a 401 or 403, which five times in a row sets the key aside.
    """

    unread: bool = False
    unknown: Unknown = ""


class SuspectEmpty(Transient):
    """An empty response of a kind that vendors send under load although they have data."""


class NotYet(Transient):
    """The vendor has not published this yet, and will. It is no fault of the vendor's, and says nothing about the key."""


class NoData(FetchError):
    """The vendor has no data for this request."""


class BadCredentials(FetchError):
    """The vendor rejects the key, in words that are known as its own: a status alone, or a proxy's text, never says so."""


class Fatal(FetchError):
    """A retry can't help."""


class NotEntitled(Fatal):
    """The key's plan does not include this data."""


class UnknownSymbol(Fatal):
    """The vendor knows no such instrument."""


class BadRequest(Fatal):
    """The vendor rejects the request."""


class Gone(Fatal):
    """The vendor has retired this dataset (410)."""


class TooManyRows(Fatal):
    """The reply holds more than a reply of this vendor can hold; it is never cut to size."""


class EndlessPages(Fatal):
    """The pages of the request go in a circle, or never end. `page` holds the last one's rows and rejects, which are kept."""

    def __init__(self, message: str, *, page: Page | None = None, status: int | None = None) -> None:
        super().__init__(message, status=status)
        self.page = page


class TooManyRejects(Fatal):
    """The share of rows that failed their checks is above the setting. `page` holds the other series' rows and all rejects."""

    def __init__(self, message: str, *, page: Page | None = None, status: int | None = None) -> None:
        super().__init__(message, status=status)
        self.page = page


class PlanError(ValueError):
    """The vendor can't serve this wish. Raised before any call; the message has the reason and an alternative."""


def _rebuild(kind: type[FetchError], message: str, state: dict[str, object]) -> FetchError:
    error = kind.__new__(kind, message)
    error.__dict__.update(state)
    error.args = (message,)
    return error
