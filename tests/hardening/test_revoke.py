"""Revoking a parked task by remote control: Celery's command does not find it, ours does."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from celery.worker import control, state
from kombu.utils.json import dumps

from marketfetch import connections
from marketfetch.quotas import Gate, Parking
from tasks.app import app
from tasks.hardening import revoke_of_parked_tasks


@pytest.fixture
def parked(redis, monkeypatch):
    """A gate with one parked task, `t1`, alone with its request."""
    gate = Gate(redis, pool="polygon")
    monkeypatch.setattr(connections, "gate", lambda pool: Gate(redis, pool=pool))
    message = dumps({"headers": {"id": "t1", "task": "tasks.fetch.polygon"}, "body": [[], {}, {}], "properties": {}})
    gate.park([Parking(id="task:t1", arguments="", task="t1", message=message)], job="direct", priority=5)
    yield gate
    state.revoked.clear()


def test_celerys_command_leaves_a_parked_task_in_the_lane(parked, monkeypatch):
    marked = []
    monkeypatch.setattr("tasks.sending.revoke.mark_revoked", lambda app, message, **_: marked.append(message["headers"]["id"]))
    worker = SimpleNamespace(app=app, consumer=SimpleNamespace(), hostname="test")

    revoke_of_parked_tasks._celerys_revoke(worker, "t1")
    assert ("t1" in state.revoked, parked.counts().parked, marked) == (True, 1, [])

    assert control.Panel.data["revoke"] is revoke_of_parked_tasks.revoke, "the one that a worker of ours runs"
    control.Panel.data["revoke"](worker, "t1")
    assert (parked.counts().parked, marked) == (0, ["t1"])
