"""A wish that is made again later calls for what was not final, and for nothing else; one of the future calls for nothing."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psutil
import pytest

from marketfetch.sandbox.sessions import NEW_YORK
from tests.flow.test_feeding import ran
from tests.flow.test_ways_in import answer
from tests.waiting import early_in_a_minute, eventually

WISHES = """
import json, sys
from datetime import UTC, date, datetime, timedelta
import marketfetch
from marketfetch.jobs import planning
planning.wished_at = lambda: datetime.now(UTC) + timedelta(minutes={later})
job = marketfetch.submit({symbols}, start=date.fromisoformat("{start}"), end=date.fromisoformat("{end}"), timespan="{timespan}")
print(json.dumps([job.job_id, job.requests, job.new]))
"""
HOUR_MS = 3_600_000
#: Of polygon, after the end of a bar.
DELAY = timedelta(hours=6)


def wish(place, symbol: str, *, start: date, end: date, timespan: str = "1d", later: int = 0) -> tuple[str, int, bool]:
    """Submits as a process would whose clock is `later` minutes ahead; the job's id, its requests, and whether it is new."""
    asked = {"symbols": f'"polygon", ["{symbol}"]', "start": start, "end": end, "timespan": timespan, "later": later}
    job, requests, new = ran(place, WISHES.format(**asked))
    return job, requests, new


def done(place, job: str) -> dict[str, Any]:
    status = eventually(lambda: (found := place.status(job))["state"] == "done" and found, what="the job is done")
    return dict(status)


def test_a_wish_made_again_calls_for_its_last_piece_alone_and_its_end_may_lie_ahead(place, sandbox):
    worker = place.worker()
    early_in_a_minute()
    now = datetime.now(UTC)
    range_: dict[str, Any] = {"start": now.date() - timedelta(days=170), "end": now.date() + timedelta(days=40)}
    first, pieces, _ = wish(place, "X:BTCUSD", **range_, timespan="1h")
    # A piece is a month here. That of today is open, and for six hours that of yesterday.
    months = {(day.year, day.month) for day in (range_["start"] + timedelta(days=n) for n in range(171))}
    assert pieces == len(months)
    still_open = len({((now - ago).year, (now - ago).month) for ago in (timedelta(), DELAY)})
    assert wish(place, "X:BTCUSD", **range_, timespan="1h") == (first, pieces, False)
    rows = done(place, first)["rows"]
    # Before New York's midnight the sandbox has no bar of a month that has begun: an empty reply is checked by a second call.
    checked = int(now.month != now.astimezone(NEW_YORK).month)
    assert sandbox.log()["calls"] == pieces + checked

    second, again, new = wish(place, "X:BTCUSD", **range_, timespan="1h", later=2)
    assert (second != first, again, new) == (True, still_open, True)
    assert done(place, second)["rows"] > 0
    assert place.rows("SELECT count(*) FROM bars") == [(rows,)]
    assert sandbox.log()["calls"] == pieces + still_open + checked
    # What could still change at the call is marked, and nothing else.
    delay_ms = DELAY // timedelta(milliseconds=1)
    marks = f"SELECT min(partial), max(partial), sum(partial != (ts + {HOUR_MS + delay_ms} > fetched_at)) FROM bars"
    assert place.rows(marks) == [(0, 1, 0)]

    maps = {path.path for child in psutil.Process(worker.pid).children() for path in child.memory_maps()}
    assert any("numpy" in path for path in maps)
    assert not [path for path in maps if "pandas" in path]


@pytest.mark.parametrize("timespan", ["1d", "1w"])
def test_a_range_that_was_final_costs_no_second_call(place, sandbox, timespan):
    place.worker()
    range_: dict[str, Any] = {"start": date(2024, 11, 1), "end": date(2024, 11, 29), "timespan": timespan}
    first, *_ = wish(place, "AAPL", **range_)
    rows = done(place, first)["rows"]
    second, requests, new = wish(place, "AAPL", **range_, later=60 * 24 * 30)
    assert (second != first, requests, new) == (True, 0, True)
    assert done(place, second)["requests"]["total"] == 0
    assert place.rows("SELECT count(*) FROM bars") == [(rows,)]
    assert rows > 0
    assert sandbox.log()["calls"] == 1
    assert place.rows("SELECT max(partial) FROM bars") == [(0,)]


def test_a_range_in_the_future_costs_nothing_and_says_so(place, sandbox):
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    refused = place.marketfetch("fetch", "polygon", "X:BTCUSD", "--start", str(tomorrow), "--end", "2099-12-31", "--wait")
    assert refused.returncode == 2
    says = f"the range begins on {tomorrow}, which lies in the future (today is {tomorrow - timedelta(days=1)} in UTC)"
    assert f"Error: X:BTCUSD: {says}" in refused.stderr
    range_ = f"start='{tomorrow}', end='{tomorrow}'"
    code = (
        "import marketfetch\nfrom datetime import timedelta\nanswer = []\n"
        f"for send in (lambda: polygon.delay('X:BTCUSD', {range_}), "
        f"lambda: marketfetch.submit('polygon', ['X:BTCUSD'], {range_})):\n"
        "    try:\n        send()\n    except marketfetch.BadRequestError as error:\n        answer.append(str(error))\n"
        # In two days it is no longer the future.
        f"answer.append(polygon.apply_async(('X:BTCUSD',), dict({range_}), countdown=2 * 86_400).state)"
    )
    by_task, by_submit, in_two_days = answer(place, code)
    assert says in by_task
    assert says in by_submit
    assert in_two_days == "PARKED"
    assert not (place.folder / "marketfetch.db").exists(), "a job was recorded"
    assert sandbox.log()["calls"] == 0


def test_a_job_goes_on_as_it_was_recorded_when_the_delay_is_set_anew(place, sandbox):
    """Its requests are named by what was final at the wish; another delay would name them otherwise today."""
    place.env["MARKETFETCH_PROVIDERS__POLYGON__FINAL_AFTER_MINUTES"] = "0"
    end = datetime.now(UTC).date() - timedelta(days=3)
    job, *_ = wish(place, "X:BTCUSD", start=end - timedelta(days=5), end=end)
    place.redis().flushall()
    place.env["MARKETFETCH_PROVIDERS__POLYGON__FINAL_AFTER_MINUTES"] = "43200"
    assert place.marketfetch("resume", job).stdout == f"{job}: 1 request goes on.\n"
    place.worker()
    assert done(place, job)["rows"] == 6
    status = json.loads(place.marketfetch("status", job, "--json").stdout)
    assert not [one for one in status["trouble"] if "not in its plan" in one]
    assert sandbox.log()["calls"] == 1
