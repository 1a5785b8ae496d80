"""One worker process of the installation under test."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import psutil


class Worker:
    """One `celery worker`, restarted whenever it ends; `own_ends` holds the exit codes of ends that no fault had caused."""

    def __init__(
        self, name: str, folder: Path, env: Mapping[str, str], *, pool: str, slots: int, before: tuple[str, ...] = ()
    ) -> None:
        """`before`: the words before its command, which run it on another machine."""
        self._folder, self._env = folder, env
        self.log = folder / f"{name}.log"
        self.own_ends: list[int] = []
        self.sessions: list[int] = []
        self._killed = False
        options = ("-P", pool, "-c", f"{slots}", "-n", f"{name}@%h", "--loglevel", "INFO")
        self._command = [*before, sys.executable, "-m", "celery", "-A", "chaos_app", "worker", *options]
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            self._log_begins = log.tell()
            process = subprocess.Popen(
                self._command, cwd=self._folder, env=self._env, stdout=log, stderr=log, start_new_session=True
            )
        self.sessions.append(process.pid)
        self._killed = False
        return process

    def tend(self) -> None:
        """Restarts the worker if it has ended."""
        if self.process.poll() is not None:
            if not self._killed:
                self.own_ends.append(self.process.returncode)
            self.process = self._start()

    def kill(self) -> None:
        """Sends SIGKILL to its whole process group."""
        self._killed = True
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def mortal_children(self) -> list[psutil.Process]:
        """Its children, but for one of a worker that is not ready: if all die before that, it ends by itself, as it should."""
        with self.log.open("rb") as log:
            log.seek(self._log_begins)
            is_ready = b" ready." in log.read()
        return self.children()[0 if is_ready else 1 :]

    def alive(self) -> bool:
        return self.process.poll() is None

    def children(self) -> list[psutil.Process]:
        """The children of a pool of processes; a pool of threads has none."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(self.process.pid).children()
        return []

    def end(self) -> None:
        """Waits 20 s after SIGTERM, then sends SIGKILL."""
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()
