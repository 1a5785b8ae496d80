"""What `delay()` asks Redis: of a burst of tasks the backlog now and then, and of each task nothing that is not there yet."""

from __future__ import annotations

from typing import Any

import pytest
from celery import Celery

from tasks.sending.parking import PARKED, _Backlog
from tasks.sending.result_backend import HardenedBackend

#: Celery 5.7 calls it when it writes a result.
pytestmark = pytest.mark.filterwarnings("ignore:Call to deprecated setex:DeprecationWarning")

TOLD = {"not_before": None, "expected": "2024-01-02T00:00:00+00:00"}


@pytest.fixture
def backend(redis, valkey_url) -> HardenedBackend:
    return HardenedBackend(app=Celery(set_as_current=False), url=valkey_url)


def test_the_first_state_of_a_task_is_written_without_reading_one(redis, backend):
    backend.store_result("of celery", TOLD, PARKED)
    redis.config_resetstat()
    backend.store_first("ours", TOLD, PARKED)
    asked = redis.info("commandstats")
    assert {"cmdstat_set", "cmdstat_publish"} <= set(asked)
    assert "cmdstat_get" not in asked
    ours, theirs = ({**backend.get_task_meta(one), "task_id": ""} for one in ("ours", "of celery"))
    assert ours == theirs
    keys = [backend.get_key_for_task(one) for one in ("ours", "of celery")]
    assert abs(redis.ttl(keys[0]) - redis.ttl(keys[1])) <= 1


@pytest.mark.parametrize(("before", "after"), [("SUCCESS", "SUCCESS"), ("FAILURE", PARKED), ("STARTED", PARKED)])
def test_of_a_task_that_is_sent_again_celerys_own_write_decides(backend, before, after):
    backend.store_result("sent twice", ValueError("it failed") if before == "FAILURE" else 1, before)
    backend.store_first("sent twice", TOLD, PARKED)
    assert backend.get_state("sent twice") == after


def test_a_burst_asks_for_the_backlog_once():
    class Pool:
        asked = 0

        def parked(self) -> int:
            self.asked += 1
            return 40

    gate: Any = Pool()
    backlog = _Backlog()
    assert [backlog.with_these(gate, calls) for calls in (1, 1, 3)] == [41, 42, 45]
    assert gate.asked == 1
    other: Any = Pool()
    assert backlog.with_these(other, 1) == 41
