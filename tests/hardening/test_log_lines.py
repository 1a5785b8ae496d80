"""What Celery and billiard log at an outage or a death, and what stays of it."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from typing import Any

import billiard.util
import pytest
from billiard.exceptions import WorkerLostError
from celery import Celery
from celery.beat import ScheduleEntry, Scheduler, SchedulingError
from kombu.common import ignore_errors
from redis.exceptions import ConnectionError as RedisConnectionError

from tasks.hardening.lost_child_tracebacks import lost_child_as_sentence
from tasks.hardening.outage_tracebacks import outage_as_sentence
from tasks.hardening.pool_log_lines import log_pool_lines_by

Filters = tuple[Callable[[logging.LogRecord], bool], ...]


def logged(name: str, message: str, error: Exception, *, filters: Filters, arguments: tuple[str, ...] = ()) -> str:
    """What a logger of that name writes about an error, as Celery logs it: `exc_info=True`."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    for one in filters:
        handler.addFilter(one)
    logger = logging.getLogger(name)
    logger.addHandler(handler)
    try:
        raise error
    except type(error):
        logger.critical(message, *arguments, error, exc_info=True)
    finally:
        logger.removeHandler(handler)
    return stream.getvalue()


def test_an_outage_is_a_traceback():
    error = RedisConnectionError("Error 111 connecting to 127.0.0.1:1. Connection refused.")
    stock = logged("celery.worker.request", "Couldn't ack 5, reason:%r", error, filters=())
    assert "Traceback (most recent call last)" in stock
    ours = logged("celery.worker.request", "Couldn't ack 5, reason:%r", error, filters=(outage_as_sentence,))
    assert len(ours.splitlines()) == 1
    assert ours.endswith("It goes on by itself when Redis is back.\n")


def test_beat_logs_its_stack_and_a_traceback_for_each_entry_that_it_can_not_send():
    app = Celery(set_as_current=False)

    def told(**filters: Any) -> str:
        with pytest.raises(SchedulingError) as found:
            Beat(app=app, lazy=True).apply_async(ScheduleEntry("nightly", "t", schedule=60, app=app))
        return logged("celery.beat", "Message Error: %s\n%s", found.value, arguments=(str(found.value),), **filters)

    assert "Traceback (most recent call last)" in told(filters=())
    ours = told(filters=(outage_as_sentence,))
    assert ours.splitlines() == [
        "Couldn't apply scheduled task nightly (Redis: Connection refused.). It goes on by itself when Redis is back."
    ]


class Beat(Scheduler):
    def send_task(self, *_: Any, **__: Any) -> None:
        raise RedisConnectionError("Connection refused.")


def test_a_part_that_is_stopped_without_its_connection_is_a_traceback():
    gone: Any = None

    def told(error: Exception, **filters: Any) -> str:
        return logged("celery.bootsteps", "Error on %s %s: %r", error, arguments=("restarting", "Gossip"), **filters)

    with pytest.raises(AttributeError) as found:
        ignore_errors(gone, lambda: gone.cycle)
    assert "Traceback (most recent call last)" in told(found.value, filters=())
    ours = told(found.value, filters=(outage_as_sentence,))
    assert len(ours.splitlines()) == 1
    assert ours.startswith("Error on restarting Gossip: AttributeError(")
    assert ours.endswith("It goes on by itself.\n")
    assert "Traceback" in told(ValueError("a fault of ours"), filters=(outage_as_sentence,))


def test_a_killed_child_is_a_traceback():
    error = WorkerLostError("Worker exited prematurely: signal 9 (SIGKILL) Job: 41.")
    stock = logged("celery.worker.request", "Task handler raised error: %r", error, filters=())
    assert "Traceback (most recent call last)" in stock
    ours = logged("celery.worker.request", "Task handler raised error: %r", error, filters=(lost_child_as_sentence,))
    assert len(ours.splitlines()) == 1
    assert ours.startswith("Worker exited prematurely: signal 9 (SIGKILL) Job: 41. Its request")


def test_lines_of_the_pool_do_not_reach_the_root_logger():
    pool, root = billiard.util.get_logger(), logging.getLogger()
    before = (pool.handlers[:], pool.level)
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    root.addHandler(handler)
    try:
        pool.handlers[:] = []
        logging.lastResort, last = None, logging.lastResort
        pool.error("Process %r exited", "ForkPoolWorker-1")
        logging.lastResort = last
        assert stream.getvalue() == ""
        log_pool_lines_by(handler)
        pool.error("Process %r exited", "ForkPoolWorker-1")
        assert stream.getvalue() == "Process 'ForkPoolWorker-1' exited\n"
    finally:
        root.removeHandler(handler)
        pool.handlers[:] = before[0]
        pool.setLevel(before[1])
