"""A Redis of the results that is away: Celery asks for a restart of the application, ours raises OperationalError."""

from __future__ import annotations

from typing import Any

import pytest
from celery import Celery
from celery.backends.redis import RedisBackend
from kombu.exceptions import OperationalError

from marketfetch.local.valkey_server import start_valkey
from tasks.hardening.result_consumer_reconnect import ResultConsumerReconnect

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
        for _ in range(100):
            ours.result_consumer.drain_events(timeout=0.1)
            if not ours.result_consumer.subscribed_to & {ours.get_key_for_task("waited for before")}:
                break
        assert ours.get_key_for_task("waited for before") not in ours.result_consumer.subscribed_to, "its result has arrived"
