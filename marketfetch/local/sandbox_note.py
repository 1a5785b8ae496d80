"""A note with the settings of a running `up --sandbox`, for other processes in its folder. It is valid while a lock is held.

The sandbox has a folder of its own inside the state folder: its Redis, its database, its logs, the lock and the note. Only a
sandbox takes this lock, so the note of a killed `up --sandbox` is not valid while an `up` of the real vendors runs.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from marketfetch.local.private_files import write_private

LOCK: Final = "running.lock"
#: `up` holds it in the state folder itself, with the sandbox or without.
UP_LOCK: Final = "up.lock"
DATABASE: Final = "marketfetch.db"
ARCHIVE: Final = "replies"
_NOTE: Final = "settings.json"
_LONGEST_SECONDS: Final = 20.0


def home(state_dir: Path) -> Path:
    """Returns the sandbox's state folder."""
    return state_dir / "sandbox"


def leave(state_dir: Path, found: Mapping[str, Any]) -> None:
    """Writes the settings for other processes in this folder, atomically. They are valid while the lock is held."""
    write_private(home(state_dir) / _NOTE, json.dumps(found, indent=1) + "\n")


def forget(state_dir: Path) -> None:
    (home(state_dir) / _NOTE).unlink(missing_ok=True)


def find(state_dir: Path) -> dict[str, Any]:
    """Returns the settings of the running sandbox, nested as in marketfetch.toml; empty if none runs.

    Waits while a sandbox starts or ends: a process that starts shortly before the sandbox is ready must not call real vendors.
    """
    folder, pause = home(state_dir), threading.Event()
    deadline = time.monotonic() + _LONGEST_SECONDS
    while is_held(folder / LOCK) and time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            return dict(json.loads((folder / _NOTE).read_text()))
        pause.wait(0.05)
    return {}


def is_left(state_dir: Path) -> bool:
    """True if a sandbox has run here, its database is there, and none runs now."""
    folder = home(state_dir)
    return (folder / DATABASE).exists() and not is_held(folder / LOCK)


def is_held(path: Path) -> bool:
    """True while a process holds the lock file `path`."""
    try:
        with path.open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
