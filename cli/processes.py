"""Child processes that live exactly as long as the command that started them, and are found again if it was killed.

A child is a session of its own, so that Ctrl-C reaches only the command, which then ends its children in order: first the
signal that lets them finish, then the firm ones. Each child (and what it forks) holds a lock on `<folder>/<name>.pid`
for as long as it lives: a later command knows from the lock, and not from a number that may be recycled, that it is there.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO, Final, Self

from settings import environment

WARM_SECONDS: Final = 10.0
FIRM_SECONDS: Final = 15.0

#: A child that dies more often than this within a minute has a fault that restarting does not cure.
MOST_RESTARTS: Final = 5
_WITHIN_SECONDS: Final = 60.0
_LONGEST_BACKOFF_SECONDS: Final = 8.0

#: Celery's signal for "finish what runs, then end"; SIGTERM is remapped to the colder SIGQUIT for those who send it.
WARM: Final = signal.SIGINT

#: A worker's environment: who sends SIGTERM (a service manager) means Celery's cold shutdown, which gives messages back.
REMAPPED: Final = {"REMAP_SIGTERM": "SIGQUIT"}


class ProcessError(Exception):
    """A child did not start, or keeps dying; the sentence names its log."""


class Stopped(KeyboardInterrupt):
    """SIGTERM or SIGHUP came: end as after Ctrl-C."""


@dataclass(slots=True)
class Child:
    """One supervised process: how to start it, where it logs, and when it died."""

    name: str
    arguments: tuple[str, ...]
    log: Path
    environment: Mapping[str, str]
    warm: signal.Signals
    process: subprocess.Popen[bytes]
    deaths: list[float] = field(default_factory=list)
    start_again_at: float | None = None

    @property
    def pid(self) -> int:
        return self.process.pid

    def alive(self) -> bool:
        return self.process.poll() is None


class Processes:
    """The children of one command. As a context manager it ends them all, whatever happened inside.

    `folder` holds `<name>.pid` of each child, `logs` its `<name>.log`.
    """

    def __init__(self, folder: Path, logs: Path) -> None:
        self.folder = folder
        self.logs = logs
        self.children: dict[str, Child] = {}
        folder.mkdir(parents=True, exist_ok=True)
        logs.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(
        self, name: str, *arguments: str, variables: Mapping[str, str] | None = None, warm: signal.Signals = WARM
    ) -> Child:
        """Starts `python <arguments>` with `variables` added to the environment. Returns at once."""
        variables = variables or {}
        log = self.logs / f"{name}.log"
        process = self._spawn(name, arguments, log, variables)
        self.children[name] = Child(name, arguments, log, variables, warm, process)
        return self.children[name]

    def tend(self) -> list[str]:
        """Starts dead children again, later each time, and says so in sentences. Raises ProcessError when one keeps dying.

        Cheap: meant to be called a few times a second.
        """
        said = []
        now = time.monotonic()
        for child in self.children.values():
            if child.alive():
                continue
            if child.start_again_at is None:
                child.deaths = [at for at in child.deaths if now - at < _WITHIN_SECONDS] + [now]
                if len(child.deaths) > MOST_RESTARTS:
                    raise ProcessError(
                        f"{child.name} ended {len(child.deaths)} times within a minute, the last time with "
                        f"{ending(child.process.returncode)}; see {child.log}: {last_line(child.log)}"
                    )
                wait = min(_LONGEST_BACKOFF_SECONDS, 0.5 * 2 ** (len(child.deaths) - 1))
                child.start_again_at = now + wait
                said.append(
                    f"{child.name} ended with {ending(child.process.returncode)}; starting it again in {wait:g} s "
                    f"(see {child.log})"
                )
            elif now >= child.start_again_at:
                child.start_again_at = None
                child.process = self._spawn(child.name, child.arguments, child.log, child.environment)
        return said

    def stop(self) -> None:
        """Lets every child finish for 10 s, then ends it within 5 more. A signal meanwhile makes it firm at once."""
        hurry = threading.Event()
        with _on_signals(lambda *_: hurry.set()):
            end = time.monotonic() + FIRM_SECONDS
            living = [child for child in self.children.values() if child.alive()]
            for number, seconds in ((None, WARM_SECONDS), (signal.SIGTERM, FIRM_SECONDS)):
                for child in living:
                    _signal(child.pid, number or child.warm, group=False)
                until = min(end, time.monotonic() + seconds)
                while any(child.alive() for child in living) and time.monotonic() < until and not hurry.is_set():
                    hurry.wait(0.02)
            for child in living:
                if child.alive():
                    _signal(child.pid, signal.SIGKILL, group=True)
                child.process.wait()
            # What a child forked, and a child whose start a signal cut short, are known by their locks only.
            end_leftovers(self.folder)
            self.children.clear()

    def _spawn(self, name: str, arguments: Sequence[str], log: Path, variables: Mapping[str, str]) -> subprocess.Popen[bytes]:
        path = self.folder / f"{name}.pid"
        _end_leftover(path)
        with path.open("a") as lock, log.open("ab") as output:
            if not _locked(lock):
                raise ProcessError(f"{name} is being started by somebody else in this folder (see {path})")
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
                # The child notes its number itself: a signal that cuts our start short can't leave it unknown.
                preexec_fn=lambda: (os.write(handle, f"{os.getpid()}\n".encode()), None)[1],
            )


def end_leftovers(folder: Path) -> list[str]:
    """Ends the children of a command that was killed, and returns their names. Bounded by 10 s each."""
    return [path.stem for path in sorted(folder.glob("*.pid")) if _end_leftover(path)]


def _end_leftover(path: Path) -> bool:
    """Ends the process group that holds the lock `path`. False if none did."""
    held = False
    with path.open("a+") as lock:
        for number, seconds in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
            if _locked(lock):
                break
            held = True
            lock.seek(0)
            if (text := lock.read().strip()).isdigit():
                _signal(int(text), number, group=True)
            any(_locked(lock) for _ in _ticks(seconds))
        if not _locked(lock):
            raise ProcessError(f"{path.stem} of an earlier run does not end: end process {text or '?'} by hand")
        path.unlink()
    return held


@contextlib.contextmanager
def only_one(path: Path, *, what: str) -> Iterator[None]:
    """Holds the lock file `path` for the time of the block; ProcessError if another process has it.

    The lock ends with its process, even after SIGKILL; the number inside is only for people.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as lock:
        if not _locked(lock):
            lock.seek(0)
            owner = lock.read().strip()
            raise ProcessError(f"{what} runs in this folder already (process {owner}): stop that one first, with Ctrl-C there")
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield
        lock.truncate(0)


