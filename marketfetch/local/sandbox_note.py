"""How whoever works in a folder finds the sandbox that `up --sandbox` runs there: a note that counts while a lock is held.

The sandbox has a folder of its own inside the state folder: its Redis, its database, its logs, this lock and this note. The
lock is the sandbox's alone, so that a note left by a killed `up --sandbox` says nothing while an `up` of the real vendors runs.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

LOCK: Final = "running.lock"
_NOTE: Final = "settings.json"
_LONGEST_SECONDS: Final = 20.0


def home(state_dir: Path) -> Path:
    """The sandbox's own state folder."""
    return state_dir / "sandbox"


def leave(state_dir: Path, found: Mapping[str, Any]) -> None:
    """Leaves settings for whoever works in this folder, for as long as the lock is held. Whole, or not at all."""
    path = home(state_dir) / _NOTE
    draft = path.with_suffix(f".{os.getpid()}")
    draft.write_text(json.dumps(found, indent=1) + "\n")
    draft.replace(path)


def forget(state_dir: Path) -> None:
    (home(state_dir) / _NOTE).unlink(missing_ok=True)


def find(state_dir: Path) -> dict[str, Any]:
    """The settings that lead to the running sandbox: nested, as in marketfetch.toml. Empty where none runs.

    Waits while one starts or ends: who is early means the sandbox too, and must not ask the vendors for it.
    """
    folder, pause = home(state_dir), threading.Event()
    deadline = time.monotonic() + _LONGEST_SECONDS
    while is_held(folder / LOCK) and time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            return dict(json.loads((folder / _NOTE).read_text()))
        pause.wait(0.05)
    return {}


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
