"""What is left to ask is recorded with a job, and nothing that is stored later changes it. Real Redis, real database."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
from click.testing import CliRunner

import marketfetch
from marketfetch import connections, vendors
from marketfetch.cli.main import marketfetch as command
from marketfetch.configured import options
from marketfetch.jobs import feeding, planning
from marketfetch.schemas.request import Request
from marketfetch.storage.store import Job
from marketfetch.vendors.covering import covered_by
from marketfetch.vendors.times import unix_ms
from tests.storage.batches import batch

NOW = datetime(2024, 2, 1, 10, 15, tzinfo=UTC)
MONTHS: dict[str, Any] = {"start": date(2023, 7, 1), "end": date(2023, 12, 31), "timespan": "1m"}


def lane() -> list[str]:
    gate: Any = connections.gate("polygon")
    return [one.decode() for one in gate.redis.zrange(gate.prefix + "ready", 0, -1)]


def request_of(root: str) -> Request:
    arguments = connections.gate("polygon").arguments(root)
    return Request.model_validate({"provider": "polygon", **json.loads(arguments or "{}")})


def stored(root: str, *, outcome: Any = "empty") -> None:
    """As a worker ends a request."""
    request = request_of(root)
    vendor = vendors.vendor("polygon")
    covered = covered_by(request, vendor, options("polygon"), called_at_ms=unix_ms(NOW))
    row = batch(root, outcome=outcome, symbol=request.symbol, fetched=unix_ms(NOW))
    connections.store().store([replace(row, covered=() if outcome == "failed" else covered)])
    connections.gate("polygon").settle(root)


@pytest.fixture(autouse=True)
def _empty(emptied: Callable[[], None]) -> None:
    emptied()


def submit(*symbols: str, **wish: Any) -> Any:
    return marketfetch.submit("polygon", list(symbols), **(MONTHS | wish))


def test_a_redis_that_is_emptied_at_half_of_a_job_gets_the_same_requests_back() -> None:
    job = submit("AAPL", "MSFT")
    before = lane()
    assert (job.requests, len(before)) == (6, 6)
    for root in before[:3]:
        stored(root)
    total = marketfetch.status(job.job_id).requests.total
    # Another job has stored all that is left: a plan that is made anew would find nothing to ask.
    other = submit("MSFT", again=True)
    for root in [one for one in lane() if one not in before]:
        stored(root)
    assert marketfetch.status(other.job_id).state == "done"
    connections.redis().flushall()
    assert feeding.sweep() == 3
    assert lane() == before[3:], "the same ids in the same order"
    assert marketfetch.status(job.job_id).requests.total == total == 6
    for root in lane():
        stored(root)
    assert (marketfetch.status(job.job_id).state, feeding.sweep()) == ("done", 0)


def test_a_wish_of_which_all_is_stored_is_a_job_that_is_done_at_once() -> None:
    submit("AAPL", "MSFT")
    for root in lane():
        stored(root)
    part = submit("AAPL", start=date(2023, 8, 3), end=date(2023, 11, 2))
    assert (part.requests, part.new, part.partly_stored, lane()) == (0, True, True, [])
    assert part.all_stored
    found = marketfetch.status(part.job_id)
    assert (found.state, found.requests.total, found.eta_seconds) == ("done", 0, 0)
    assert connections.store().open_jobs() == []
    assert marketfetch.resume(part.job_id) == 0
    more = submit("AAPL", end=date(2024, 1, 31))
    assert (more.requests, more.partly_stored, more.all_stored) == (1, True, False)
    assert [(str(one.start), str(one.end)) for one in map(request_of, lane())] == [("2024-01-02", "2024-01-31")]
    again = submit("AAPL", again=True)
    assert (again.requests, again.partly_stored) == (3, False)


def test_the_command_says_of_a_repeated_wish_that_nothing_is_fetched_twice() -> None:
    words = ["fetch", "polygon", "AAPL", "--start", "2024-01-02", "--end", "2024-01-31"]
    first, second = (CliRunner().invoke(command, words) for _ in range(2))
    assert first.stdout == second.stdout
    assert "The same job was submitted" not in first.stderr
    assert (
        "1 request. The same job was submitted less than a minute ago: what it has fetched is not fetched twice (--again does)."
    ) in second.stderr


def test_the_same_wish_within_the_minute_is_the_same_job_with_the_same_plan() -> None:
    job = submit("AAPL")
    for root in lane()[:2]:
        stored(root)
    same = submit("AAPL")
    assert (same.job_id, same.new, same.requests) == (job.job_id, False, 3)
    assert marketfetch.status(job.job_id).requests.total == 3


def test_failed_requests_are_made_again_by_a_later_job_and_by_retry(monkeypatch: pytest.MonkeyPatch) -> None:
    job = submit("AAPL")
    first, failed, last = lane()
    stored(failed, outcome="failed")
    for root in (first, last):
        stored(root)
    assert marketfetch.status(job.job_id).state == "failed"
    monkeypatch.setattr(planning, "wished_at", lambda: NOW.replace(minute=20))
    later = submit("AAPL")
    (anew,) = lane()
    assert (later.requests, anew != failed) == (1, True)
    assert request_of(anew).model_copy(update={"generation": ""}).root == failed
    assert marketfetch.retry(job.job_id) == 1
    assert sorted(lane()) == sorted([anew, failed])


def test_a_job_of_a_release_that_recorded_no_plan_keeps_the_plan_of_its_wish() -> None:
    spec = planning.make_spec("polygon", ["AAPL", "MSFT"], again=False, **MONTHS)
    requests = planning.plan(spec)
    connections.store().save_job(Job("0123456789abcdef", spec.model_dump_json(), 1), [one.root for one in requests])
    submit("MSFT", again=True)
    for root in lane():
        stored(root)
    assert feeding.sweep() == 6
    assert lane() == [one.root for one in requests], "what is stored since then is not subtracted"
