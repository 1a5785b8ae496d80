"""The errback of a message that could not be used is sent, with the id of the task that did not run."""

from __future__ import annotations

from types import SimpleNamespace

from celery import Celery

from tasks.worker import burial


def test_an_errback_of_a_task_that_another_worker_knows_is_sent():
    app = Celery("theirs", broker="memory://", backend="cache+memory://", set_as_current=False)
    errback = app.signature("theirs.note").set(queue="theirs")
    consumer = SimpleNamespace(app=app, event_dispatcher=None)
    headers = {"id": "unusable", "task": "tasks.fetch.polygon", "embed": {"errbacks": [errback], "chord": None, "chain": None}}
    burial._report(consumer, headers, "unusable", "its body is no JSON")
    assert app.AsyncResult("unusable").state == "FAILURE"
    with app.connection_for_read() as connection, connection.SimpleQueue("theirs") as queue:
        message = queue.get(timeout=5)
    assert (message.headers["task"], message.payload[0]) == ("theirs.note", ["unusable"])
