"""About how many requests a wish takes, by arithmetic on a sample, before any of them is made.

The command line plans whatever its user asks for. A client of the web API must not fill the memory of a server with one line:
what it asks for is planned in a block with `at_most`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import date
from typing import Final

from marketfetch.exceptions import BadRequestError
from marketfetch.schemas.job_spec import JobSpec
from marketfetch.vendors.protocol import Options, Vendor

#: Symbols that are planned as a sample, spread over the list; how many requests one takes depends on its kind.
_SAMPLE: Final = 20
_YEAR: Final = 366
#: No vendor has older bars, and each day of a range is looked up in a calendar.
_MOST_YEARS: Final = 300

_MOST: ContextVar[int | None] = ContextVar("most_requests", default=None)


@contextmanager
def at_most(requests: int) -> Iterator[None]:
    """Within this block a new wish that takes more requests than that is refused before they are made."""
    before = _MOST.set(requests)
    try:
        yield
    finally:
        _MOST.reset(before)


def check_size(spec: JobSpec, vendor: Vendor[Options], options: Options) -> None:
    """Raises BadRequestError for a wish that is too large for the block that it is planned in, PlanError as the vendor does."""
    most = _MOST.get()
    if most is None:
        return
    days = 1 if spec.is_whole else (spec.end - spec.start).days + 1
    if days > _MOST_YEARS * _YEAR:
        raise BadRequestError(
            f"The range {spec.start} to {spec.end} has {days // 365:,} years, and {_MOST_YEARS} are the most here: ask "
            "for a later start."
        )
    # A day of a symbol is one request at most.
    if len(spec.symbols) * days > most and (about := _about(spec, vendor, options)) > most:
        raise BadRequestError(
            f"The wish takes about {about:,} requests, and {most:,} are the most here: ask for fewer symbols or a shorter "
            "range at a time, or use the command line, which has no such limit."
        )


def _about(spec: JobSpec, vendor: Vendor[Options], options: Options) -> int:
    """The requests of some symbols in the first year, and of each further year as many more as the second one brings."""
    some = spec.symbols[:: math.ceil(len(spec.symbols) / _SAMPLE)]

    def planned(days: int) -> int:
        last = date.fromordinal(min(spec.end.toordinal(), spec.start.toordinal() + days))
        return len(vendor.plan(spec.model_copy(update={"symbols": some, "end": last}), options))

    if spec.is_whole or (spec.end - spec.start).days <= 2 * _YEAR:
        of_some = float(planned((spec.end - spec.start).days))
    else:
        first, both = planned(_YEAR), planned(2 * _YEAR)
        of_some = first + (both - first) * ((spec.end - spec.start).days / _YEAR - 1)
    return math.ceil(of_some * len(spec.symbols) / len(some))
