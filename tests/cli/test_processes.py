"""Children end with their command, in order, whatever happened; what a killed command left behind is found and ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from marketfetch.cli.locks import ProcessError, end_leftovers, only_one
from marketfetch.cli.processes import Processes
from marketfetch.local.sandbox_note import is_held
from tests.waiting import eventually as until

WAITS = "import threading; print('up', flush=True); threading.Event().wait()"
FORKS = f"import os; os.fork(); {WAITS}"
STUBBORN = f"import signal; [signal.signal(n, signal.SIG_IGN) for n in (signal.SIGINT, signal.SIGTERM)]; {WAITS}"
DIES = "print('I can not go on'); raise SystemExit(3)"


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    with Processes(tmp_path / "run", tmp_path / "logs") as started:
        yield started


def family(pid: int) -> list[psutil.Process]:
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def gone(those: list[psutil.Process]) -> bool:
    return all(not one.is_running() or one.status() == psutil.STATUS_ZOMBIE for one in those)


def said(child_log: Path) -> bool:
    return "up" in child_log.read_text()


def test_stop_ends_a_child_and_what_it_forked(processes: Processes) -> None:
    child = processes.start("forker", "-c", FORKS)
    until(lambda: child.log.read_text().count("up") == 2)
    those = family(child.pid)
    assert len(those) == 2
    processes.stop()
    until(lambda: gone(those))
    assert not list(processes.folder.glob("*.pid"))


def test_what_a_dead_child_forked_ends_too(processes: Processes) -> None:
    child = processes.start("forker", "-c", FORKS)
    until(lambda: child.log.read_text().count("up") == 2)
    those = family(child.pid)
    os.kill(child.pid, signal.SIGKILL)
    child.process.wait()
    processes.stop()
    until(lambda: gone(those))


def test_a_child_that_does_not_listen_is_killed_within_the_bound(processes: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("marketfetch.cli.processes.WARM_SECONDS", 0.2)
    monkeypatch.setattr("marketfetch.cli.processes.FIRM_SECONDS", 0.5)
    child = processes.start("stubborn", "-c", STUBBORN)
    until(lambda: said(child.log))
    those = family(child.pid)
    processes.stop()
    assert gone(those)


def test_a_dead_child_is_started_again_and_it_is_said(processes: Processes) -> None:
    child = processes.start("waiter", "-c", WAITS)
    until(lambda: said(child.log))
    first = child.pid
    os.kill(first, signal.SIGKILL)
    told: list[str] = []

    def started_again() -> bool:
        told.extend(processes.tend())
        return child.pid != first and child.alive()

    until(started_again)
    assert len(told) == 1
    assert "waiter ended with SIGKILL" in told[0]


def test_a_child_that_keeps_dying_is_given_up_with_its_last_words(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("marketfetch.cli.processes._LONGEST_BACKOFF_SECONDS", 0.01)
    processes.start("mortal", "-c", DIES)
    with pytest.raises(ProcessError, match=r"mortal ended 6 times .* exit code 3; see .*mortal.log: I can not go on"):
        until(lambda: processes.tend() and False)


def test_a_viewer_that_keeps_dying_is_given_up_alone(processes: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("marketfetch.cli.processes._LONGEST_BACKOFF_SECONDS", 0.01)
    worker = processes.start("worker", "-c", WAITS)
    processes.start("viewer", "-c", DIES, vital=False)
    said: list[str] = []

    def given_up() -> bool:
        said.extend(processes.tend())
        return bool(said) and "not started again" in said[-1]

    until(given_up)
    assert said[-1].startswith("viewer ended 6 times within a minute, the last time with exit code 3; see ")
    assert said[-1].endswith("viewer.log: I can not go on. It is not started again; everything else goes on")
    assert processes.tend() == []
    assert worker.alive()


def test_the_leftovers_of_a_killed_command_are_found_and_ended(tmp_path: Path) -> None:
    script = (
        "import sys, os, signal; from pathlib import Path; from marketfetch.cli.processes import Processes;"
        f"p = Processes(Path('run'), Path('logs')); c = p.start('forker', '-c', {FORKS!r}); print(c.pid, flush=True);"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    root = str(Path(__file__).parents[2])
    command = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env={"PYTHONPATH": root}, capture_output=True, text=True, check=False
    )
    assert command.returncode == -signal.SIGKILL
    until(lambda: (tmp_path / "logs" / "forker.log").read_text().count("up") == 2)
    those = family(int(command.stdout))
    assert len(those) == 2
    assert end_leftovers(tmp_path / "run") == ["forker"]
    assert gone(those)
    assert end_leftovers(tmp_path / "run") == []


def test_only_one_of_a_kind_runs_in_a_folder_and_the_next_one_may(tmp_path: Path) -> None:
    lock = tmp_path / "state" / "up.lock"
    with only_one(lock, what="it"):
        assert is_held(lock)
        with (
            pytest.raises(ProcessError, match=rf"it runs in this folder already \(process {os.getpid()}\)"),
            only_one(lock, what="it"),
        ):
            pytest.fail("two at once")
    assert not is_held(lock)
    with only_one(lock, what="it"):
        assert is_held(lock)
