"""A schedule with real workers: the message of a beat starts what is due, once, and the bars are stored."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from celery import Celery

from tests.waiting import eventually

NIGHTLY = {"name": "nightly", "provider": "polygon", "symbols": ["AAPL", "MSFT"], "when": "session close + 20m", "last": "10d"}


def test_a_message_of_beat_starts_what_is_due_once(place, sandbox):
    place.env["MARKETFETCH_SCHEDULE"] = json.dumps([NIGHTLY])
    place.worker()
    with Celery("beat", broker=place.redis_url, backend=place.redis_url, set_as_current=False) as beat:
        for _ in range(2):
            beat.send_task("marketfetch.run_schedules")
        eventually(lambda: [one["state"] for one in jobs(place)] == ["done"], what="the run is over")
        beat.send_task("marketfetch.run_schedules")
        # A task that is sent later is over: so is the message before it.
        job = beat.send_task("marketfetch.update", kwargs={"provider": "polygon", "symbols": ["AAPL"], "last": "10d"}).get(
            timeout=20
        )
    eventually(lambda: place.status(job)["state"] == "done", what="the update is over")
    run, update = sorted(jobs(place), key=lambda one: one["name"], reverse=True)
    assert (run["name"], run["tags"], run["symbols"]) == ("nightly", ["schedule:nightly"], 2)
    begin = datetime.now(UTC).date() - timedelta(days=11)
    assert run["rows"] >= 2 * 4
    assert run["start"] >= begin.isoformat()
    assert update["name"] == ""


def jobs(place) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(place.marketfetch("status", "--json").stdout)["jobs"]
    return found
