"""Ranges in which a market does not trade at all: a weekend, a holiday. A call for one brings nothing, so none is made."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from functools import lru_cache
from typing import Any, Final

from marketfetch import vendors
from marketfetch.configured import options
from marketfetch.schemas.request import Request
from marketfetch.vendors.finality import Finality
from marketfetch.vendors.trading_days import close_ms

#: A longer range has a session: no exchange of the table was closed for so many days.
_LONGEST_DAYS: Final = 14
#: The bar of a week or a month begins before the range that asks for it.
_PERIODS: Final = ("1w", "1mo")


def with_sessions(requests: Sequence[Request]) -> list[Request]:
    """The requests without those for bars of days on which their market has no session, as far as its calendar is known."""
    return [one for one in requests if _has_session(one)]


def no_session(requests: Sequence[Request]) -> str:
    """Why none of these requests is to be made, as a sentence; "" where one is, or there is none."""
    if not requests or with_sessions(requests):
        return ""
    first = requests[0]
    when = f"on {first.start}" if first.start == first.end else f"from {first.start} to {first.end}"
    calendar = _finality(first).calendar
    return f"There is no session {when} by the calendar {calendar}, so there is nothing to fetch: 0 calls. Ask for other days."


@lru_cache(maxsize=1_024)
def sessions_between(finality: Finality, first: date, last: date) -> int:
    """How many sessions a calendar has between two days, both inclusive."""
    days = range(first.toordinal(), last.toordinal() + 1)
    return sum(close_ms(finality.calendar, date.fromordinal(day), zone=finality.zone) is not None for day in days)


def _has_session(request: Request) -> bool:
    if request.start is None or request.end is None or request.records or request.timespan in _PERIODS:
        return True
    if (request.end - request.start).days >= _LONGEST_DAYS:
        return True
    finality = _finality(request)
    return not finality.sessions_known or sessions_between(finality, request.start, request.end) > 0


def _finality(request: Request) -> Finality:
    vendor: Any = vendors.vendor(request.provider)
    found: Finality = vendor.finality_of(request, options(request.provider))
    return found
