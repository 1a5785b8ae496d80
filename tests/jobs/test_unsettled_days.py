"""Days that a worker stored as not final, though they were by the plan, are asked for again. Real Redis, real database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

import marketfetch
from marketfetch import connections, vendors
from marketfetch.configured import options
from marketfetch.jobs import planning
from marketfetch.vendors.covering import covered_by
from tests.jobs.test_recorded_plans import lane, request_of
from tests.jobs.test_refreshing import ended, ms
from tests.storage.batches import batch

DAY: dict[str, Any] = {"start": date(2024, 1, 30), "end": date(2024, 1, 31), "adjustment": "raw"}


@pytest.fixture(autouse=True)
def _empty(emptied: Callable[[], None]) -> None:
    emptied()


def stored_too_early(root: str, at: str) -> None:
    """As a worker ends a request for which a longer delay has been set meanwhile, or whose clock is late."""
    request = request_of(root)
    later = options("polygon").model_copy(update={"final_after_minutes": 1_440})
    covered = covered_by(request, vendors.vendor("polygon"), later, called_at_ms=ms(at))
    assert all(one.final_to != one.last_day for one in covered)
    start = ms("2024-01-31T05:00")
    row = batch(root, {start: 1.0}, symbol=request.symbol, fetched=ms(at), partial=[start])
    connections.store().store([replace(row, covered=covered)])
    connections.gate("polygon").settle(root)


def test_days_that_are_final_now_and_were_not_at_the_call_are_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    marketfetch.submit("polygon", ["KO"], **DAY)
    (first,) = lane()
    stored_too_early(first, "2024-02-01T10:20")
    seen = {first}
    for number, day in enumerate(("2024-02-01T10:30", "2024-02-03T23:15")):
        at = datetime.fromisoformat(day).replace(tzinfo=UTC)
        monkeypatch.setattr(planning, "wished_at", lambda at=at: at)
        job = marketfetch.submit("polygon", ["KO"], **DAY, name=f"later {number}")
        (root,) = lane()
        assert (job.requests, root in seen) == (1, False)
        assert marketfetch.submit("polygon", ["KO"], **DAY, name=f"another {number}").requests == 1
        assert lane() == [root], "what is in flight is shared"
        assert marketfetch.plan("polygon", ["KO"], **DAY).calls == 1
        seen.add(root)
        if not number:
            stored_too_early(root, "2024-02-01T10:40")
    ended(root, "2024-02-03T23:20")
    assert marketfetch.submit("polygon", ["KO"], **DAY, name="last").all_stored


def test_a_failed_second_call_is_made_a_third_time() -> None:
    marketfetch.submit("polygon", ["KO"], **DAY)
    (first,) = lane()
    stored_too_early(first, "2024-02-01T10:20")
    marketfetch.submit("polygon", ["KO"], **DAY, name="second")
    (second,) = lane()
    ended(second, "2024-02-01T10:30", outcome="failed", reason="KO: Polygon: Transient: cut")
    marketfetch.submit("polygon", ["KO"], **DAY, name="third")
    (third,) = lane()
    assert len({first, second, third}) == 3
