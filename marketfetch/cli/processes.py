"""Child processes that end with the command that started them, and that a later command finds if this one was killed.

A child is a session of its own, so that Ctrl-C reaches only the command, which then ends its children in order: first with the
signal that lets them finish, then with stronger ones. Each child (and what it forks) holds a lock on `<folder>/<name>.pid`
while it lives: a later command trusts this lock, as a process id may be in use again by another process.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from marketfetch.cli.locks import ProcessError, end_leftover, end_leftovers, locked, opened, send, signature
from marketfetch.cli.signals import on_signals
from marketfetch.local.private_files import private, private_folder
from marketfetch.settings import environment

WARM_SECONDS: Final = 10.0
FIRM_SECONDS: Final = 15.0

#: A child that ends more often than this within a minute is not started again: the command fails.
MOST_RESTARTS: Final = 5
_WITHIN_SECONDS: Final = 60.0
_LONGEST_BACKOFF_SECONDS: Final = 8.0

#: At a start, a longer log becomes `<name>.log.1`.
_LARGEST_LOG_BYTES: Final = 20_000_000

#: Celery's warm shutdown: running tasks finish. SIGTERM is remapped to SIGQUIT, Celery's cold shutdown, for service managers.
WARM: Final = signal.SIGINT

#: A worker's environment: on SIGTERM, which service managers send, Celery's cold shutdown returns the messages to the queue.
REMAPPED: Final = {"REMAP_SIGTERM": "SIGQUIT"}


@dataclass(slots=True)
class Child:
    """One supervised process: how it is started, where it logs, and when it ended."""

    name: str
    arguments: tuple[str, ...]
    log: Path
    environment: Mapping[str, str]
    warm: signal.Signals
    process: subprocess.Popen[bytes]
    vital: bool = True
    umask: int = 0o077
    deaths: list[float] = field(default_factory=list)
    start_again_at: float | None = None
    given_up: bool = False

    @property
    def pid(self) -> int:
        return self.process.pid

    def alive(self) -> bool:
        return self.process.poll() is None


class Processes:
    """The children of one command. As a context manager it ends them all, also after an exception.

    `folder` holds `<name>.pid` of each child, `logs` its `<name>.log`.
    """

    def __init__(self, folder: Path, logs: Path) -> None:
        self.folder = folder
        self.logs = logs
        self.children: dict[str, Child] = {}
        private_folder(folder)
        private_folder(logs)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(
        self,
        name: str,
        *arguments: str,
        variables: Mapping[str, str] | None = None,
        warm: signal.Signals = WARM,
        vital: bool = True,
        umask: int = 0o077,
    ) -> Child:
        """Starts `python <arguments>` with `variables` added to the environment. Returns at once.

        The files that it makes are this user's alone, unless `umask` is another one, or -1: the umask of this process.
        A child that is not `vital` and ends again and again is given up, and the others go on without it.
        """
        variables = variables or {}
        log = self.logs / f"{name}.log"
        if log.exists() and log.stat().st_size > _LARGEST_LOG_BYTES:
            log.replace(log.with_suffix(".log.1"))
        process = self._spawn(name, arguments, log, variables, umask)
        self.children[name] = Child(name, arguments, log, variables, warm, process, vital, umask)
        return self.children[name]

    def tend(self) -> list[str]:
        """Starts ended children again, after a longer pause each time. Returns a sentence for the user per event.

        Cheap: meant to be called a few times a second. Raises ProcessError when a child ended too often.
        """
        said = []
        now = time.monotonic()
        for child in self.children.values():
            if child.alive() or child.given_up:
                continue
            if child.start_again_at is None:
                child.deaths = [at for at in child.deaths if now - at < _WITHIN_SECONDS] + [now]
                if len(child.deaths) > MOST_RESTARTS:
                    sentence = (
                        f"{child.name} ended {len(child.deaths)} times within a minute, the last time with "
                        f"{ending(child.process.returncode)}; see {child.log}: {last_line(child.log)}"
                    )
                    if child.vital:
                        raise ProcessError(sentence)
                    child.given_up = True
                    said.append(f"{sentence}. It is not started again; everything else goes on")
                    continue
                wait = min(_LONGEST_BACKOFF_SECONDS, 0.5 * 2 ** (len(child.deaths) - 1))
                child.start_again_at = now + wait
                said.append(
                    f"{child.name} ended with {ending(child.process.returncode)}; starting it again in {wait:g} s "
                    f"(see {child.log})"
                )
            elif now >= child.start_again_at:
                child.start_again_at = None
                child.process = self._spawn(child.name, child.arguments, child.log, child.environment, child.umask)
        return said

    def stop(self) -> None:
        """Lets every child finish for 10 s, then ends it within 5 more. A signal meanwhile makes it firm at once."""
        hurry = threading.Event()
        with on_signals(lambda *_: hurry.set()):
            end = time.monotonic() + FIRM_SECONDS
            living = [child for child in self.children.values() if child.alive()]
            for number, seconds in ((None, WARM_SECONDS), (signal.SIGTERM, FIRM_SECONDS)):
                for child in living:
                    send(child.pid, number or child.warm, group=False)
                until = min(end, time.monotonic() + seconds)
                while any(child.alive() for child in living) and time.monotonic() < until and not hurry.is_set():
                    hurry.wait(0.02)
            for child in living:
                if child.alive():
                    send(child.pid, signal.SIGKILL, group=True)
                child.process.wait()
            # Processes that a child forked, and a child whose start a signal interrupted, are found by their locks only.
            end_leftovers(self.folder)
            self.children.clear()

    def _spawn(
        self, name: str, arguments: Sequence[str], log: Path, variables: Mapping[str, str], umask: int
    ) -> subprocess.Popen[bytes]:
        path = self.folder / f"{name}.pid"
        end_leftover(path)
        with opened(path) as lock, open(log, "ab", opener=private) as output:
            if not locked(lock):
                raise ProcessError(f"another process starts {name} in this folder (see {path})")
            lock.truncate(0)
            handle = lock.fileno()
            return subprocess.Popen(  # noqa: S603 (our own interpreter and arguments)
                [sys.executable, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment(PYTHONPATH=_python_path(), **variables),
                pass_fds=(handle,),
                start_new_session=True,
                umask=umask,
                # The child writes its own process id: a signal that interrupts the parent here can't leave it unknown.
                preexec_fn=lambda: (os.write(handle, f"{os.getpid()} {signature(os.getpid())}\n".encode()), None)[1],
            )


def _python_path() -> str:
    """PYTHONPATH of the children: they run the code of this process, whether it is installed or not."""
    root = str(Path(__file__).resolve().parents[2])
    return os.pathsep.join([root, *filter(None, [environment().get("PYTHONPATH")])])


def celery(*arguments: str) -> tuple[str, ...]:
    """The arguments for `python` that run a Celery command of ours."""
    return ("-P", "-m", "marketfetch.cli.child", *arguments)


def ending(code: int | None) -> str:
    """Describes for the user how a process ended: its signal or its exit code."""
    if code is not None and code < 0:
        return signal.Signals(-code).name
    return f"exit code {code}"


def last_line(path: Path) -> str:
    """Returns the last line of a log that is not blank."""
    try:
        lines = [line.strip() for line in path.read_text(errors="replace").splitlines()]
    except OSError:
        return "it left no log"
    return next((line for line in reversed(lines) if line), "it left no log")
