"""A process is killed exactly at each step of a request's way: every request ends stored, once, and no limit is passed."""

from __future__ import annotations

import json
import os
import signal
import subprocess

import psutil
import pytest

from marketfetch.quotas.failpoints import OF_JOBS, POINTS
from tests.flow.conftest import LimitedJob
from tests.waiting import eventually

#: What comes back by itself does so soon. A call may last longer than any does on a busy machine.
SHORT = {"CONNECT": "3", "CALL": "5", "START_BY": "2", "END_BY": "6", "HELD_AGAIN": "1", "SWEEP": "1"}
#: The vendor's answer that makes a worker come by there.
FAULTS = {"requeue": "429", "delay": "500"}
#: Here a command dies, not a worker.
OF_COMMANDS = ("park", "withdraw")
#: Here a worker's main process dies, which holds the releaser; elsewhere a child, which Celery replaces.
OF_MAIN = ("admit", "restore", "publish", "return_grants")


@pytest.mark.parametrize("point", [point for point in POINTS if point.partition(":")[0] not in OF_JOBS])
def test_killed_once_at(point, place, sandbox):
    step, marker = point.partition(":")[0], place.folder / "killed"
    place.env |= {f"MARKETFETCH_TIMINGS__{name}": value for name, value in SHORT.items()}
    job = LimitedJob(place, sandbox, requests=20)
    if step in FAULTS:
        sandbox.faults(kind=FAULTS[step], provider="polygon", count=1, retry_after=1)
    unarmed, armed = dict(place.env), {**place.env, "MARKETFETCH_FAILPOINT": f"{point}@{marker}"}
    if step in OF_COMMANDS:
        killed_command(place, job, step, armed)
        place.env = unarmed
        worker = place.worker(concurrency=2)
    else:
        place.env = armed
        # Only a store task claims, and a job's request has one where another worker stores.
        queues = ("-Q", "store") if step == "claim" else ()
        worker = place.celery("worker", "-c", "2", "--loglevel", "info", *queues, log="worker.log")
        place.env = unarmed
        if step == "claim":
            place.worker("-Q", "fetch.polygon", concurrency=2)
        job.submit()
        if step == "return_grants":
            job.reaches(1, within_s=30)
            worker.send_signal(signal.SIGTERM)
        dead = int(eventually(lambda: marker.exists() and marker.read_text(), within_s=30, what=f"somebody dies at {point}"))
        if step in OF_MAIN:
            assert (dead, worker.wait(timeout=300)) == (worker.pid, -signal.SIGKILL)
            end_group(worker)
            worker = place.worker(concurrency=2)
        else:
            assert dead != worker.pid
            eventually(lambda: not psutil.pid_exists(dead), what="its child is gone")
    job.ends_whole(within_s=30, extra_calls=2 if step in FAULTS else 1)
    end_group(worker)  # at once: how a worker ends is no part of this test


def killed_command(place, job, step, armed):
    """The command dies in the middle of its work; what it had begun is not half a job."""
    unarmed = place.env
    if step == "withdraw":
        job.submit()
        name = json.loads(place.marketfetch("status", "--json").stdout)["jobs"][0]["job"]
    place.env = armed
    if step == "park":
        with pytest.raises(AssertionError):  # what it says of a command that has failed
            job.submit()
        assert (place.folder / "killed").exists()
    else:
        assert place.marketfetch("cancel", name).returncode == -signal.SIGKILL
    place.env = unarmed
    if step == "withdraw":
        assert place.marketfetch("resume", name).returncode == 0


def end_group(worker: subprocess.Popen[bytes]) -> None:
    """All of it, children too: a machine that dies takes them with it."""
    try:
        os.killpg(worker.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    worker.wait()
