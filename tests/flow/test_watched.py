"""A real worker that is watched: its port shows what its children have counted, and the end of a job is sent to a webhook."""

from __future__ import annotations

import json
import socket

import httpx

from tests.jobs.test_notifications import SECRET, receiver, verified  # noqa: F401 (pytest finds the fixture here)
from tests.waiting import eventually


def test_a_worker_shows_what_its_children_count_and_sends_the_end_of_a_job(place, receiver):  # noqa: F811
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place.env["MARKETFETCH_METRICS__PORT"] = str(port)
    target = {"name": "ops", "url": receiver.url, "secret": SECRET, "events": ["job over"]}
    place.env["MARKETFETCH_NOTIFY"] = json.dumps([target])
    place.worker(concurrency=2)
    eventually(lambda: place.rows("SELECT subject FROM conditions WHERE kind = 'target'"), what="the target is known")
    job = place.fetch("polygon", "AAPL", "MSFT", start="2024-01-02", end="2024-01-31")
    rows = f'marketfetch_rows_total{{provider="polygon"}} {job["rows"]:.1f}'
    calls = 'marketfetch_calls_total{key="main",outcome="ok",provider="polygon"} 2.0'

    def page() -> str:
        found = httpx.get(f"http://127.0.0.1:{port}/metrics").text
        return found if rows in found and calls in found else ""

    found = eventually(page, what="the children's counts are shown")
    assert 'marketfetch_call_seconds_count{provider="polygon"} 2.0' in found
    eventually(lambda: receiver.got, what="the webhook has come")
    event = verified(*receiver.got[0])
    assert (event["type"], event["data"]["job"], event["data"]["outcome"]) == ("job over", job["job"], "done")
    for secret in ("S3CR3T", "whsec_", "T0KEN"):
        assert secret not in found + receiver.got[0][1] + place.worker_log
