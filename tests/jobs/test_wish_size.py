"""A wish that is planned for a client of the web API is refused by arithmetic if it is too large, before it is planned."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from marketfetch import vendors
from marketfetch.configured import options
from marketfetch.exceptions import BadRequestError
from marketfetch.jobs import wish_size
from marketfetch.jobs.planning import make_spec, plan, plan_new
from marketfetch.jobs.wish_size import at_most, check_size
from marketfetch.schemas.job_spec import JobSpec

SYMBOLS = [f"S{n}" for n in range(500)]
PAIRS = [f"X:C{n}USD" for n in range(500)]


def spec(provider: str, symbols: list[str], **wish: Any) -> JobSpec:
    return make_spec(provider, symbols, again=False, **wish)


@pytest.mark.parametrize(
    "wished",
    [
        spec("polygon", SYMBOLS, start="2004-01-05", end="2023-12-29"),
        spec("polygon", SYMBOLS, start="2019-03-05", end="2023-12-29", timespan="1m"),
        spec("polygon", SYMBOLS, start="2023-03-05", end="2023-12-29", timespan="1m"),
        spec("polygon", [*SYMBOLS, *PAIRS], start="2019-03-05", end="2023-12-29", timespan="1m"),
        spec("polygon", ["*"], start="2009-03-05", end="2023-12-29", dataset="grouped"),
        spec("polygon", SYMBOLS, dataset="splits"),
        spec("alpha_vantage", SYMBOLS, start="2019-03-05", end="2023-12-29", timespan="5m"),
        spec("nasdaq", SYMBOLS, start="2009-03-05", end="2017-12-29"),
    ],
)
def test_the_estimate_is_near_to_the_plan(wished):
    vendor = vendors.vendor(wished.provider)
    made = len(plan(wished))
    assert 0.9 * made <= wish_size._about(wished, vendor, options(wished.provider)) <= 1.1 * made + 20


def test_a_wish_that_would_fill_the_memory_is_refused_before_it_is_planned():
    planned: list[int] = []
    vendor = vendors.vendor("polygon")

    def counted(asked: JobSpec, ours: Any) -> list[Any]:
        found = vendor.plan(asked, ours)
        planned.append(len(found))
        return found

    large = spec("polygon", [f"S{n}" for n in range(20_000)], start="2020-01-01", end="2024-12-31", timespan="1m")
    with at_most(50_000), pytest.raises(BadRequestError, match=r"The wish takes about 6[0-9]{2},[0-9]{3} requests, and 50,000"):
        check_size(large, replace(vendor, plan=counted), options("polygon"))
    assert sum(planned) < 1_000


def test_only_what_is_planned_in_the_block_is_bounded():
    wished = spec("polygon", SYMBOLS[:10], start="2024-01-02", end="2024-01-31")
    with at_most(9), pytest.raises(BadRequestError, match="fewer symbols or a shorter range"):
        plan_new(wished)
    with at_most(10):
        assert len(plan_new(wished)) == 10
    assert len(plan_new(wished)) == 10


def test_a_range_of_centuries_is_refused_and_a_whole_list_has_none():
    with at_most(10), pytest.raises(BadRequestError, match=r"has 2,0[0-9]{2} years, and 300 are the most here"):
        plan_new(spec("polygon", ["AAPL"], start="0002-01-01", end="2024-01-31"))
    with at_most(10):
        assert len(plan_new(spec("polygon", ["AAPL"], dataset="splits"))) == 1


def test_symbols_named_twice_are_found_in_a_long_list():
    with pytest.raises(BadRequestError, match="symbols named twice: S7: name each once"):
        spec("polygon", [*(f"S{n}" for n in range(20_000)), "S7"], start="2024-01-02", end="2024-01-31")
