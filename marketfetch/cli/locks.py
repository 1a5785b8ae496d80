"""File locks show which processes run in a folder, and which of them a killed command left behind.

A lock ends with its process. A process id in a file does not: after a while it may belong to another process.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from marketfetch.local.private_files import NotPrivateError, private, private_folder


class ProcessError(Exception):
    """A child process did not start, or ends again and again. The sentence names its log."""


@contextlib.contextmanager
def only_one(path: Path, *, what: str) -> Iterator[None]:
    """Holds the lock file `path` for the time of the block; ProcessError if another process has it.

    The lock ends with its process, even after SIGKILL; the number inside is only for people.
    """
    try:
        private_folder(path.parent)
    except NotPrivateError as error:
        raise ProcessError(str(error)) from None
    with opened(path) as lock:
        # A process that only tests the lock holds it for an instant, so one failure proves nothing.
        if not any(locked(lock) for _ in ticks(0.5)):
            lock.seek(0)
            owner = lock.read().strip()
            raise ProcessError(f"{what} runs in this folder already (process {owner}): stop that one first, with Ctrl-C there")
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield
        lock.truncate(0)


def end_leftovers(folder: Path) -> list[str]:
    """Ends the children of a command that was killed, and returns their names. Bounded by 10 s each."""
    return [path.stem for path in sorted(folder.glob("*.pid")) if end_leftover(path)]


def end_leftover(path: Path) -> bool:
    """Ends the process group that holds the lock `path`. False if none did."""
    held = False
    with opened(path) as lock:
        for number, seconds in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
            if locked(lock):
                break
            held = True
            lock.seek(0)
            text = lock.read().strip()
            if (pid := owner_of(text)) is not None:
                send(pid, number, group=True)
            any(locked(lock) for _ in ticks(seconds))
        if not locked(lock):
            raise ProcessError(f"{path.stem} of an earlier run does not end: end process {text or '?'} by hand")
        path.unlink()
    return held


def opened(path: Path) -> IO[str]:
    """The lock file, made readable by this user alone where it is missing."""
    return open(path, "a+", encoding="utf-8", opener=private)


def signature(pid: int) -> str:
    """Tells a process from a later one with the same id: when it was started. "" where the system does not say."""
    try:
        # Behind the name in brackets, which may hold spaces: field 22 of https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def owner_of(text: str) -> int | None:
    """The process that a lock file names ("<pid> <signature>"), None where the id belongs to another process by now."""
    pid, _, started = text.partition(" ")
    if not (pid.isascii() and pid.isdigit()) or (started and signature(int(pid)) not in ("", started)):
        return None
    return int(pid)


def send(pid: int, number: signal.Signals, *, group: bool) -> None:
    """Sends a signal to a process or its whole group, if it is still there."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        (os.killpg if group else os.kill)(pid, number)


def locked(lock: IO[str]) -> bool:
    """Takes the lock of an open file; False if another process holds it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def ticks(seconds: float) -> Iterator[None]:
    """Yields at once, then every 20 ms until `seconds` are over."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    yield
    while time.monotonic() < deadline:
        pause.wait(0.02)
        yield
