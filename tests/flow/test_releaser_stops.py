"""Workers and their children are stopped and killed: work goes on, nothing is lost, nothing is done twice."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import time
from contextlib import suppress
from itertools import cycle

import psutil

from tests.flow.conftest import CHAOS_S, CHAOS_SEED, LimitedJob
from tests.flow.test_releaser import calm, cut_all_connections, wait_until
from tests.waiting import PATIENCE, eventually

KILL_EVERY_S = 0.2
#: A call that was under way when its child died is made again when its lease ends. Much longer than a call takes on a busy
#: machine: one that passed its end would be made again too.
SHORT_LEASES = {"MARKETFETCH_TIMINGS__CALL": "6", "MARKETFETCH_TIMINGS__END_BY": "7", "MARKETFETCH_TIMINGS__START_BY": "4"}
REMAPPED = {"REMAP_SIGTERM": "SIGQUIT"}


def ends(worker: subprocess.Popen[bytes], place, *, within_s: float = 40) -> None:
    """Waits for the end. A worker that does not end fails the test with the stack of each thread: Celery logs it on SIGUSR1."""
    try:
        worker.wait(timeout=within_s * PATIENCE)
    except subprocess.TimeoutExpired:
        worker.send_signal(signal.SIGUSR1)
        with suppress(AssertionError):
            eventually(lambda: "LOCAL VARIABLES" in place.worker_log, within_s=10, what="the stacks")
        raise AssertionError(f"not ended {within_s * PATIENCE:g} s after SIGTERM:\n{place.worker_log[-20_000:]}") from None


def releasers(place) -> list[str]:
    return sorted(str(key, "utf-8") for key in place.redis().scan_iter(match="mf:releaser:*"))


def test_a_releaser_outlives_children_that_are_killed_while_connections_are_cut(place, sandbox):
    # As many requests as can't be over before the killing is.
    job = LimitedJob(place, sandbox, requests=10 * CHAOS_S)
    place.env |= SHORT_LEASES
    worker = place.worker()
    job.submit()
    dice, killed = random.Random(CHAOS_SEED), 0
    ends = time.monotonic() + CHAOS_S
    next_kill = time.monotonic()
    while time.monotonic() < ends:
        wait_until(next_kill)
        next_kill += KILL_EVERY_S
        if children := psutil.Process(worker.pid).children():
            with suppress(psutil.NoSuchProcess):  # it has ended since, over a connection that was cut
                dice.choice(children).kill()
                killed += 1
        if dice.random() < 0.03:
            cut_all_connections(place)
    assert killed > CHAOS_S / KILL_EVERY_S / 2
    # On a busy machine a call lasts longer, and the third kill of a request fails it.
    job.ends_whole(within_s=60, extra_calls=killed, most_crashed=killed // 3)
    assert worker.poll() is None, "the worker is still the one that was started"
    assert len(releasers(place)) == 1
    assert "releaser failed" not in place.worker_log


DOOMED = """
import os, signal
from pathlib import Path
from celery.signals import worker_process_init
from tasks.app import app
@worker_process_init.connect
def die(**_):
    number = len(list(Path.cwd().glob("died-*")))
    if number < {deaths}:
        Path(f"died-{{os.getpid()}}").touch()
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_child_that_dies_while_its_worker_starts_ends_no_worker(place, sandbox):
    (place.folder / "doomed.py").write_text(DOOMED.format(deaths=1))
    worker = place.celery("worker", "-c", "2", "--loglevel", "info", app="doomed", log="worker.log")
    status = place.fetch("polygon", "AAPL", "MSFT", start="2024-01-02", end="2024-01-05")
    assert status["state"] == "done"
    eventually(lambda: len(psutil.Process(worker.pid).children()) == 2, what="another child stands in its place")
    assert len(list(place.folder.glob("died-*"))) == 1
    assert worker.poll() is None


