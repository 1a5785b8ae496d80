"""The priority of a job: 0 first, strictly, from `submit`, the command line, and a wish that is sent again to hurry it."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import pytest

import marketfetch
from marketfetch.exceptions import BadRequestError
from marketfetch.jobs.planning import make_spec, plan
from marketfetch.quotas import Gate, key_limits
from marketfetch.schemas.job_spec import JobSpec
from tests.quotas.steps import admit

DAYS = ("--start", "2024-01-02", "--end", "2024-01-05")


@pytest.fixture
def here(shell, redis, valkey_url):
    shell.variables |= {"MARKETFETCH_REDIS_URL": valkey_url, "MARKETFETCH_PROVIDERS__POLYGON__API_KEYS": '["main:x"]'}
    return shell


def fetch(here, *words: str) -> str:
    done = here.run("fetch", "polygon", *words, *DAYS)
    assert done.returncode == 0, done.stderr
    return str(done.stdout.strip())


def granted(gate, many: int) -> list[str]:
    return [json.loads(one.arguments)["symbol"] for one in admit(gate, key_limits("main", []), room=many).grants]


def test_a_lower_number_goes_first_whatever_was_parked_before(here, redis):
    gate = Gate(redis, pool="polygon")
    last, normal, first = (
        fetch(here, "AAPL", "MSFT", "--priority", "9"),
        fetch(here, "TSLA"),
        fetch(here, "AMZN", "--priority", "0"),
    )
    assert granted(gate, 2) == ["AMZN", "TSLA"]
    # The same wish again, to hurry: its parked requests move ahead, and nothing is parked twice.
    fetch(here, "META")
    hurried = fetch(here, "AAPL", "MSFT", "--priority", "1")
    assert len({last, normal, first, hurried}) == 4
    assert gate.counts().parked == 3
    assert [gate.in_lane(job) for job in (last, hurried)] == [2, 0]
    assert granted(gate, 3) == ["AAPL", "MSFT", "META"]


def test_submit_has_it_and_a_wish_without_it_is_recorded_as_ever(here, redis):
    wish: dict[str, Any] = {
        "start": date(2024, 1, 2),
        "end": date(2024, 1, 5),
        "again": False,
        "at": datetime(2024, 2, 1, tzinfo=UTC),
    }
    plain, urgent = make_spec("polygon", ["AAPL"], **wish), make_spec("polygon", ["AAPL"], priority=0, **wish)
    assert "priority" not in plain.model_dump_json(), "a worker of the release before reads it"
    assert (JobSpec.model_validate_json(urgent.model_dump_json()).priority, plain.priority) == (0, 5)
    assert [one.id for one in plan(plain)] == [one.id for one in plan(urgent)], "the calls are the same"
    several: list[Any] = [10, -1, True, "0"]
    for wrong in several:
        with pytest.raises(BadRequestError, match="priority"):
            marketfetch.submit("polygon", ["AAPL"], start="2024-01-02", end="2024-01-05", priority=wrong)
    refused = here.run("fetch", "polygon", "AAPL", *DAYS, "--priority", "-1")
    assert (refused.returncode, "write a whole number from 0 to 9" in refused.stderr) == (2, True)
    assert not redis.keys("mf:*")
