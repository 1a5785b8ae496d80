"""`celery inspect scheduled|reserved|query_task` show what is parked: bounded, once, and with what a person looks for."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pytest
from celery.worker import control
from kombu.utils.json import dumps
from redis import Redis

from marketfetch import connections
from marketfetch.quotas import Gate, Parking, key_limits
from marketfetch.quotas.lanes import lane
from tasks.app import app
from tasks.worker import inspect_commands, parked_view

ROOT = "0123456789abcdef0123"


def seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


@pytest.fixture
def gate(redis, monkeypatch):
    monkeypatch.setattr(connections, "gate", lambda pool: Gate(redis, pool=pool))
    monkeypatch.setattr(connections, "redis", lambda: redis)
    monkeypatch.setattr(inspect_commands, "_SHOWS_MS", 60_000)  # on a busy machine a test takes longer than a broadcast
    monkeypatch.setattr(parked_view, "keys", lambda _: (key_limits("main", ["5/minute"]),))
    return Gate(redis, pool="polygon")


def asked(command: str, *, host: str = "one@host", **arguments: Any) -> Any:
    """What a worker of this name replies, without what it holds itself."""
    timer = SimpleNamespace(schedule=SimpleNamespace(queue=[]))
    state = SimpleNamespace(app=app, hostname=host, tset=set, consumer=SimpleNamespace(timer=timer))
    assert control.Panel.data[command] is getattr(inspect_commands, command), "the one that a worker of ours runs"
    reply = control.Panel.data[command](state, **arguments)
    return json.loads(json.dumps(reply))


def requests_of_a_job(gate: Gate, many: int) -> None:
    some = [
        Parking(id=f"{n:020x}", arguments=json.dumps({"symbol": f"S{n}", "start": "2024-01-02", "end": "2024-01-31"}))
        for n in range(many)
    ]
    gate.park(some, job="J")


def task(gate: Gate, name: str, body: Any, **options: Any) -> None:
    headers = {"id": name, "task": "tasks.fetch.polygon", "argsrepr": "(...)", "kwargsrepr": "{}"}
    message = dumps({"headers": headers, "body": body, "properties": {}})
    gate.park([Parking(id=f"task:{name}", arguments="words", task=name, message=message)], job="direct", **options)


def test_the_first_thousand_are_shown_by_one_worker_with_symbol_range_place_and_expected_time(gate):
    requests_of_a_job(gate, 1_200)
    soon = int(time.time() * 1000) + 3_600_000
    task(gate, "later", [["TSLA"], {"start": "2024-03-01", "end": "2024-03-28"}, {}], not_before_ms=soon)
    found = asked("scheduled")
    assert len(found) == 1_000
    assert asked("scheduled", host="two@host") == [], "the same broadcast has reached another worker"
    assert len(asked("scheduled")) == 1_000
    first = found[0]["request"]
    assert (first["name"], first["args"], first["worker_pid"]) == ("tasks.fetch.polygon", ["S0"], None)
    assert first["parked"] == {
        "symbol": "S0", "start": "2024-01-02", "end": "2024-01-31", "expected": found[0]["eta"], "not_before": None,
        "position": 1, "of": 1_200, "request": f"{0:020x}", "for": "J",
    }  # fmt: skip
    # 5 at once, 94 more at 12 s each; the hundredth may run then, and so on.
    assert 1_130 <= seconds(found[99]["eta"]) - seconds(found[0]["eta"]) <= 1_150
    assert "TSLA" in {one["request"]["args"][0] for one in found}, "its moment comes before that of the thousandth"
    reserved = asked("reserved")
    assert [one["parked"]["position"] for one in reserved] == list(range(1, 1_000)), "the thousandth is TSLA"
    assert [one["id"] for one in reserved] == [one["request"]["id"] for one in found if one["request"]["parked"]["position"]]


def test_what_an_owner_has_parked_is_expected_by_the_limits_of_that_owners_keys(gate, monkeypatch):
    acme, ours = lane("acme"), key_limits("main", ["5/minute"])
    theirs = replace(key_limits("theirs", ["1/minute"]), lanes=(acme,))
    monkeypatch.setattr(parked_view, "keys", lambda _: (ours, theirs))
    requests_of_a_job(gate, 1_100)
    gate.park([Parking(id=f"{acme}~{n:020x}", arguments=json.dumps({"symbol": f"A{n}"})) for n in range(3)], job="K")
    found = [one for one in asked("scheduled") if one["request"]["parked"]["for"] == "K"]
    assert [one["request"]["parked"]["position"] for one in found] == [1, 2, 3], "a long lane beside it hides none"
    assert {one["request"]["parked"]["of"] for one in found} == {3}
    later = [round(seconds(one["eta"]) - seconds(found[0]["eta"])) for one in found]
    assert later == [pytest.approx(wait, abs=2) for wait in (0, 60, 120)]


def test_a_task_is_found_by_its_id_and_a_request_of_a_job_by_its_id_or_its_messages(gate):
    gate.park([Parking(id=f"{ROOT}/2", arguments='{"symbol": "AAPL"}')], job="J")
    task(gate, "mine", [["TSLA"], {"start": "2024-03-01"}, {}], not_before_ms=int(time.time() * 1000) + 60_000)
    (listed,) = (one["request"]["id"] for one in asked("scheduled") if one["request"]["args"] == ["AAPL"])
    assert listed.startswith(f"{ROOT}-2.")
    found = asked("query_task", ids=["mine", f"{ROOT}/2", listed, "unknown", "f" * 20], host="any@host")
    assert {name: (state, one["parked"]["symbol"]) for name, (state, one) in found.items()} == {
        "mine": ("parked", "TSLA"), f"{ROOT}/2": ("parked", "AAPL"), listed: ("parked", "AAPL"),
    }  # fmt: skip
    assert found["mine"][1]["parked"]["not_before"] == found["mine"][1]["parked"]["expected"]
    assert found[listed][1]["id"] == listed


@pytest.mark.parametrize(
    "body", [[["x" * 100_000], {}, {}], [[], {}, {}], ["\u202e", None, {}], 5, [[{"deep": [1]}], {"symbol": "\x00"}, {}]]
)
def test_hostile_arguments_are_shown_short_and_spoil_no_list(gate, body):
    task(gate, "odd", body)
    requests_of_a_job(gate, 1)
    found = asked("scheduled")
    assert len(found) == 2
    assert len(json.dumps(found)) < 3_000


def test_while_redis_is_away_a_worker_shows_what_it_holds(monkeypatch, capsys):
    away = Redis.from_url("redis://127.0.0.1:1", socket_connect_timeout=1)
    monkeypatch.setattr(connections, "redis", lambda: away)
    monkeypatch.setattr(connections, "gate", lambda pool: Gate(away, pool=pool))
    assert asked("scheduled") == asked("reserved") == []
    assert asked("query_task", ids="mine") == {}
    assert "what is parked is not shown" in capsys.readouterr().out