def test_a_killed_child_is_told_in_the_words_of_every_other_line(place, sandbox):
    place.env["MARKETFETCH_LOG__FORMAT"] = "json"
    worker = place.worker(concurrency=2)
    psutil.Process(worker.pid).children()[0].kill()
    eventually(lambda: "exited with" in place.worker_log, what="its death is told")
    (line,) = [line for line in place.worker_log.splitlines() if "exited with" in line]
    assert "signal 9 (SIGKILL)" in json.loads(line)["event"]


def test_a_worker_whose_children_all_die_at_its_start_says_so_and_ends(place, sandbox):
    (place.folder / "doomed.py").write_text(DOOMED.format(deaths=1_000))
    worker = place.celery("worker", "-c", "2", "--loglevel", "info", app="doomed", log="worker.log")
    eventually(lambda: worker.poll() is not None, within_s=60, what="the worker ends")
    assert "Could not start worker processes" in place.worker_log


FORK = """
import os, threading
from tasks.hardening.fork_with_locks import at_work
shared, inside = threading.Lock(), threading.Event()
def work():
    with at_work, shared:
        inside.set()
        threading.Event().wait(0.3)
threading.Thread(target=work).start()
inside.wait()
child = os.fork()
if not child:
    os._exit(0 if shared.acquire(timeout=1) else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_child_inherits_no_lock_that_the_releaser_holds(place):
    done = place.run("-c", FORK)
    assert (done.stdout.strip(), done.stderr) == ("0", "")


def test_two_workers_that_take_turns_never_stop_the_work(place, sandbox):
    job = LimitedJob(place, sandbox, requests=200)
    place.env |= SHORT_LEASES | REMAPPED
    names = cycle(("left", "right"))
    standing = place.worker("-n", f"{next(names)}@%h")
    job.submit()
    for turn in range(1, 5):
        following = place.worker("-n", f"{next(names)}@%h")
        standing.send_signal(signal.SIGTERM)
        ends(standing, place)
        standing = following
        # A limit of 20 in 2 s: that long without progress would be a stop.
        job.reaches(min(200, 25 * turn), within_s=12)
    job.ends_whole(within_s=60, extra_calls=4)
    calm(place, lines=60)


def test_a_worker_that_only_stores_has_no_releaser(place, sandbox):
    job = LimitedJob(place, sandbox, requests=100)
    fetching = place.worker("-n", "fetching@%h", "-Q", "fetch.polygon")
    (releaser,) = eventually(lambda: releasers(place), what="the fetching worker releases")
    assert releaser.endswith(f":{fetching.pid}")
    storing = place.worker("-n", "storing@%h", "-Q", "store")
    job.submit()
    job.ends_whole(within_s=40, extra_calls=0)
    assert releasers(place) == [releaser]
    assert not releaser.endswith(f":{storing.pid}")
    calm(place, lines=4)


def test_sigterm_lets_running_calls_end_and_gives_the_others_back(slow_place):
    place, sandbox = slow_place
    # Longer than any wait here: what returned only then would be seen.
    place.env |= REMAPPED | {"MARKETFETCH_TIMINGS__START_BY": "3600"}
    job = LimitedJob(place, sandbox, requests=100)
    worker = place.worker()
    job.submit()
    eventually(lambda: job.over() > 4 and place.redis().zcard("mf:{polygon}:running") > 1, what="calls are under way")
    worker.send_signal(signal.SIGTERM)
    ends(worker, place)
    assert place.redis().zcard("mf:{polygon}:running") == 0
    # No start-by has to pass first, and no quota is held meanwhile.
    assert place.redis().zcard("mf:{polygon}:granted") == 0
    assert "returned unstarted grants" in place.worker_log
    assert not releasers(place)
    assert sandbox.log()["calls"] == job.over() + place.redis().zcard("mf:{polygon}:held")
    place.worker()
    job.ends_whole(within_s=90, extra_calls=0)
