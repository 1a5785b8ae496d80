"""Operators look through Flower: the tasks of a run, with arguments that a person understands."""

from __future__ import annotations

import base64
import socket
from typing import Any

import requests

from tests.waiting import eventually


def test_flower_shows_the_fetch_and_store_tasks_of_a_run(place, sandbox):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    place.env["FLOWER_BASIC_AUTH"] = "ops:letmein"
    place.celery("flower", "--address=127.0.0.1", f"--port={port}", log="flower.log")
    login = {"Authorization": "Basic " + base64.b64encode(b"ops:letmein").decode()}

    def ask(path: str):
        try:
            return requests.get(f"http://127.0.0.1:{port}{path}", headers=login, timeout=300)
        except requests.ConnectionError:
            return None

    eventually(lambda: (reply := ask("/healthcheck")) is not None and reply.ok, within_s=30, what="Flower is up")
    assert requests.get(f"http://127.0.0.1:{port}/api/tasks", timeout=300).status_code == 401
    place.worker("-E")
    place.fetch("polygon", "AAPL", "MSFT", start="2024-01-02", end="2024-01-31")

    def shown():
        tasks = ask("/api/tasks").json().values()
        return [one for one in tasks if one["state"] == "SUCCESS"] if len(tasks) >= 2 else []

    tasks: list[Any] = eventually(lambda: found if len(found := shown()) >= 2 else [], what="all tasks in Flower")
    fetches = {one["args"]: one["kwargs"] for one in tasks if one["name"] == "tasks.fetch.polygon"}
    assert set(fetches) == {"('AAPL',)", "('MSFT',)"}
    assert all("2024-01-02" in kwargs and "2024-01-31" in kwargs and len(kwargs) < 300 for kwargs in fetches.values())
    assert {one["name"] for one in tasks} == {"tasks.fetch.polygon"}, "what a job fetches is stored without a message"

    # What waits in the lane has met no worker yet, and is shown all the same, with the moment at which it is expected.
    code = (
        "from tasks.fetch import polygon\n"
        "print(polygon.apply_async(('TSLA',), dict(start='2024-01-02', end='2024-01-31'), countdown=3600).id)"
    )
    parked = place.run("-c", code).stdout.strip()
    told = eventually(lambda: ask("/api/tasks").json().get(parked) or {}, what="the parked task in Flower")
    assert (told["state"], told["name"], told["args"]) == ("PARKED", "tasks.fetch.polygon", "('TSLA',)")
    assert "2024-01-02" in told["kwargs"]
    assert told["eta"]
    # No sender is listed as a worker, and the page of the real one has the parked task too.
    (worker,) = {one["hostname"] for one in ask("/workers?json=1").json()["data"]}
    assert not worker.startswith("gen")
    ask(f"/api/workers?refresh=1&workername={worker}")
    eventually(lambda: parked in ask(f"/worker/{worker}").text, what="the parked task on the worker's page")

    place.run("-c", f"from tasks import app\napp.control.revoke('{parked}')")
    eventually(lambda: ask("/api/tasks").json()[parked]["state"] == "WITHDRAWN", what="Flower knows that it has left")
