"""A request's identity is a hash of its fields: what an earlier release has parked and stored has these very ids."""

from __future__ import annotations

from datetime import date

import pytest

from marketfetch.schemas.job_spec import JobSpec
from marketfetch.schemas.request import Request

#: Recorded with the release in which the three vendors were a Literal of the schemas.
JOBS = {
    "e1c0fd4975324292": JobSpec(
        provider="polygon", symbols=("AAPL", "MSFT"), start=date(2024, 1, 1), end=date(2024, 12, 31), as_of="2026-11-20"
    ),
    "bea3dfc81d733a33": JobSpec(
        provider="alpha_vantage", dataset="fx", symbols=("EUR/USD",), timespan="1w", adjustment="raw",
        start=date(2020, 1, 1), end=date(2026, 11, 20), as_of="2026-11-20T10:15", again="abc",
    ),
}  # fmt: skip
REQUESTS = {
    "2aa000ffbb7fd6fd8f5f": (
        Request(provider="polygon", symbol="AAPL", adjustment="split", start=date(2024, 1, 1), end=date(2024, 12, 31)),
        '{"symbol":"AAPL","adjustment":"split","start":"2024-01-01","end":"2024-12-31"}',
    ),
    "50c2fded7e9c0851af52/2": (
        Request(
            provider="nasdaq", dataset="WIKI/PRICES", symbol="AAPL,MSFT", start=date(2013, 3, 28), end=date(2018, 3, 27),
            page=2, cursor="xyz",
        ),
        '{"dataset":"WIKI/PRICES","symbol":"AAPL,MSFT","start":"2013-03-28","end":"2018-03-27","page":2,"cursor":"xyz"}',
    ),
    "8f01deae76efd36e6377": (
        Request(
            provider="alpha_vantage", dataset="TIME_SERIES_DAILY", symbol="IBM", start=date(2026, 9, 1), end=date(2026, 11, 20),
            generation="2026-11-20", cursor="compact",
        ),
        (
            '{"dataset":"TIME_SERIES_DAILY","symbol":"IBM","start":"2026-09-01","end":"2026-11-20",'
            '"generation":"2026-11-20","cursor":"compact"}'
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize("known", JOBS)
def test_a_job_has_the_id_that_an_earlier_release_gave_it(known):
    assert JOBS[known].id == known


@pytest.mark.parametrize("known", REQUESTS)
def test_a_request_has_the_id_and_the_arguments_that_an_earlier_release_gave_it(known):
    request, arguments = REQUESTS[known]
    assert (request.id, request.arguments) == (known, arguments)
