"""Messages that nobody can read or run: workers live on, good requests are stored, each message is kept with its reason."""

from __future__ import annotations

import json
from base64 import b64decode

import pytest

from tests.flow.poisons import UNREADABLE, UNUSABLE
from tests.waiting import eventually

SYMBOLS = ("AAPL", "MSFT", "TSLA", "NVDA", "AMZN")
DAYS = ("--start", "2024-01-02", "--end", "2024-01-05")


def dead(place) -> list[dict]:
    done = place.marketfetch("dead", "--json")
    assert done.returncode == 0, done.stderr
    found: list[dict] = json.loads(done.stdout)["messages"]
    return found


def tag(raw: bytes) -> str:
    return str(json.loads(raw)["properties"]["delivery_tag"])


@pytest.mark.parametrize("queue", ["fetch.polygon", "store", "celery"])
def test_each_kind_is_set_aside_with_its_reason_while_good_requests_are_stored(place, queue):
    redis = place.redis()
    worker = place.worker(concurrency=2)
    jobs = [place.marketfetch("fetch", "polygon", one, *DAYS).stdout.strip() for one in SYMBOLS]
    for raw, _ in (UNREADABLE | UNUSABLE).values():
        redis.lpush(queue, raw)
    jobs.append(place.marketfetch("fetch", "polygon", "GOOGL", *DAYS).stdout.strip())
    count = len(UNREADABLE | UNUSABLE)
    eventually(lambda: redis.xlen("mf:dead") == count, within_s=40, what="every poison in the list")
    eventually(lambda: {place.status(job)["state"] for job in jobs} == {"done"}, within_s=30)

    kept = [(b64decode(one[b"raw"]), one[b"reason"].decode()) for _, one in redis.xrange("mf:dead")]
    for name, (raw, words) in UNREADABLE.items():
        assert [reason for one, reason in kept if one == raw[: 64 * 1024] and words in reason], name
    reasons = {tag(one): reason for one, reason in kept if tag_of(one)}
    for name, (raw, words) in UNUSABLE.items():
        assert words in reasons[tag(raw)], name

    assert worker.poll() is None
    assert place.worker_log.count(" ready.") == 1
    assert "Traceback" not in place.worker_log
    lines = [line for line in place.worker_log.splitlines() if "message can't be used" in line]
    assert len(lines) == count
    assert "missed" not in place.worker_log
    assert (redis.llen(queue), redis.hlen("unacked")) == (0, 0)
    assert f"{count} messages could not be read: `marketfetch dead` shows which, and why." in place.status(jobs[0])["trouble"]


def tag_of(raw: bytes) -> str:
    try:
        return tag(raw)
    except (ValueError, TypeError, KeyError, RecursionError):
        return ""
