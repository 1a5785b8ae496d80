"""What is stored, refused, scheduled and used, over HTTP: the documents of the commands."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from redis.exceptions import ConnectionError as RedisAway

from marketfetch import connections
from marketfetch.cli.main import marketfetch
from marketfetch.ops import dead_letters
from marketfetch.schemas.rejects import Reject
from marketfetch.storage.store import Job
from marketfetch.storage.store_errors import StoreUnavailable
from marketfetch.web import health_look
from marketfetch.web.call_threads import Calls
from tests.frames.conftest import DAY_MS, JANUARY_2, columns_of, kept
from tests.frames.test_gaps_in_minutes import keep as keep_minutes
from tests.frames.test_gaps_in_minutes import minutes
from tests.storage.batches import batch
from tests.web.conftest import Client

#: Each document, and the command that prints it.
SAME = [
    ("quotas", ("quotas",)),
    ("quotas/health", ("quotas", "health")),
    ("rejects", ("rejects",)),
    ("dead", ("dead",)),
    ("vendors", ("vendors",)),
    ("gaps", ("gaps",)),
    ("freshness", ("status", "--freshness")),
]
SCHEDULE = """
[[schedule]]
name = "nightly"
provider = "polygon"
symbols = ["AAPL"]
when = "every 6h"
"""


@pytest.fixture
def filled(client: Client) -> Client:
    """Bars with a hole, and a dead message."""
    connections.store().create()
    days = np.delete(np.arange(10), 3)
    kept(connections.store(), "AAPL", columns_of(JANUARY_2 + DAY_MS * days), adjustment="raw", zone="America/New_York")
    dead_letters.bury(list_key="fetch.polygon", reason="it is no JSON", raw=b"{", size=1, task="", task_id="")
    return client


def timeless(found: Any) -> Any:
    """A document without what counts down or up by itself."""
    if isinstance(found, dict):
        return {name: timeless(value) for name, value in found.items() if not name.endswith("_ms")}
    return [timeless(one) for one in found] if isinstance(found, list) else found


@pytest.mark.parametrize(("path", "command"), SAME, ids=[one[0] for one in SAME])
def test_a_document_is_that_of_the_command(filled, path, command):
    printed = CliRunner().invoke(marketfetch, [*command, "--json"]).stdout
    found = filled.get(path)
    assert found.status_code == 200, found.text
    assert timeless(found.json()) == timeless(json.loads(printed))


def test_rejects_are_chosen_by_a_vendor_a_symbol_and_a_reason(client):
    low = Reject(3, "low", "101.5", "low is above open or close", "AAPL")
    high = Reject(4, "high", "9.5", "high is below open or close", "MSFT")
    connections.store().create()
    connections.store().save_job(Job("feed0123456789ab", "{}", 1), ["a"])
    connections.store().store([batch("a", rejects=(low, high)), batch("b", symbol="KO", rejects=(low,))])

    def chosen(**asked: Any) -> dict[str, int]:
        return {one["field"]: one["rows"] for one in client.get("rejects", params=asked).json()["reasons"]}

    assert chosen() == chosen(of="polygon") == {"low": 2, "high": 1}
    assert chosen(of="feed01") == {"low": 1, "high": 1}
    assert chosen(of="MSFT") == {"high": 1}
    assert chosen(of="polygon", reason="HIGH IS") == {"high": 1}
    assert chosen(of="nasdaq") == {}
    assert client.get("rejects", params={"of": "polygon", "limit": 1}).json()["rows"][0]["field"] in ("low", "high")
    assert "'NOSUCH' is no vendor" in client.refused(client.get("rejects", params={"of": "NOSUCH"}), 422)


def test_a_key_is_paused_and_resumed(client):
    paused = client.post("quotas/main/pause", json={"seconds": 60}).json()["keys"][0]
    assert (paused["label"], paused["paused_why"]) == ("main", "paused by an operator")
    assert 0 < paused["paused_ms"] <= 60_000
    assert client.post("quotas/main/resume").json()["keys"][0]["paused_ms"] == 0
    assert "No key is labelled 'other'" in client.refused(client.post("quotas/other/pause", json={}), 404)
    assert "more than 0" in client.refused(client.post("quotas/main/pause", json={"seconds": 0}), 422)


def test_a_dead_message_is_shown_and_dropped(filled):
    message = filled.get("dead").json()["messages"][0]["id"]
    assert filled.get(f"dead/{message}").json()["message"] == "{"
    assert filled.ask("DELETE", f"dead/{message}").json()["id"] == message
    assert filled.get("dead").json() == {"messages": []}
    assert "There is no dead message" in filled.refused(filled.post(f"dead/{message}/retry"), 404)


def test_a_schedule_is_listed_run_paused_and_resumed(client, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "marketfetch.toml").write_text(SCHEDULE)
    (found,) = client.get("schedules").json()["schedules"]
    assert (found["name"], found["paused_since"], found["fault"]) == ("nightly", None, None)
    assert client.post("schedules/nightly/pause").json()["schedules"][0]["paused_since"]
    assert client.post("schedules/nightly/resume").json()["schedules"][0]["paused_since"] is None
    made = client.post("schedules/nightly/run")
    assert made.status_code == 201
    assert client.get(f"jobs/{made.json()['job']}").json()["tags"] == ["schedule:nightly"]
    assert "Did you mean nightly?" in client.refused(client.post("schedules/nighty/run"), 404)


def test_gaps_are_chosen_and_repaired(filled):
    assert filled.get("gaps", params={"symbol": "AAPL", "limit": 0}).json()["gaps"] == []
    assert "after its end" in filled.refused(filled.get("gaps", params={"start": "2024-01-05", "end": "2024-01-02"}), 422)
    assert "There is no universe" in filled.refused(filled.get("gaps", params={"symbol": "@x.txt"}), 422)
    repaired = filled.post("gaps/repair", json={"symbols": ["AAPL"]}).json()
    assert repaired["missing"]["never_asked"] > 0
    assert [one["provider"] for one in repaired["jobs"]] == ["polygon"]


def test_stretches_of_sessions_are_listed_and_repaired(filled):
    noon = minutes("2024-01-10", "09:30-12:00")
    keep_minutes(connections.store(), "KO", noon)
    asked = {"symbol": "KO", "timespan": "1m"}
    (stretch,) = filled.get("gaps", params=asked).json()["stretches"]
    assert (stretch["session"], stretch["bars"], stretch["possible"]) == ("2024-01-10", 240, 390)
    assert filled.get("gaps", params={**asked, "limit": 0}).json()["stretches"] == []
    (job,) = filled.post("gaps/repair", json={"symbols": ["KO"], "timespan": "1m"}).json()["jobs"]
    assert (job["requests"], job["sessions"]) == (1, 1)


def test_health_needs_no_token_and_says_what_is_away_and_not_where(make_client, monkeypatch):
    monkeypatch.setattr(health_look, "EVERY_S", 0.0)
    client, closed = make_client(), make_client(tokens_always=True)
    outages: list[tuple[Any, str, Exception, str]] = [
        (connections.redis(), "ping", RedisAway("redis://svc@10.0.0.7:6379"), "Redis does not respond"),
        (connections.recorded().database, "read", StoreUnavailable("postgresql://svc@10.0.0.7/db"), "The database does not"),
    ]
    for of, name, error, says in outages:
        with monkeypatch.context() as patch:
            patch.setattr(of, name, away(error))
            for one in (client, closed):
                said = one.refused(one.get("health"), 503)
                assert said.startswith(says)
                assert "10.0.0.7" not in said
        assert client.get("health").json() == closed.get("health").json() == {"ok": True}


def test_two_hundred_who_ask_for_the_health_are_one_look(client, monkeypatch):
    monkeypatch.setattr(health_look, "EVERY_S", 600.0)
    looks = []

    def look() -> str:
        looks.append(1)
        return "Redis"

    monkeypatch.setattr(health_look, "_away", look)

    async def asked() -> list[str]:
        health = health_look.Health(Calls())
        return await asyncio.gather(*(health.away() for _ in range(200)))

    assert set(asyncio.run(asked())) == {"Redis"}
    assert looks == [1]


def away(error: Exception):
    def fails(*_: object) -> None:
        raise error

    return fails


def test_a_parameter_that_a_path_does_not_have_is_refused_and_not_ignored(client):
    said = client.refused(client.get("bars?symbol=AAPL&strat=2024-01-02"), 422)
    assert said.startswith("There is no parameter 'strat'. Did you mean start? This path has symbol,")
    assert client.refused(client.get("health?x=1"), 422) == "There is no parameter 'x'. This path has none."
    assert client.get("jobs?limit=5&tag=x").status_code == 200
