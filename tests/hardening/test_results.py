"""A Redis of the results that is away: Celery asks for a restart or fails tasks, ours raises OperationalError or waits."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from celery import Celery
from celery.app.trace import build_tracer
from celery.backends.redis import RedisBackend
from kombu.exceptions import OperationalError
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from marketfetch.local.valkey_server import start_valkey
from tasks.hardening.result_consumer_reconnect import ResultConsumerReconnect
from tasks.hardening.results_in_an_outage import ResultsInAnOutage

#: Celery 5.7 calls it when it writes a result.
pytestmark = pytest.mark.filterwarnings("ignore:Call to deprecated setex:DeprecationWarning")

TRIES = {"max_retries": 1, "interval_start": 0.05, "interval_step": 0, "interval_max": 0.05}


@pytest.fixture
def backends():
    """Celery's backend and ours, each of a client app of its own, for one address."""

    def made(url: str) -> list[RedisBackend]:
        apps = [Celery(set_as_current=False) for _ in range(2)]
        for app in apps:
            app.conf.result_backend_transport_options = {"retry_policy": TRIES}
        return [kind(app=app, url=url) for kind, app in zip((RedisBackend, ResultConsumerReconnect), apps, strict=True)]

    return made


def sent_three_times(backend: RedisBackend) -> None:
    for number in range(3):
        backend.on_task_call(None, f"sent meanwhile {number}")


def test_a_redis_that_is_away_asks_for_a_restart(tmp_path, backends):
    with start_valkey(tmp_path) as server:
        stock, ours = backends(server.url)
        for backend in (stock, ours):
            backend.result_consumer.start("waited for before")
    # The first one may still go into the buffer of a socket whose other end is gone.
    with pytest.raises(RuntimeError, match="application must be restarted"):
        sent_three_times(stock)
    with pytest.raises(OperationalError, match="does not answer"):
        sent_three_times(ours)

    with start_valkey(tmp_path, port=server.port):
        ours.on_task_call(None, "sent afterwards")
        received: list[Any] = []
        ours.result_consumer.on_message = received.append
        ours.store_result("waited for before", 1, "SUCCESS")
        for _ in range(1_000):
            ours.result_consumer.drain_events(timeout=0.1)
            if not ours.result_consumer.subscribed_to & {ours.get_key_for_task("waited for before")}:
                break
        assert ours.get_key_for_task("waited for before") not in ours.result_consumer.subscribed_to, "its result has arrived"


def traced(kind: type[RedisBackend], url: str, body: Any, *, track: bool = False) -> RedisBackend:
    """Runs a task as a child of a worker does, and returns the backend that has its result."""
    app = Celery(set_as_current=False)
    app.conf.update(result_backend_transport_options={"retry_policy": TRIES}, task_track_started=track)
    task = app.task(body, name="of a user", shared=False)
    task.backend = kind(app=app, url=url)
    task.backend.connparams["retry"] = Retry(NoBackoff(), 0)  # redis-py's own pauses are random
    build_tracer(task.name, task, app=app)("id", (), {}, {"id": "id", "delivery_info": {}})
    return task.backend


def test_who_begins_to_wait_while_redis_is_away_waits_for_it(tmp_path, backends):
    with start_valkey(tmp_path) as server:
        _, ours = backends(server.url)
        ours.store_result("id", "stored", "SUCCESS")
        result = ours.app.AsyncResult("id", backend=ours)
        ours.add_pending_result(result)
    with pytest.raises(OperationalError, match="does not answer"):
        result.get(timeout=0.1)
    back: list[Any] = []
    again = threading.Timer(0.5, lambda: back.append(start_valkey(tmp_path, port=server.port)))
    again.start()
    try:
        assert result.get(timeout=300) == "stored"
    finally:
        again.join()
        back[0].stop()


def stored() -> str:
    return "stored"


def test_redis_is_away_while_a_result_is_written(tmp_path):
    server, back = start_valkey(tmp_path), threading.Event()

    def starts_again() -> None:
        with start_valkey(tmp_path, port=server.port):
            back.wait(300)

    again = threading.Timer(0.6, starts_again)

    def body() -> str:
        server.stop()
        again.start()
        return "stored"

    try:
        assert traced(ResultsInAnOutage, server.url, body).get_state("id") == "SUCCESS"
    finally:
        back.set()
        again.join()
    with (
        pytest.warns(RuntimeWarning, match="outside body"),
        pytest.raises(RedisConnectionError),  # of writing that it failed
    ):
        traced(RedisBackend, server.url, stored)


def test_a_task_runs_although_its_start_cannot_be_written(tmp_path):
    server = start_valkey(tmp_path)
    server.stop()
    ran = []

    def body() -> str:
        ran.append(start_valkey(tmp_path, port=server.port))
        return "stored"

    try:
        assert traced(ResultsInAnOutage, server.url, body, track=True).get_state("id") == "SUCCESS"
    finally:
        for one in ran:
            one.stop()
