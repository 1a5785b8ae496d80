"""Pools without child processes: where a task's end is handled, and what happens at a cold shutdown."""

from __future__ import annotations

import os
import threading
import time

import pytest
from billiard.einfo import ExceptionInfo
from celery.concurrency import solo, thread
from celery.exceptions import WorkerLostError
from celery.worker import state
from kombu.asynchronous import Hub

from tasks.hardening.results_of_threads import ResultsOfThreads
from tasks.hardening.tasks_without_an_end import SoloWithoutAnEnd, ThreadsWithoutAnEnd
from tasks.worker.thread_pool import HardenedThreads

FUTURE_S = 5


def handled(kind, task):
    """What the pool reports of a task, each with the thread in which it does so, and after how many seconds the last."""
    found, took_s, over, hub = [], [], threading.Event(), Hub()
    reading, writing = os.pipe()
    hub.add_reader(reading, os.read, reading, 1)  # with nothing to read from, a loop sleeps for a tenth of a second only
    pool = kind(limit=2)
    pool.start()
    pool.register_with_event_loop(hub)

    def note(what):
        def noted(*values):
            found.append((what, threading.current_thread() is threading.main_thread(), values[-1]))
            took_s.append(time.monotonic() - began)
            if what != "accepted":
                over.set()
                os.write(writing, b".")  # ends the poll that follows

        return noted

    os.write(writing, b".")
    hub.run_once()  # the loop exists from here on
    began = time.monotonic()
    pool.apply_async(task, callback=note("ended"), accept_callback=note("accepted"), error_callback=note("lost"))
    while not over.is_set() and time.monotonic() - began < FUTURE_S:
        hub.run_once()
    pool.stop()
    hub.close()
    os.close(reading)
    os.close(writing)
    return found, took_s[-1]


def leaves():
    threading.Event().wait(0.1)
    raise SystemExit(1)


def test_the_end_of_a_task_is_handled_in_the_event_loop():
    (accepted, ended), _ = handled(thread.TaskPool, lambda: "done")
    assert (accepted[:2], ended[:2]) == (("accepted", False), ("ended", False)), "Celery's own: in the thread of the task"
    (accepted, ended), took_s = handled(HardenedThreads, lambda: threading.Event().wait(0.1) or "done")
    assert accepted[:2] == ("accepted", True)
    assert ended == ("ended", True, "done")
    assert took_s < 0.9, "the loop is woken: its poll would have slept for a second"


def test_a_task_that_raises_system_exit_is_reported_as_a_lost_child_is():
    (_, ended), _ = handled(thread.TaskPool, leaves)
    assert ended[0] == "ended", "Celery's own hands an exception to the callback of results, which then fails"
    for kind in (ResultsOfThreads, HardenedThreads):
        (_, (what, in_loop, lost)), _ = handled(kind, leaves)
        assert (what, in_loop, isinstance(lost, ExceptionInfo)) == ("lost", True, True)
        assert isinstance(getattr(lost.exception, "exc", lost.exception), WorkerLostError)
        assert "SystemExit(1)" in str(lost.exception)


@pytest.mark.parametrize(
    ("kind", "ours"),
    [(thread.TaskPool, ThreadsWithoutAnEnd), (thread.TaskPool, HardenedThreads), (solo.TaskPool, SoloWithoutAnEnd)],
)
def test_a_pool_that_can_end_no_task_says_so_without_an_error(kind, ours):
    with pytest.raises(NotImplementedError):
        kind.__new__(kind).terminate_job(1)
    assert ours.__new__(ours).terminate_job(1) is None


def test_a_warm_shutdown_waits_for_what_runs_and_a_cold_one_does_not(monkeypatch):
    pool, begun, goes_on = HardenedThreads(limit=1), threading.Event(), threading.Event()
    done: list[str] = []

    def task():
        begun.set()
        goes_on.wait(FUTURE_S)
        return "done"

    pool.start()
    pool.on_apply(task, callback=done.append)
    pool.on_apply(task, callback=done.append)  # no thread begins it
    assert begun.wait(FUTURE_S)
    monkeypatch.setattr(state, "should_terminate", True)
    before = time.monotonic()
    pool.stop()
    assert time.monotonic() - before < 1
    assert done == []
    monkeypatch.setattr(state, "should_terminate", None)
    threading.Timer(0.1, goes_on.set).start()
    pool.stop()
    assert done == ["done"]


def test_no_more_threads_are_started_than_tasks_run_at_once():
    pool, together = HardenedThreads(limit=3), threading.Barrier(3)
    pool.start()
    for _ in range(3):
        pool.on_apply(lambda: together.wait(FUTURE_S))
    pool.executor.shutdown(cancel_futures=False)
    assert not together.broken
    assert pool.info["threads"] == 3
    for _ in range(9):
        pool.on_apply(lambda: None)
    pool.executor.shutdown(cancel_futures=False)
    assert pool.info["threads"] == 3
