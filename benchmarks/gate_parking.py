"""`python -m benchmarks.gate_parking COUNT [SYMBOLS]`: parks that many different requests, as `feed` does.

The requests name few symbols with many ranges: the sandbox draws a symbol's whole market once, at its first request.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from datetime import date, timedelta

from marketfetch import connections, vendors
from marketfetch.configured import options
from marketfetch.quotas import Parking
from marketfetch.schemas.job_spec import JobSpec
from marketfetch.schemas.request import Request

SYMBOLS = tuple("".join(letters) for letters in itertools.product("ABCDE", repeat=3))
_FIRST_DAY = date(2004, 1, 5)


def requests_of(count: int, *, symbols: int = 20) -> Iterator[tuple[str, list[Request]]]:
    """Jobs, each an id and its requests, `count` requests in all: every job asks for another range of the same symbols."""
    for number in itertools.count():
        start = _FIRST_DAY + timedelta(days=number % 7000)
        end = start + timedelta(days=4 + number // 7000)
        take = min(symbols, count - number * symbols)
        if take <= 0:
            return
        spec = JobSpec(provider="polygon", symbols=SYMBOLS[:take], start=start, end=end, as_of="2026-01-05")
        yield spec.id, vendors.vendor("polygon").plan(spec, options("polygon"))


def park(count: int, *, symbols: int = 20) -> None:
    """Parks the requests in the order of the jobs, and wakes the releasers once, at the end."""
    gate = connections.gate("polygon")
    for job, requests in requests_of(count, symbols=symbols):
        gate.park([Parking(id=one.id, arguments=one.arguments) for one in requests], job=job, wake=False)
    gate.wake()


if __name__ == "__main__":
    park(int(sys.argv[1]), symbols=int(sys.argv[2]))