def is_held(path: Path) -> bool:
    """True while a process holds the lock file `path`."""
    try:
        with path.open("a+") as lock:
            return not _locked(lock)
    except OSError:
        return False


@contextlib.contextmanager
def signals_as_exceptions() -> Iterator[None]:
    """SIGTERM and SIGHUP raise Stopped in the main thread, as Ctrl-C raises KeyboardInterrupt, so that blocks clean up.

    SIGINT too: a shell starts background jobs with it ignored, but whoever sends it means it.
    """

    def stop(number: int, _: FrameType | None) -> None:
        raise Stopped(signal.Signals(number).name)

    with _on_signals(stop):
        yield


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """A signal that comes in this block is obeyed at its end, so that no server is started and forgotten."""
    came: list[int] = []
    with _on_signals(lambda number, _: came.append(number)):
        yield
    if came:
        raise Stopped(signal.Signals(came[0]).name)


@contextlib.contextmanager
def _on_signals(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def _python_path() -> str:
    """The children run the code that runs here, installed or not."""
    root = str(Path(__file__).resolve().parents[1])
    return os.pathsep.join([root, *filter(None, [environment().get("PYTHONPATH")])])


def celery(*arguments: str) -> tuple[str, ...]:
    """The arguments for `python` that run a Celery command of ours."""
    return ("-P", "-m", "cli.child", *arguments)


def ending(code: int | None) -> str:
    """How a process ended, for people."""
    if code is not None and code < 0:
        return signal.Signals(-code).name
    return f"exit code {code}"


def last_line(path: Path) -> str:
    """The last line of a log that says something."""
    try:
        lines = [line.strip() for line in path.read_text(errors="replace").splitlines()]
    except OSError:
        return "it left no log"
    return next((line for line in reversed(lines) if line), "it left no log")


def _signal(pid: int, number: signal.Signals, *, group: bool) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        (os.killpg if group else os.kill)(pid, number)


def _locked(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _ticks(seconds: float) -> Iterator[None]:
    """Yields at once, then every 20 ms until `seconds` are over."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    yield
    while time.monotonic() < deadline:
        pause.wait(0.02)
        yield
