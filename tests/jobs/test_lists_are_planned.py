"""Datasets that come as whole lists: what a wish for one becomes, and which wishes are refused before anything is sent."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from marketfetch import vendors
from marketfetch.exceptions import BadRequestError
from marketfetch.jobs import planning
from marketfetch.schemas.job_spec import JobSpec
from marketfetch.schemas.request import Request
from tasks.sending.parking import _absolute

AT = datetime(2026, 11, 20, 10, 15, tzinfo=UTC)


def planned(provider: str, *symbols: str, again: bool = False, **wish: Any) -> tuple[JobSpec, list[Request]]:
    spec = planning.make_spec(provider, symbols, again=again, nonce="n", at=AT, **wish)
    return spec, planning.plan_new(spec)


@pytest.mark.parametrize(
    ("provider", "dataset"), [("polygon", "splits"), ("alpha_vantage", "SPLITS"), ("polygon", "Dividends")]
)
def test_a_list_is_one_request_a_symbol_without_a_range_and_never_final(provider: str, dataset: str) -> None:
    spec, requests = planned(provider, "AAPL", "MSFT", dataset=dataset)
    assert (spec.dataset, spec.is_whole) == (dataset.lower(), True)
    assert [(one.symbol, one.dataset, one.start, one.end, one.generation) for one in requests] == [
        (symbol, dataset.lower(), None, None, "2026-11-20T10:15Z") for symbol in ("AAPL", "MSFT")
    ]
    assert planning.plan(JobSpec.model_validate_json(spec.model_dump_json())) == requests
    assert planned(provider, "AAPL", dataset=dataset, again=True)[1][0].generation == "n"


RELEASE_BEFORE = Path(__file__).parents[1] / "recordings" / "releases" / "0.1.0.zip"
READS = """
import sys
from schemas.requests import Request
Request.model_validate_json(sys.argv[1])
"""


def test_a_worker_that_would_drop_the_rows_of_a_list_refuses_its_request() -> None:
    """The release before reads splits and stores none: it would record the request as stored."""
    (split,) = planned("polygon", "AAPL", dataset="splits")[1]
    (bars,) = planned("polygon", "AAPL", start="2024-01-02", end="2024-01-31")[1]
    said = {}
    for one in (split, bars):
        asked = json.dumps({"provider": "polygon", **json.loads(one.arguments)})
        done = subprocess.run(
            [sys.executable, "-c", READS, asked], env={"PYTHONPATH": str(RELEASE_BEFORE)}, capture_output=True, text=True
        )
        said[one.dataset] = done.stderr
    assert said["bars"] == ""
    assert "records" in said["splits"]
    assert "Extra inputs are not permitted" in said["splits"]


@pytest.mark.parametrize(
    ("provider", "symbol", "wish", "told"),
    [
        (
            "nasdaq",
            "AAPL",
            {"dataset": "splits"},
            "no dataset 'splits', so nothing was sent: alpha_vantage and polygon have",
        ),
        ("polygon", "AAPL", {"dataset": "WIKI/PRICES"}, "nasdaq has it"),
        ("alpha_vantage", "IBM", {"dataset": "splits", "start": "2024-01-01"}, "whole list: leave out the start and the end"),
        ("polygon", "AAPL", {"dataset": "snapshots", "end": date(2024, 1, 1)}, "whole list: leave out the start and the end"),
        ("polygon", "AAPL", {"dataset": "splits", "start": "2024-01-01", "adjustment": "raw"}, "leave out the adjustment"),
        ("alpha_vantage", "IBM", {"dataset": "dividends", "adjustment": "raw"}, "leave out the adjustment"),
        ("polygon", "X:BTCUSD", {"dataset": "splits"}, "X:BTCUSD is no stock, and has no splits"),
        ("polygon", "BRK-B", {"dataset": "dividends"}, "write BRK.B instead"),
        ("polygon", "AAPL", {"dataset": "symbols"}, "leave the symbols out"),
        ("alpha_vantage", "*", {"dataset": "splits"}, "name the symbols, or ask for the dataset symbols or delisted"),
        ("alpha_vantage", "EUR/USD", {"dataset": "splits"}, "EUR/USD is a pair of currencies"),
    ],
)
def test_a_wish_that_is_sure_to_bring_nothing_is_refused(provider: str, symbol: str, wish: dict[str, Any], told: str) -> None:
    with pytest.raises(BadRequestError, match=told):
        planned(provider, symbol, **wish)


def test_a_task_takes_a_list_too_and_its_message_stays_without_days() -> None:
    plan = planning.plan_of_task("polygon", ("AAPL",), {"dataset": "splits"}, task_id="t", at=AT)
    assert plan.only == planned("polygon", "AAPL", dataset="splits")[1][0]
    body: Any = (("AAPL",), {"dataset": "splits"}, {})
    assert _absolute("polygon", body, wait_ms=0) == body
    _, dated, _ = _absolute("polygon", (("AAPL",), {"start": "2024-01-02"}, {}), wait_ms=0)
    assert dated["start"] == "2024-01-02"
    assert dated["end"] > "2026"


@pytest.mark.parametrize(
    ("provider", "dataset", "asked"),
    [
        ("polygon", "symbols", ("active", "true")),
        ("polygon", "tickers", ("active", "true")),
        ("polygon", "delisted", ("active", "false")),
        ("alpha_vantage", "LISTING_STATUS", ("state", "active")),
        ("alpha_vantage", "delisted", ("state", "delisted")),
    ],
)
def test_a_list_of_a_market_is_one_request_for_all_symbols(provider: str, dataset: str, asked: tuple[str, str]) -> None:
    _, (request,) = planned(provider, "*", dataset=dataset)
    assert (request.symbol, request.dataset, request.start) == ("*", "delisted" if dataset == "delisted" else "symbols", None)
    known = vendors.vendor(provider)
    assert asked in known.build_request(request, known.options()).params
