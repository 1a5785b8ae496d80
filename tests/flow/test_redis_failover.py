"""A `sentinel://` URL: the server of gate, messages and results is killed in the middle of a job, and a replica takes over."""

from __future__ import annotations

import json

import pytest

from tests.flow.conftest import LimitedJob, end_group
from tests.flow.watched_valkey import OF_SENTINEL, PASSWORD, watched_valkey
from tests.waiting import eventually

SENDS = """
from tasks import app
from tasks.fetch import polygon
print(polygon.delay('T', start='2024-01-02', end='2024-01-31').get(timeout=300))
print(app.control.inspect(timeout=300, limit=1).stats())
"""


@pytest.fixture
def watched(tmp_path):
    with watched_valkey(tmp_path / "watched") as found:
        yield found


def test_gate_messages_and_results_follow_sentinel_to_the_new_primary(place, sandbox, watched, monkeypatch):
    place.env["MARKETFETCH_REDIS_URL"] = watched.url
    monkeypatch.setattr(place, "redis", watched.redis)
    said = place.marketfetch("check", "--json").stdout
    found = {one["subject"]: one["level"] for one in reversed(json.loads(said)["findings"])}
    assert {found[one] for one in ("redis", "gate", "broker", "results")} == {"ok"}, said
    job = LimitedJob(place, sandbox, requests=50)
    worker = place.worker("-E", concurrency=2)
    job.submit()
    job.reaches(5, within_s=20)
    watched.kill_primary()
    eventually(watched.has_a_new_primary, what="the replica is promoted")
    # The limit held at the vendor: the new primary may lack calls that the old one had counted, so every window began full.
    job.ends_whole(within_s=40, extra_calls=4)
    assert "gate began a new epoch" in place.worker_log
    assert watched.redis().hget("mf:{polygon}:key:main", "lost") == b"-1", "every window counted as full"
    done = place.run("-c", SENDS)
    assert "stored" in done.stdout, done.stderr
    assert "'transport': 'sentinel'" in done.stdout, "as Flower shows it"
    assert watched.redis().keys("celery-task-meta-*"), "results are where the messages are"
    assert worker.poll() is None, "the same worker"
    end_group(worker)
    for text in (place.worker_log, said, done.stdout, done.stderr):
        assert not any(secret in text for secret in (PASSWORD, OF_SENTINEL))
