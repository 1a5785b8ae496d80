"""What a wish would cost, from the plan, the coverage, the limits and what others have parked. Real Redis, real database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from threading import Event
from time import monotonic
from typing import Any

import pytest
from click.testing import CliRunner

import marketfetch
from marketfetch import configured, connections
from marketfetch.cli.main import marketfetch as command
from marketfetch.documents.forecast_words import lines
from marketfetch.jobs.forecast import seconds_apart
from marketfetch.schemas.ledger import Batch, LedgerRow
from marketfetch.settings import environment, override
from tests.jobs.test_recorded_plans import lane, stored

MONTH: dict[str, Any] = {"start": date(2024, 1, 1), "end": date(2024, 1, 31)}


@pytest.fixture(autouse=True)
def _limited(emptied: Callable[[], None]) -> Iterator[None]:
    """Three calls a day, in UTC, and one every ten seconds."""
    limits = {"MARKETFETCH_PROVIDERS__POLYGON__LIMITS": '["3/day@UTC", "1/10seconds"]'}
    with override({**{name: value for name, value in environment().items() if name.startswith("MARKETFETCH_")}, **limits}):
        for cache in (configured.keys, configured.options):
            cache.cache_clear()
        emptied()
        yield
    for cache in (configured.keys, configured.options):
        cache.cache_clear()


def test_calls_rows_and_time_are_those_of_the_limits_and_nothing_is_recorded() -> None:
    found = marketfetch.plan("polygon", ["AAPL", "MSFT", "X:BTCUSD"], **MONTH)
    assert (found.requests, found.calls, found.rows, found.bytes) == (3, 3, 21 + 21 + 31, (21 + 21 + 31) * 110)
    assert (found.keys, found.ahead, found.seconds, found.partly_stored, found.trouble) == (("main",), 0, 20.0, False, ())
    assert (lane(), connections.store().latest_jobs()) == ([], [])
    intraday = marketfetch.plan("polygon", ["AAPL"], **MONTH, timespan="5m")
    assert (intraday.calls, intraday.rows) == (1, 21 * 78)


def test_a_list_of_all_symbols_says_that_its_pages_are_not_known() -> None:
    whole = marketfetch.plan("polygon", ["*"], dataset="dividends")
    years = marketfetch.plan("polygon", ["*"], dataset="splits", start="2022-01-01", end="2024-12-31")
    assert (whole.calls, years.calls) == (1, 3)
    assert [one.trouble for one in (whole, years)] == [
        (f"How long a list of {dataset} of all symbols is, only its pages say: each further page is one more call.",)
        for dataset in ("dividends", "splits")
    ]


def test_the_fourth_call_of_a_day_waits_for_the_next_day() -> None:
    three, four = (marketfetch.plan("polygon", symbols.split(), **MONTH) for symbols in ("A B C", "A B C D"))
    assert three.seconds == 20.0
    assert four.seconds is not None
    assert 20 < four.seconds <= 86_400


def test_the_gate_admits_the_last_call_when_the_plan_said_with_what_is_used_already() -> None:
    limits = {"MARKETFETCH_PROVIDERS__POLYGON__LIMITS": '["8/4seconds"]'}
    with override({**{name: value for name, value in environment().items() if name.startswith("MARKETFETCH_")}, **limits}):
        configured.keys.cache_clear()
        marketfetch.submit("polygon", ["AAPL", "MSFT"], **MONTH)
        made(2)
        before = monotonic()
        found = marketfetch.plan("polygon", list("ABCDEFG"), **MONTH)
        after = monotonic()
        marketfetch.submit("polygon", list("ABCDEFG"), **MONTH)
        last = made(7)
    assert (found.calls, found.seconds is not None and 3 < found.seconds < 4) == (7, True)
    assert found.seconds is not None
    # The plan counts from a moment between these two.
    assert found.seconds * 0.95 <= last - before
    assert last - after <= found.seconds * 1.05 + 0.2


def made(calls: int) -> float:
    """Makes so many calls as soon as the gate grants them, as a worker does, without the way to a vendor.

    Returns the moment at which the gate would grant the last one: this process may come later, on a busy machine.
    """
    gate, due = connections.gate("polygon"), monotonic()
    while calls:
        admission = gate.admit(room=calls, most_granted=9, keys=configured.keys("polygon"))
        for grant in admission.grants:
            assert gate.start(grant.id, fence=grant.fence).verdict == "go"
            assert gate.finish(grant.id, fence=grant.fence, batch=b"x")
            gate.settle(grant.id)
        calls -= len(admission.grants)
        if calls:
            due = monotonic() + (admission.wait_ms or 1) / 1000
            Event().wait(due - monotonic())
    return due


def test_calls_of_other_jobs_that_come_before_count_and_what_is_stored_does_not() -> None:
    marketfetch.submit("polygon", ["AAPL"], **MONTH)
    other = marketfetch.plan("polygon", ["MSFT", "KO"], **MONTH)
    assert (other.calls, other.ahead, other.seconds) == (2, 1, 20.0)
    assert marketfetch.plan("polygon", ["MSFT"], **MONTH, priority=0).ahead == 0
    for root in lane():
        stored(root)
    part = marketfetch.plan("polygon", ["AAPL", "MSFT"], **MONTH)
    assert (part.requests, part.calls, part.partly_stored, part.ahead) == (1, 1, True, 0)
    none = marketfetch.plan("polygon", ["AAPL"], **MONTH)
    assert (none.requests, none.calls, none.seconds) == (0, 0, 0.0)
    assert marketfetch.plan("polygon", ["AAPL"], **MONTH, again=True).calls == 1


def test_rows_that_are_stored_and_come_along_are_counted() -> None:
    marketfetch.submit("polygon", ["AAPL"], start=date(2024, 1, 8), end=date(2024, 1, 12))
    for root in lane():
        stored(root)
    around = marketfetch.plan("polygon", ["AAPL", "MSFT"], **MONTH)
    assert (around.calls, around.rows, around.stored_rows) == (2, 21 + 21, 5)
    assert lines(around)[1] == "About 42 rows, 5 KB; 5 of the rows are stored already and come in the same calls."
    after = marketfetch.plan("polygon", ["AAPL"], start=date(2024, 1, 8), end=date(2024, 1, 31))
    assert (after.rows, after.stored_rows, after.partly_stored) == (12, 0, True)
    assert marketfetch.plan("polygon", ["AAPL"], **MONTH, again=True).stored_rows == 0


def test_further_pages_are_calls_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "marketfetch.jobs.forecast.options", lambda name: configured.options(name).model_copy(update={"page_limit": 10})
    )
    found = marketfetch.plan("polygon", ["AAPL"], **MONTH)
    assert (found.requests, found.calls) == (1, 3)


def test_the_sentences_name_calls_keys_rows_and_time() -> None:
    found = marketfetch.plan("polygon", ["AAPL", "MSFT"], **MONTH)
    assert lines(replace(found, ahead=1, partly_stored=True)) == [
        "2 calls for what is not stored yet, with the key main of polygon.",
        "About 42 rows, 5 KB.",
        "The last call may be made in 10 s, at the limits of its keys, behind 1 call of other jobs.",
    ]
    assert "No key is in service" in lines(replace(found, seconds=None))[2]
    assert lines(replace(found, requests=0, calls=0))[0].startswith("All of it is stored already: 0 calls.")


def test_the_pace_of_recent_calls_counts_where_no_limit_kept_them_apart() -> None:
    assert [seconds_apart(one) for one in ([], [5], [5, 25], [0, 20, 60, 2_060, 2_080])] == [0, 0, 0, pytest.approx(0.08 / 3)]
    assert seconds_apart([0, 10_000, 20_000, 30_000]) == 0
    store = connections.store()
    rows = [LedgerRow(f"r{n}", f"r{n}", 0, "polygon", "A", "empty", called_at_ms=1_000 + 500 * n) for n in range(3)]
    store.store([Batch(row) for row in [*rows, LedgerRow("o", "o", 0, "nasdaq", "B", "empty", called_at_ms=1_001)]])
    assert store.recent_calls("polygon") == [1_000, 1_500, 2_000]
    limits = {"MARKETFETCH_PROVIDERS__POLYGON__LIMITS": "[]"}
    with override({**{name: value for name, value in environment().items() if name.startswith("MARKETFETCH_")}, **limits}):
        configured.keys.cache_clear()
        assert marketfetch.plan("polygon", ["AAPL", "MSFT", "KO"], **MONTH).seconds == pytest.approx(1.0)


@pytest.mark.parametrize(("provider", "symbol"), [("polygon", "AAPL"), ("alpha_vantage", "IBM")])
def test_a_range_without_a_session_takes_no_call_of_any_vendor(provider: str, symbol: str) -> None:
    days: dict[str, Any] = {"start": "2024-01-06", "end": "2024-01-07"}
    with override({**_ours(), "MARKETFETCH_PROVIDERS__ALPHA_VANTAGE__API_KEYS": "main:secret"}):
        assert marketfetch.submit(provider, [symbol], **days).requests == 0
        assert marketfetch.plan(provider, [symbol], **days).calls == 0
        words = ["plan", provider, symbol, "--start", "2024-01-06", "--end", "2024-01-07"]
        done = CliRunner().invoke(command, words)
    assert "There is no session from 2024-01-06 to 2024-01-07 by the calendar XNYS" in done.stdout
    assert marketfetch.plan("polygon", ["X:BTCUSD"], **days).calls == 1, "crypto trades every day"


def test_the_rows_of_lists_are_not_counted_as_sessions() -> None:
    found = marketfetch.plan("polygon", ["AAPL", "KO"], dataset="dividends", start="2023-01-01", end="2023-12-31")
    assert found.rows == 2
    assert any("one of each is counted" in one for one in found.trouble)


def _ours() -> dict[str, str]:
    return {name: value for name, value in environment().items() if name.startswith("MARKETFETCH_")}
