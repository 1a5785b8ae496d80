"""Splits long ranges into pieces on fixed boundaries, so that jobs over overlapping ranges share requests."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

from marketfetch.schemas.job_spec import JobSpec


def generation_of(spec: JobSpec, end: date) -> str:
    """Returns a request's generation by the rule of the release before: "" if its range ended before the day of the wish.

    It holds for the jobs of that release. A vendor need not set a generation: `generations.py` does, for all of them.
    """
    if spec.again:
        return spec.again
    return "" if end.isoformat() < spec.as_of[:10] else spec.as_of


def split_by_months(start: date, end: date, *, months: int = 1) -> Iterator[tuple[date, date]]:
    """Yields inclusive pieces of at most `months` calendar months, on boundaries counted from January of year 0."""
    while start <= end:
        boundary = ((start.year * 12 + start.month - 1) // months + 1) * months
        last = min(end, date(boundary // 12, boundary % 12 + 1, 1) - timedelta(days=1))
        yield start, last
        start = last + timedelta(days=1)


def split_by_days(start: date, end: date, *, days: int) -> Iterator[tuple[date, date]]:
    """Yields inclusive pieces of at most `days` days, on boundaries counted from 0001-01-01."""
    while start <= end:
        last = min(end, date.fromordinal((start.toordinal() // days + 1) * days - 1))
        yield start, last
        start = last + timedelta(days=1)
