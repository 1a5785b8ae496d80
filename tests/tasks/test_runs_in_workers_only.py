"""Every way to run a fetch task in the process that writes it is refused with a sentence; no vendor is called."""

from __future__ import annotations

import socket
from types import SimpleNamespace

import pytest
from celery import Celery, chain, chord, group

from marketfetch.exceptions import BadRequestError
from tasks import app
from tasks.fetch import polygon
from tasks.store import store_batch
from tasks.worker.eager_setting import EagerWorker, NoEagerWorker

WEEK = {"start": "2024-01-02", "end": "2024-01-05"}
ONE = polygon.s("AAPL", **WEEK)

theirs = Celery("theirs", broker="memory://", backend="cache+memory://", set_as_current=False)


@theirs.task(name="theirs.loaded")
def loaded(*_):
    return "loaded"


@pytest.fixture(autouse=True)
def no_connection(monkeypatch):
    """Neither Redis nor a vendor is reached."""

    def refused(self, address):
        raise AssertionError(f"connects to {address}")

    monkeypatch.setattr(socket.socket, "connect", refused)


@pytest.fixture
def eager(monkeypatch):
    """Celery's setting for tests, on our app."""
    monkeypatch.setitem(app.conf.changes, "task_always_eager", True)


HERE = {
    "a call": lambda: polygon("AAPL", **WEEK),
    "a call of its body": lambda: polygon.run("AAPL", **WEEK),
    "apply": lambda: polygon.apply(("AAPL",), WEEK),
    "apply that throws": lambda: polygon.apply(("AAPL",), WEEK, throw=True),
    "a signature's apply": lambda: ONE.apply(),
    "a signature's call": lambda: ONE(),
    "a chain's apply": lambda: chain(ONE, store_batch.s()).apply(),
    "a group's apply": lambda: group(ONE, ONE).apply(),
    "a chord's apply": lambda: chord([ONE, ONE], store_batch.si({})).apply(),
    "an eager app's chain": lambda: chain(loaded.si(), ONE).apply(),
    "Celery's map, as a worker runs it": lambda: app.tasks["celery.map"](polygon.s(), ["AAPL"]),
    "Celery's starmap, as a worker runs it": lambda: app.tasks["celery.starmap"](polygon.s(), [("AAPL",)]),
}
EAGER = {
    "delay": lambda: polygon.delay("AAPL", **WEEK),
    "apply_async": lambda: polygon.apply_async(("AAPL",), WEEK, countdown=5),
    "a signature's delay": lambda: ONE.delay(),
    "a signature by name": lambda: app.signature("tasks.fetch.polygon", ("AAPL",), WEEK).delay(),
    "a chain": lambda: chain(ONE, store_batch.s()).apply_async(),
    "a group": lambda: group(ONE, ONE)(),
    "a chord": lambda: chord([ONE, ONE])(store_batch.si({})),
    "a link": lambda: chain(ONE).apply_async(link=loaded.si()),
}
MANY = {
    "map": lambda: polygon.map(["AAPL", "MSFT"]),
    "starmap": lambda: polygon.starmap([("AAPL",)]),
    "chunks": lambda: polygon.chunks([("AAPL",), ("MSFT",)], 2),
}


@pytest.mark.parametrize("name", HERE)
def test_running_a_fetch_task_here_is_refused(name):
    with pytest.raises(BadRequestError, match=r"^tasks\.fetch\.polygon runs in workers only.* nothing was fetched\. Send it"):
        HERE[name]()


@pytest.mark.parametrize("name", EAGER)
def test_sending_one_from_an_eager_app_is_refused_and_names_the_setting(name, eager):
    with pytest.raises(BadRequestError, match="task_always_eager is set on the Celery app 'marketfetch'"):
        EAGER[name]()


@pytest.mark.parametrize("name", MANY)
def test_many_calls_in_one_task_are_refused_where_they_are_written(name):
    with pytest.raises(BadRequestError, match=rf"^{name}\(\) makes many calls in one task.* Send a group, such as group\("):
        MANY[name]()


def test_a_worker_with_an_eager_app_does_not_start(eager):
    with pytest.raises(EagerWorker, match="task_always_eager is set on marketfetch's app"):
        NoEagerWorker(SimpleNamespace(app=app))
    NoEagerWorker(SimpleNamespace(app=theirs))
