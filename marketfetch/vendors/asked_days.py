"""Whether the requests of a plan ask for every day of their wish once: what the conformance suite expects of every vendor."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta

from marketfetch.schemas.job_spec import JobSpec
from marketfetch.schemas.request import Request
from marketfetch.vendors.times import period_end, period_start
from marketfetch.vendors.trading_days import sessions


def missed_days(spec: JobSpec, requests: Iterable[Request]) -> str:
    """What is wrong with the ranges of a symbol's requests, as a clause; "" if they ask for each day of the wish once."""
    expected = spec.start
    for request in sorted(requests, key=lambda one: one.start or date.min):
        if request.start is None or request.end is None:
            return "a request has no range"
        if not (period_start(expected, spec.timespan) <= request.start <= expected or request.start == expected):
            return f"the request from {request.start} leaves a gap or an overlap at {expected} ({spec})"
        expected = request.end + timedelta(days=1)
    ends = spec.end < expected <= period_end(spec.end, spec.timespan) + timedelta(days=1)
    return "" if ends else f"ends before {expected}"


def missed_sessions(spec: JobSpec, requests: Sequence[Request], *, calendar: str) -> str:
    """The same for a whole market: a call brings one session, and a day without one has no call."""
    asked = sorted((request.start or date.min, request.end or date.min) for request in requests)
    wanted = [(day, day) for day in sessions(calendar, spec.start, spec.end)]
    return "" if asked == wanted else f"the requests of {spec} are not its sessions, one each"
