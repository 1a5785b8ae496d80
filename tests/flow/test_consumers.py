"""`add_consumer` and `cancel_consumer`: a worker releases the calls of the queues that it consumes, and of no others."""

from __future__ import annotations

from tests.flow.conftest import LimitedJob
from tests.flow.test_releaser import cut_all_connections
from tests.waiting import eventually

QUEUE = "fetch.polygon"


def test_a_worker_grants_while_it_consumes_the_queue_and_a_reconnect_changes_nothing(place, sandbox):
    job = LimitedJob(place, sandbox, requests=60)
    redis = place.redis()
    place.worker("-Q", "store")

    def told(what: str, queue: str = QUEUE) -> None:
        code = f"from tasks import app\nprint(app.control.{what}('{queue}', reply=True, timeout=5, limit=1))"
        # A broadcast reaches no worker that is about to reconnect.
        eventually(lambda: "'ok'" in place.run("-c", code).stdout, what="the worker replies")

    def admitted() -> int:
        return int(redis.hget("mf:{polygon}:counts", "admitted") or 0)

    told("add_consumer")  # it only stored until now
    job.submit()
    job.reaches(10, within_s=20)
    told("cancel_consumer")
    eventually(lambda: "now=none" in place.worker_log, what="it releases nothing")
    eventually(lambda: not redis.zcard("mf:{polygon}:running"), what="what ran has ended")
    # No quota is held by a message that no worker takes.
    eventually(lambda: not redis.zcard("mf:{polygon}:granted"), what="what was granted has returned")
    before, ready = admitted(), redis.zcard("mf:{polygon}:ready")
    ((name,),) = place.rows("SELECT id FROM jobs")
    sentence = f"No worker is running that consumes the queue {QUEUE}"
    assert any(sentence in one for one in place.status(name)["trouble"])
    told("add_consumer", "fetch.nasdaq")  # of another vendor
    eventually(lambda: "now=nasdaq" in place.worker_log, what="it releases for the other vendor")
    assert sentence in place.marketfetch("quotas").stderr

    lost = place.worker_log.count("Connected to")
    cut_all_connections(place)
    eventually(lambda: place.worker_log.count("Connected to") > lost, what="it has reconnected")
    assert (admitted(), redis.zcard("mf:{polygon}:ready")) == (before, ready)

    told("add_consumer")
    job.reaches(35, within_s=20)
    cut_all_connections(place)
    job.ends_whole(within_s=60, extra_calls=4)
