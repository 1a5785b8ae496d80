"""Jobs over HTTP: what the commands do, with the same documents."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from marketfetch import connections
from marketfetch.cli.main import marketfetch
from marketfetch.exceptions import BadRequestError
from marketfetch.jobs import forecast
from marketfetch.settings import override
from marketfetch.web import job_routes
from marketfetch.web.call_threads import PLANNING
from tests.web.conftest import shared_api

WISH = {"provider": "polygon", "symbols": ["AAPL", "MSFT"], "start": "2024-01-02", "end": "2024-01-31"}


def command(*arguments: str) -> dict:
    done = CliRunner().invoke(marketfetch, [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_a_job_is_planned_submitted_seen_cancelled_and_resumed(client):
    planned = client.post("plan", json=WISH)
    assert planned.status_code == 200, planned.text
    assert planned.json()["calls"] == 2
    assert client.get("jobs").json() == {"jobs": [], "trouble": []}, "a plan records nothing"

    made = client.post("jobs", json={**WISH, "tags": ["nightly"]})
    assert made.status_code == 201, made.text
    job = made.json()["job"]
    assert made.json() == {"job": job, "requests": 2, "new": True, "refreshed": []}
    assert made.headers["location"] == f"/api/v1/jobs/{job}"
    assert client.post("jobs", json={**WISH, "tags": ["nightly"]}).status_code == 200, "within the minute it is the same job"

    assert client.get(f"jobs/{job}").json()["requests"]["parked"] == 2
    assert client.get(made.headers["location"]).json()["owner"] == "ann"
    assert [one["job"] for one in client.get("jobs", params={"tag": "nightly"}).json()["jobs"]] == [job]
    assert client.get("jobs", params={"owner": "bob"}).json()["jobs"] == []
    assert client.get(f"jobs/{job}/failures").json() == []

    assert client.post(f"jobs/{job}/cancel").json()["state"] == "cancelled"
    assert client.post(f"jobs/{job[:6]}/resume").json() == {"job": job, "requests": 2}
    assert client.post(f"jobs/{job}/retry").json() == {"job": job, "requests": 0}


def test_the_documents_are_those_of_the_commands(client):
    job = client.post("jobs", json=WISH).json()["job"]
    moving = ("eta_seconds", "rate_per_minute")

    def still(found):
        return {name: value for name, value in found.items() if name not in moving}

    assert still(client.get(f"jobs/{job}").json()) == still(command("status", job))
    ours, theirs = client.get("jobs").json(), command("status")
    assert [still(one) for one in ours["jobs"]] == [still(one) for one in theirs["jobs"]]
    assert ours["trouble"] == theirs["trouble"]


def test_an_update_is_submitted(client):
    made = client.post("updates", json={"provider": "polygon", "symbols": ["AAPL"], "last": "5 sessions"})
    assert made.status_code == 201, made.text
    assert made.json()["requests"] == 1


def test_a_wish_with_an_idempotency_key_is_one_job_whenever_it_comes(client):
    once = {"Idempotency-Key": "order 7"}
    first = client.post("jobs", json=WISH, headers=once)
    again = client.post("jobs", json=WISH, headers=once)
    other = client.post("jobs", json=WISH, headers={"Idempotency-Key": "order 8"})
    assert (first.status_code, again.status_code, other.status_code) == (201, 200, 201)
    assert first.json()["job"] == again.json()["job"] != other.json()["job"]
    assert again.json() == {**first.json(), "new": False}


@pytest.mark.parametrize(
    ("other", "differs"),
    [
        ({"symbols": ["AAPL", "NVDA"]}, "symbols differs"),
        ({"name": "another"}, "name differs"),
        ({"name": "another", "tags": ["x"]}, "name and tags differ"),
        ({"provider": "alpha_vantage"}, "provider differs"),
    ],
)
def test_an_idempotency_key_of_another_wish_is_refused_and_not_swallowed(client, other, differs):
    once = {"Idempotency-Key": "order 7"}
    job = client.post("jobs", json=WISH, headers=once).json()["job"]
    said = client.refused(client.post("jobs", json={**WISH, **other}, headers=once), 422)
    assert said.startswith(f"This Idempotency-Key was sent with another wish before, which is job {job}: {differs}.")
    assert [one["job"] for one in client.get("jobs").json()["jobs"]] == [job]
    lower = {**WISH, "symbols": [one.lower() for one in WISH["symbols"]]}
    assert client.post("jobs", json=lower, headers=once).status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        ("jobs", {**WISH, "provider": "polygn"}, 422, "There is no vendor 'polygn'. Did you mean 'polygon'?"),
        ("jobs", {**WISH, "symbols": []}, 422, "there is no symbol: name at least one."),
        ("jobs", {**WISH, "start": "2024-02-31"}, 422, "2024-02-31"),
        ("jobs", {**WISH, "symbols": ["@/etc/passwd"]}, 422, "There is no universe @/etc/passwd. The settings have none."),
        ("plan", {**WISH, "symbols": ["@list.txt"]}, 422, "There is no universe @list.txt."),
        ("jobs", {**WISH, "on_over": {"task": "x"}}, 422, "on_over is not known here."),
        ("jobs", {**WISH, "priority": 11}, 422, "priority must be 9 or less."),
        ("jobs", {"provider": "polygon"}, 422, "symbols is missing."),
        ("jobs", {**WISH, "symbols": "AAPL"}, 422, "symbols must be a list."),
    ],
)
def test_a_wrong_wish_is_refused_with_its_sentence(client, path, body, status, says):
    assert says in client.refused(client.post(path, json=body), status)


def test_what_no_json_is_refused(client):
    response = client.post("jobs", content=b"{", headers={"content-type": "application/json"})
    assert client.refused(response, 422) == "The body is no JSON."
    deep = "[" * 100_000 + "]" * 100_000
    response = client.ask("POST", "/api/v1/jobs", headers={"Content-Type": "application/json"}, content=deep)
    assert client.refused(response, 400) == "The body can't be read: it is broken, or nested too deeply."


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({**WISH, "symbols": [1] * 300_000}, "symbols.0 must be a text."),
        ({**WISH, "symbols": ["A"] * 20_001}, "symbols must have 20000 entries or fewer."),
        ({**WISH, "tags": [None] * 100_000}, "tags.0 must be a text."),
        ({**WISH, "tags": ["a"] * 101}, "tags must have 100 entries or fewer."),
        ({str(n): 1 for n in range(60_000)}, "body has 60,000 names, which no request has."),
        ([1] * 300_000, "body must be a table of names and values."),
    ],
)
def test_the_check_of_a_body_ends_at_the_first_wrong_value(client, body, says):
    """It is made on the event loop: 300,000 errors would hold up everybody for seconds."""
    response = client.post("jobs", json=body)
    assert (client.refused(response, 422), len(response.json()["errors"])) == (says, 1)


@pytest.mark.parametrize("path", ["plan", "jobs", "updates"])
def test_a_wish_of_too_many_requests_is_refused(client, monkeypatch, path):
    monkeypatch.setattr(job_routes, "MOST_REQUESTS", 1)
    wish: dict[str, Any] = (
        {**WISH, "again": False} if path != "updates" else {"provider": "polygon", "symbols": ["AAPL", "MSFT"]}
    )
    for headers in ({}, {"Idempotency-Key": "7"}):
        said = client.refused(client.post(path, json=wish, headers=headers), 422)
        assert said.startswith("The wish takes about 2 requests, and 1 are the most here: ask for fewer symbols")
    assert client.get("jobs").json()["jobs"] == []
    assert client.post(path, json={**wish, "symbols": ["AAPL"]}).status_code in (200, 201)


def test_while_wishes_are_planned_everything_else_is_answered(client, monkeypatch):
    released, planning = threading.Event(), threading.Semaphore(0)

    def waiting(*_: Any, **__: Any) -> None:
        planning.release()
        assert released.wait(60)
        raise BadRequestError("it is planned")

    monkeypatch.setattr(forecast, "plan", waiting)

    async def test() -> list[httpx.Response]:
        shared_api().state.service = client.service
        transport = httpx.ASGITransport(client.app)
        async with httpx.AsyncClient(transport=transport, base_url=f"{client.base}/api/v1/", timeout=60) as asked:
            plans = [asyncio.create_task(asked.post("plan", json=WISH)) for _ in range(12)]
            try:
                for _ in range(PLANNING):
                    assert await asyncio.to_thread(planning.acquire, timeout=60)
                for path in ("jobs", "quotas", "vendors"):
                    assert (await asked.get(path)).status_code == 200
                assert not any(one.done() for one in plans)
                assert not planning.acquire(blocking=False), "no more than these at a time"
            finally:
                released.set()
            return await asyncio.gather(*plans)

    assert [one.json()["detail"] for one in asyncio.run(test())] == ["it is planned"] * 12


@pytest.mark.parametrize("path", ["jobs/0123456789abcdef", "jobs/nightly/failures"])
def test_an_unknown_job_is_404(client, path):
    assert "There is no job" in client.refused(client.get(path), 404)


@pytest.mark.parametrize("step", ["cancel", "resume", "retry"])
def test_an_unknown_job_can_not_be_steered(client, step):
    assert "There is no job" in client.refused(client.post(f"jobs/0123456789abcdef/{step}"), 404)


def test_without_redis_nothing_is_submitted_and_the_client_may_come_again(client):
    key = {"MARKETFETCH_PROVIDERS__POLYGON__API_KEYS": "main:secret"}
    with override({"MARKETFETCH_REDIS_URL": "redis://127.0.0.1:1/0", **key}):
        forget()
        response = client.post("jobs", json=WISH)
    forget()
    assert "Redis does not answer" in client.refused(response, 503)
    assert response.headers["retry-after"] == "5"
    assert client.post("jobs", json=WISH).status_code == 201, "it recovers by itself"


def forget() -> None:
    connections._redis.cache_clear()
    connections._gate.cache_clear()
