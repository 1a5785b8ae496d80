"""The pools that a worker starts with, and the sentence for every other one. No pool of greenlets has to be installed."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from celery.concurrency import gevent, prefork, solo, thread
from celery.concurrency.base import BasePool

from marketfetch.settings import environment
from tasks import neighbours
from tasks.worker.child_pool import HardenedPool
from tasks.worker.supported_pools import SupportedPools, UnsupportedPool
from tasks.worker.thread_pool import HardenedThreads
from tests.preloaded import preloaded

ROOT = Path(__file__).parents[2]


class Mine(prefork.TaskPool):
    """A user's own pool of processes."""


class Other(BasePool):
    """A pool of a kind that is not known."""


@pytest.fixture(autouse=True)
def unshared(monkeypatch):
    """The process of the tests stays one that runs a task at a time, and switches threads as Python does."""
    calls: list[float] = []
    monkeypatch.setattr(neighbours, "share_the_process", lambda: calls.append(True))
    monkeypatch.setattr(sys, "setswitchinterval", calls.append)
    return calls


@pytest.mark.parametrize(
    ("given", "used", "shared"),
    [
        (prefork.TaskPool, HardenedPool, False),
        (HardenedPool, HardenedPool, False),
        (Mine, Mine, False),
        (thread.TaskPool, HardenedThreads, True),
    ],
)
def test_a_pool_that_works_is_used_with_its_faults_worked_around(given, used, shared, unshared):
    worker = SimpleNamespace(pool_cls=given, concurrency=7)
    SupportedPools(worker)
    assert (worker.pool_cls, worker.concurrency, unshared) == (used, 7, [True, 0.0005] if shared else [])


def test_a_solo_worker_gets_the_grants_of_one_task_at_a_time():
    worker = SimpleNamespace(pool_cls=solo.TaskPool, concurrency=7)
    SupportedPools(worker)
    assert (issubclass(worker.pool_cls, solo.TaskPool), worker.concurrency) == (True, 1)


@pytest.mark.parametrize(
    ("pool", "name", "why"),
    [(gevent.TaskPool, "gevent", "does not work with marketfetch"), (Other, "Other", "is none that marketfetch supports")],
)
def test_any_other_pool_is_refused_with_what_to_use(pool, name, why):
    with pytest.raises(UnsupportedPool) as refused:
        SupportedPools(SimpleNamespace(pool_cls=pool, concurrency=7))
    assert str(refused.value).startswith(f"The pool {name!r} {why}")
    assert "Use `threads` for many calls at once" in str(refused.value)


def test_a_worker_whose_environment_names_such_a_pool_ends_with_the_sentence(tmp_path):
    """As by the option `-P`, except that Celery then replaces Python's threads before it imports our app."""
    variables = {**environment(), "PYTHONPATH": str(ROOT), "CELERY_WORKER_POOL": "gevent"}
    done = preloaded().run("-m", "celery", "-A", "tasks", "worker", cwd=tmp_path, env=variables, timeout=300)
    assert done.returncode == 1
    assert "Error: The pool 'gevent' does not work with marketfetch" in done.stderr
    assert "Traceback" not in done.stderr
