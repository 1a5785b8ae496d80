"""Messages go through a broker apart from Redis: through SQL here, through RabbitMQ with `make rabbitmq`.

The broker is in no row of the state machine: what it loses, doubles or delays changes nothing that is stored.
"""

from __future__ import annotations

import json
import os
import signal

from marketfetch.ops import dead_letters
from tests.flow.conftest import BROKER_URL, LimitedJob
from tests.waiting import eventually

#: So that what a killed worker had in hand returns within the test's time.
SOON = {f"MARKETFETCH_TIMINGS__{name}": "6" for name in ("START_BY", "END_BY", "HELD_AGAIN")}
SOON["MARKETFETCH_TIMINGS__CALL"] = "5"
SENDS = """
from tasks import app
from tasks.fetch import polygon
one = polygon.s("T", start="2024-01-02", end="2024-01-31")
print(one.delay().get(timeout=300)["outcome"])
late = one.apply_async(countdown=600)
app.control.revoke(late.id)
print(late.state)
with app.connection_for_write() as connection:
    connection.Producer().publish([[], {}, {}], routing_key="store", headers={"task": "no.such.task", "id": "1"})
"""


def test_a_worker_is_killed_in_the_middle_and_everything_is_stored(place, sandbox):
    url = BROKER_URL or f"sqla+sqlite:///{place.folder}/messages.db"
    place.env |= SOON | {"MARKETFETCH_BROKER_URL": url}
    said = place.marketfetch("check", "--json").stdout
    found = {one["subject"]: (one["level"], one["sentence"]) for one in reversed(json.loads(said)["findings"])}
    assert {found[one][0] for one in ("redis", "gate", "broker", "results")} == {"ok"}, said
    assert url.partition("://")[0] in found["broker"][1]
    job = LimitedJob(place, sandbox, requests=12)
    worker = place.worker(concurrency=2)
    job.submit()
    job.reaches(3, within_s=30)
    os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()
    worker = place.worker(concurrency=2)
    job.ends_whole(within_s=60, extra_calls=4)
    done = place.run("-c", SENDS)
    assert done.stdout.split() == ["stored", "REVOKED"], done.stderr

    redis = place.redis()
    eventually(lambda: redis.xlen(dead_letters.KEY), what="what can't be run is a dead letter")
    ((number, kept),) = redis.xrange(dead_letters.KEY)
    assert (kept[b"list"], kept[b"task"]) == (b"store", b"no.such.task")
    retried = place.marketfetch("dead", "retry", number.decode())
    assert retried.returncode == 0, retried.stderr
    eventually(lambda: redis.xrange(dead_letters.KEY, min=f"({number.decode()}"), what="it came back by its queue")
    assert redis.xlen(dead_letters.KEY) == 1
    assert redis.keys("fetch.*") + redis.keys("unacked*") + redis.keys("_kombu*") == []
    assert worker.poll() is None
    assert "Traceback" not in place.worker_log
    worker.terminate()
    assert worker.wait(300) == 0
