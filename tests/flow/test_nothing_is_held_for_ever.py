"""Whatever raises between a grant and its outcome, the request ends, and no slot and no quota stays held."""

from __future__ import annotations

import json

import pytest

#: Ends that are none of the request's own: a worker's crash or a bug elsewhere would show as these.
ENDS = {"stored", "empty", "failed", "SUCCESS", "FAILURE"}


@pytest.mark.parametrize("when", ["once", "always"])
def test_an_exception_at_each_line_between_grant_and_finish_ends_in_an_outcome(place, sandbox, when):
    place.env |= {"MARKETFETCH_RETRIES__MOST": "1", "MARKETFETCH_PROVIDERS__POLYGON__LIMITS": '["1000000/day@UTC"]'}
    done = place.run("-m", "tests.flow.each_line", when, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    wrong = [one for one in found if one["wrong"] or not set(one["outcomes"]) <= ENDS]
    assert wrong == []
    raised = [one for one in found if one["line"]]
    assert all(one["raised"] for one in raised)
    assert len(raised) > 100
    if when == "once":
        # Before the call the request goes on as if nothing had happened.
        assert sum(one["outcomes"] == ["stored"] for one in raised) > 5
