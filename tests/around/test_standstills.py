"""A test that fails is run again only where the machine stood still meanwhile, and once: see tests/standstills.py."""

from __future__ import annotations

import subprocess
import sys

from tests.built_wheel import ROOT
from tests.waiting import LONG_S

TESTS = """
import os
import signal
import threading

import pytest

made = []


@pytest.fixture(scope="session")
def server():
    made.append("a server")
    return len(made)


def stands_still():
    stopped = os.getpid()
    if not os.fork():
        os.kill(stopped, signal.SIGSTOP)
        threading.Event().wait(1.4)
        os.kill(stopped, signal.SIGCONT)
        os._exit(0)
    os.wait()


def test_that_fails_while_the_machine_stands_still(server):
    if server == 1:
        stands_still()
    assert server == 2, "with a server of its own"


def test_that_fails_each_time(server):
    stands_still()
    assert not server


def test_that_passes_although_the_machine_stands_still():
    stands_still()


def test_that_fails_by_itself():
    assert False
"""


def test_a_failure_counts_unless_the_machine_stood_still_and_the_second_one_always_does(tmp_path):
    (tmp_path / "test_it.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-p", "tests.standstills", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    done = subprocess.run(
        [*command, "test_it.py"], cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=LONG_S
    )
    assert "2 failed, 2 passed" in done.stdout, done.stdout + done.stderr
    assert "2 rerun" in done.stdout
    assert done.stdout.count("The machine stood still for ") == 2
    for failed in ("each_time", "by_itself"):
        assert f"FAILED test_it.py::test_that_fails_{failed}" in done.stdout
