"""Tries what workers do, for `marketfetch check`: their broker, result backend and gate, and files on each disk."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

from marketfetch.extras import need
from marketfetch.settings import environment

#: Importing Celery takes about a second on a busy machine, each trial at most five.
_SECONDS: Final = 20
#: Longer than what a file system may keep inside its own tables.
_BYTES: Final = 256 * 1024
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def with_redis() -> dict[str, str]:
    """What goes wrong when a worker uses its broker, its result backend and the gate: part -> error, "" where nothing does.

    Runs a process, since only tasks knows Celery. Takes a second or two, at most 20. Raises MissingExtra where no worker can
    run because Celery is not installed.
    """
    need("celery", "requests", for_what="A worker")
    command = [sys.executable, "-P", "-m", "marketfetch.tasks.trial"]
    try:
        done = subprocess.run(  # noqa: S603 (our own interpreter and arguments)
            command, capture_output=True, text=True, timeout=_SECONDS, check=False, env=environment()
        )
    except subprocess.TimeoutExpired:
        return {"broker": f"no end after {_SECONDS} s"}
    try:
        found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        lines = done.stderr.strip().splitlines()
        return {"broker": lines[-1][:300] if lines else f"the trial ended with {done.returncode}"}
    return found


def file_error(folder: Path) -> str:
    """Why no file can be written in this folder, "" where one can: it is written, flushed to the disk and deleted.

    A folder that is missing is looked at where it would be made.
    """
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    path = folder / f".marketfetch-check-{os.getpid()}"
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            written = os.write(handle, bytes(_BYTES))
            if written < _BYTES:
                os.write(handle, bytes(_BYTES - written))
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        return f"its disk is full ({error.strerror})" if error.errno in _FULL else error.strerror or str(error)
    finally:
        with suppress(OSError):
            path.unlink()
    return ""
