"""`marketfetch quotas`: what operators see of the keys, and how they pause one."""

from __future__ import annotations

import json

from tests.quotas.steps import NOON
from tests.waiting import eventually

DAYS = {"start": "2024-01-02", "end": "2024-01-05"}


def shown(place) -> dict[str, dict]:
    done = place.marketfetch("quotas", "--json")
    assert done.returncode == 0, done.stderr
    return {one["provider"]: one for one in json.loads(done.stdout)["keys"]}


def test_each_limit_of_each_key_is_told_with_what_is_used_and_when_it_opens(place):
    place.env["MARKETFETCH_PROVIDERS__POLYGON__LIMITS"] = f'["2/hour", "9/day@{NOON}"]'
    place.worker()
    place.fetch("polygon", "AAPL", "MSFT", **DAYS)
    key = shown(place)["polygon"]
    assert [(use["text"], use["used"], use["allowed"]) for use in key["limits"]] == [("2/hour", 2, 2), (f"9/day@{NOON}", 2, 9)]
    assert 3_000_000 < key["opens_ms"] <= 3_600_000
    table = place.marketfetch("quotas").stdout
    assert "2/hour" in table
    assert "main" in table


def test_a_plan_gives_the_limits_where_none_are_written(place):
    del place.env["MARKETFETCH_PROVIDERS__POLYGON__LIMITS"]
    assert [use["text"] for use in shown(place)["polygon"]["limits"]] == ["5/minute"]
    place.env["MARKETFETCH_PROVIDERS__POLYGON__PLAN"] = "fre"
    done = place.marketfetch("quotas")
    assert done.returncode == 1
    assert "there is no plan 'fre'" in done.stderr
    assert "Did you mean 'free'?" in done.stderr


def test_a_paused_key_makes_no_call_until_it_is_resumed(place, sandbox):
    place.worker()
    paused = place.marketfetch("quotas", "pause", "main", "--provider", "polygon")
    assert paused.returncode == 0, paused.stderr
    job = place.marketfetch("fetch", "polygon", "AAPL", "--start", DAYS["start"], "--end", DAYS["end"]).stdout.strip()
    assert any("paused by an operator" in sentence for sentence in place.status(job)["trouble"])
    assert sandbox.log()["calls"] == 0
    place.marketfetch("quotas", "resume", "main", "--provider", "polygon")
    eventually(lambda: place.status(job)["state"] == "done")


def test_a_label_that_is_nobodys_or_everybodys_is_told(place):
    done = place.marketfetch("quotas", "pause", "mian")
    assert done.returncode == 1
    assert "No key is labelled 'mian'. Labels are: main." in done.stderr
    done = place.marketfetch("quotas", "resume", "main")
    assert done.returncode == 1
    assert "say which with --provider" in done.stderr
