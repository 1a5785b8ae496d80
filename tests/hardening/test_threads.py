"""Pools without child processes: a task that raises SystemExit, and what happens at a cold shutdown."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from billiard.einfo import ExceptionInfo
from celery.concurrency import solo, thread
from celery.exceptions import WorkerLostError
from celery.worker import state

from tasks.hardening.exit_in_a_thread import ExitInAThread
from tasks.hardening.tasks_without_an_end import SoloWithoutAnEnd, ThreadsWithoutAnEnd
from tasks.worker.thread_pool import HardenedThreads

FUTURE_S = 60


def reported(kind, task):
    """What a pool reports of a task, by the callback that it calls."""
    found: list[tuple[str, Any]] = []
    pool, over = kind(limit=2), threading.Event()
    pool.start()

    def note(what):
        def noted(*values):
            found.append((what, values[-1]))
            if what != "accepted":
                over.set()

        return noted

    pool.apply_async(task, callback=note("ended"), accept_callback=note("accepted"), error_callback=note("lost"))
    assert over.wait(FUTURE_S)
    pool.stop()
    assert found[0][0] == "accepted"
    return found[1]


def leaves():
    raise SystemExit(1)


@pytest.mark.parametrize("kind", [thread.TaskPool, ExitInAThread, HardenedThreads])
def test_the_result_of_a_task_is_reported(kind):
    assert reported(kind, lambda: "done") == ("ended", "done")


def test_a_task_that_raises_system_exit_is_reported_as_a_lost_child_is():
    assert reported(thread.TaskPool, leaves)[0] == "ended", "Celery's own: the callback of results, which can't read it"
    for kind in (ExitInAThread, HardenedThreads):
        what, lost = reported(kind, leaves)
        assert (what, isinstance(lost, ExceptionInfo)) == ("lost", True)
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
    assert time.monotonic() - before < FUTURE_S / 2
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
