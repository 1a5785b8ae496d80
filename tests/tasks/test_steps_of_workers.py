"""The steps of a worker, each in this process: before it has begun, beside another worker, and with a bad clock."""

from __future__ import annotations

import socket
from types import SimpleNamespace
from typing import Any

import pytest

from marketfetch import connections
from marketfetch.quotas.values import Admission
from tasks.worker import notifier, releaser
from tasks.worker.metrics_port import PortThread
from tasks.worker.notifier import Notifier
from tasks.worker.parked_events import ParkedEvents
from tasks.worker.releaser import Releaser, ReleasingLoop
from tasks.worker.sweeper import Sweeper


@pytest.mark.parametrize("kind", [Notifier, ParkedEvents, Releaser, Sweeper])
def test_a_step_stops_its_thread_and_has_none_to_stop_before_it_starts(kind):
    step, stopped = kind(SimpleNamespace()), list[str]()
    step.stop(None)
    step._loop = SimpleNamespace(stop=lambda: stopped.append("stopped"))
    step.terminate(None)
    assert stopped == ["stopped"]


@pytest.mark.parametrize("first", [True, None])
def test_only_the_process_that_has_the_lock_looks_what_has_happened(monkeypatch, first):
    asked: list[dict[str, Any]] = []
    looks: list[object] = []

    class Locks:
        def set(self, _name: str, _value: str, **options: Any) -> bool | None:
            asked.append(options)
            return first

    monkeypatch.setattr(connections, "redis", Locks)
    monkeypatch.setattr(notifier, "named", lambda _redis, name: name)
    monkeypatch.setattr(connections, "store", lambda: "the store")
    monkeypatch.setattr(notifier, "record", lambda store, *_, **__: looks.append(store))
    notifier.look()
    assert looks == (["the store"] if first else [])
    assert asked == [{"nx": True, "px": 4_000}]


def test_a_forked_child_closes_the_port_where_there_is_one():
    thread = PortThread("127.0.0.1", 0)
    thread._close_in_child()
    with socket.socket() as listening:
        server: Any = SimpleNamespace(socket=listening)
        thread._server = server
        thread._close_in_child()
        assert listening.fileno() == -1


@pytest.fixture
def admitted(monkeypatch):
    """A releasing loop, beside an epoch whose gate admits so."""
    monkeypatch.setattr(releaser, "keys", lambda _pool: ())

    def serve(state: Any, *, stepped: bool = False, wait_ms: int | None = None) -> float:
        admission = Admission((), wait_ms, state, 0)
        gate = SimpleNamespace(pool="polygon", admit=lambda **_: admission)
        epoch: Any = SimpleNamespace(gate=gate, name="e", clock_us=lambda: 0, clock_has_stepped=lambda: stepped)
        producer: Any = None
        return ReleasingLoop(SimpleNamespace(), consumed=tuple, slots=1)._serve(epoch, producer)

    return serve


@pytest.mark.parametrize(
    ("state", "stepped", "said", "again_s"),
    [
        ("ok", False, "", 1.0),
        ("clock", False, "", 0.05),
        ("clock", True, "Redis's clock has stepped", 0.05),
        ("stale", False, "this machine's clock is days off Redis's", 1.0),
    ],
)
def test_a_clock_that_steps_or_is_days_off_is_a_line_of_the_log(admitted, capsys, state, stepped, said, again_s):
    assert admitted(state, stepped=stepped) == again_s
    out = capsys.readouterr().out
    assert said in out
    assert bool(out) == bool(said)


def test_the_next_look_comes_when_the_gate_opens_and_after_a_second_at_most(admitted):
    assert [admitted("ok", wait_ms=one) for one in (0, 250, 60_000)] == [0.001, 0.25, 1.0]
