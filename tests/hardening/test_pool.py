"""Children that die at a bad moment: Celery's pool reports failure or raises, ours goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from multiprocessing import Pipe
from pathlib import Path
from types import SimpleNamespace

import pytest
from celery.concurrency.asynpool import AsynPool
from kombu.asynchronous import Hub

from tasks.hardening.acks_of_dead_children import AcksOfDeadChildren
from tasks.hardening.child_tracking_after_reconnect import ChildTrackingAfterReconnect

ROOT = Path(__file__).parents[2]

#: Two children, of which some are dead when Celery asks. In a process of its own: a pool forks what is there.
ASKED = """
import os, signal
from celery.concurrency.asynpool import AsynPool
from tasks.hardening.child_dies_at_start import ChildDiesAtStart
for kind in (AsynPool, ChildDiesAtStart):
    for dead in (1, 2):
        pool = kind(processes=2, threads=False, putlocks=False)
        for child in pool._pool[:dead]:
            os.kill(child.pid, signal.SIGKILL)
            child._popen.wait()
        print(kind.__name__, dead, bool(pool.did_start_ok()))
        for child in pool._pool:
            os.kill(child.pid, signal.SIGKILL)
os._exit(0)
"""


def test_one_dead_child_at_the_start():
    command = [sys.executable, "-u", "-c", ASKED]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "AsynPool 1 False",
        "AsynPool 2 False",
        "ChildDiesAtStart 1 True",
        "ChildDiesAtStart 2 False",
    ], "one dead child ends a stock worker only; with none alive no worker can work"


def test_a_dead_child_is_tracked_again_after_a_reconnect():
    hub, dead = Hub(), SimpleNamespace(_sentinel_poll=None)  # as `_untrack_child_process` leaves a child that has died
    try:
        with pytest.raises(ValueError, match="descriptor"):
            AsynPool.__new__(AsynPool)._track_child_process(dead, hub)
        hardened = ChildTrackingAfterReconnect.__new__(ChildTrackingAfterReconnect)
        hardened._event_process_exit = lambda *_: None
        hardened._track_child_process(dead, hub)
        assert not hub.readers
        reading, writing = os.pipe()
        hardened._track_child_process(SimpleNamespace(_sentinel_poll=reading), hub)
        assert list(hub.readers) == [reading]
        hub.remove(reading)
        os.close(reading)
        os.close(writing)
    finally:
        hub.close()


@pytest.mark.parametrize(("kind", "runs_again"), [(AsynPool, True), (AcksOfDeadChildren, False)])
@pytest.mark.parametrize("taken", [True, False])
def test_an_acknowledgement_of_a_dead_child_is_read(kind, runs_again, taken):
    """`taken`: the child has sent that it has the task. One that has not is always handed to another child."""
    reading, writing = Pipe(duplex=False)
    job = SimpleNamespace(_accepted=False)
    again: list[SimpleNamespace] = []
    pool = kind.__new__(kind)
    pool._state, pool._active_writers, pool._put_back = "RUN", set(), again.append
    pool._result_handler = SimpleNamespace(on_state_change=lambda _: setattr(job, "_accepted", True))
    with reading, writing:
        if taken:
            writing.send("taken")
        pool.on_partial_read(job, SimpleNamespace(outq=SimpleNamespace(_reader=reading), dead=True))
    assert bool(again) == (runs_again or not taken)
