"""A worker is stopped at the worst moment: while its main process writes a task to a child."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
from celery import Celery

from marketfetch.settings import environment
from tasks.hardening.stop_in_mid_write import WholeMessagesAtTheEnd, in_a_callback
from tests.waiting import LONG_S, PATIENCE, eventually

ROOT = Path(__file__).parents[2]

#: A worker that stops itself between the header and the body of the first task that it hands to a child.
WORKER = """
import os, signal, sys
from billiard.connection import _ConnectionBase
from celery import Celery
from marketfetch.settings import environment
from tasks.hardening.stop_in_mid_write import StopsBetweenCallbacks

app = Celery("stopped", broker=sys.argv[1])
if sys.argv[2] == "ours":
    app.steps["worker"].add(StopsBetweenCallbacks)

@app.task(name="nothing")
def nothing(): pass

send, parent = _ConnectionBase.send_offset, os.getpid()
def and_stop(self, *arguments):
    written = send(self, *arguments)
    if os.getpid() == parent:
        _ConnectionBase.send_offset = send
        os.kill(parent, signal.SIGTERM)
    return written
_ConnectionBase.send_offset = and_stop
app.worker_main(["worker", "-c", "1", "--loglevel", "info", "--without-gossip", "--without-mingle"])
"""


@pytest.mark.parametrize("kind", ["stock", "ours"])
def test_a_worker_that_is_stopped_while_it_writes_to_a_child_ends(redis, valkey_url, tmp_path, kind):
    Celery(broker=valkey_url).send_task("nothing")
    log = tmp_path / "log"
    with log.open("wb") as file:
        worker = subprocess.Popen(
            [sys.executable, "-c", WORKER, valkey_url, kind],
            cwd=ROOT, env=environment() | {"REMAP_SIGTERM": "SIGQUIT"}, stdout=file, stderr=file, start_new_session=True,
        )  # fmt: skip
    try:
        eventually(lambda: "Cold shutdown" in log.read_text() or "terminate all running" in log.read_text(), within_s=30)
        if kind == "ours":
            worker.wait(timeout=10 * PATIENCE)
            assert "succeeded" in log.read_text() or redis.llen("celery") == 1, "the task was run, or is there again"
        else:
            with pytest.raises(subprocess.TimeoutExpired):
                worker.wait(timeout=3)
    finally:
        with suppress(ProcessLookupError):  # it has ended, and its child with it
            os.killpg(worker.pid, signal.SIGKILL)
        worker.wait(timeout=LONG_S)


def test_a_message_larger_than_the_pipe_is_written_to_its_end_before_the_children_are_asked_to_end():
    reading, writing = socket.socketpair()
    written = []

    def message():
        yield
        written.append("the rest")

    begun, unbegun = message(), message()
    next(begun)
    pool = WholeMessagesAtTheEnd.__new__(WholeMessagesAtTheEnd)
    child = SimpleNamespace(inq=SimpleNamespace(_writer=writing), _is_alive=lambda: True)
    jobs = [SimpleNamespace(_writer=lambda one=one: one, _write_to=child) for one in (begun, unbegun)]
    pool._cache, pool._active_writers, pool._state = dict(enumerate([*jobs, SimpleNamespace()])), {begun, unbegun}, "CLOSED"
    with reading, writing:
        pool.close()
    assert written == ["the rest"]
    assert pool._active_writers == {unbegun}, "what no byte was written of goes back with its message"


def test_a_frame_outside_the_event_loop_is_a_good_moment():
    assert not in_a_callback(sys._getframe())
    assert not in_a_callback(None)
