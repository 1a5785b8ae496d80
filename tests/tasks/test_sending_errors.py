"""The sender that parks: what it does with a Redis that fails, a database that is away, and wishes that can't be planned."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from kombu.exceptions import OperationalError
from redis.exceptions import ConnectionError as RedisAway
from redis.exceptions import OutOfMemoryError

from marketfetch import connections
from marketfetch.exceptions import BadRequestError, UnavailableError
from marketfetch.jobs import planning
from marketfetch.quotas import Grant
from marketfetch.storage.store import StoreUnavailable
from tasks.sending import messages, parking, recorded_tasks

BODY = [["AAPL"], {"start": "2024-01-02", "end": "2024-01-05"}, {}]
HEADERS = {"id": "t", "task": "tasks.fetch.polygon", "ignore_result": True}


@pytest.fixture
def producer(monkeypatch):
    """The producer of a sender, at a gate that does what the test says."""

    def made(park: Any) -> Any:
        gate = SimpleNamespace(park=park, counts=lambda: pytest.fail("nothing is announced of a task without a result"))
        monkeypatch.setattr(connections, "gate", lambda _: gate)
        app = SimpleNamespace(conf=SimpleNamespace(task_time_limit=None))
        return parking._ParkingProducer(SimpleNamespace(channel="kombu's"), app, provider="polygon")

    return made


@pytest.mark.parametrize(
    ("error", "does"),
    [(RedisAway("gone"), "does not answer"), (OutOfMemoryError("used memory > 'maxmemory'"), "refuses to write")],
)
def test_a_redis_that_fails_is_an_error_as_celery_raises_it(producer, error, does):
    def park(*_: Any, **__: Any) -> None:
        raise error

    with pytest.raises(OperationalError, match=f"the gate's Redis {does}, so the task was not sent"):
        producer(park).publish(BODY, headers=HEADERS)


def test_what_celery_asks_of_a_producer_is_kombus(producer):
    assert producer(None).channel == "kombu's"


def test_a_task_of_several_calls_whose_job_cannot_be_recorded_is_parked_for_a_worker(producer, monkeypatch):
    parked: list[Any] = []

    def away(*_: Any, **__: Any) -> str:
        raise UnavailableError("the database is away")

    monkeypatch.setattr(recorded_tasks, "stand_for", away)
    monkeypatch.setattr(parking, "_planned", lambda *_, **__: SimpleNamespace(only=None, requests=[1, 2]))
    producer(lambda some, **_: parked.extend(some)).publish(BODY, headers=HEADERS)
    ((one),) = parked
    assert (one.id, one.task) == ("task:t", "t")


def test_a_link_of_a_chain_with_wrong_arguments_is_parked_and_fails_at_its_turn(monkeypatch):
    def wrong(*_: Any, **__: Any) -> None:
        raise BadRequestError("no such day")

    monkeypatch.setattr(planning, "plan_of_task", wrong)
    with pytest.raises(BadRequestError):
        parking._planned("polygon", BODY, "t", wait_ms=0)
    monkeypatch.setattr(parking, "in_a_task", lambda: True)
    assert parking._planned("polygon", BODY, "t", wait_ms=0) is None


def test_what_this_process_cannot_plan_is_planned_by_a_worker(monkeypatch):
    def unknown(*_: Any, **__: Any) -> None:
        raise UnavailableError("the database is away")

    monkeypatch.setattr(planning, "plan_of_task", unknown)
    assert parking._planned("polygon", BODY, "t", wait_ms=1) is None


def test_a_job_is_not_recorded_while_the_database_is_away(monkeypatch):
    def away() -> Any:
        raise StoreUnavailable("locked")

    monkeypatch.setattr(recorded_tasks, "database", away)
    with pytest.raises(UnavailableError, match="its job was not recorded: locked"):
        recorded_tasks.stand_for(None, json.dumps({"headers": {"id": "t"}}), usual_limit_s=None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("expires", "late"),
    [(None, False), ("2024-01-02T00:00:00", True), ("2024-01-02T00:00:01+00:00", False), ("2024-01-02T01:00:00+02:00", True)],
)
def test_a_moment_without_a_zone_is_utc(expires, late):
    message = messages.FetchMessage(body="", headers={"expires": expires}, properties={})
    assert message.expired(datetime(2024, 1, 2, tzinfo=UTC)) is late
    assert message.expired(datetime(2024, 1, 2, tzinfo=UTC) - timedelta(days=1)) is False


def test_damaged_arguments_of_a_request_that_is_no_tasks_own_are_an_error():
    grant = Grant(kind="go", id="r", fence=1, key_label="main", arguments="no json", message="", attempts=0)
    with pytest.raises(ValueError, match="Expecting value"):
        messages._planned(grant)
