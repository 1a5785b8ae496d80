"""Folders and files of this user alone: locks and process ids that no other user can forge, logs, data, a password."""

from __future__ import annotations

import os
import stat
from pathlib import Path


class NotPrivateError(Exception):
    """A folder can't be made private: it belongs to another user, or is a link. The sentence says which one."""


def private_folder(path: Path) -> Path:
    """Makes the folder and its parents where they are missing, readable by this user alone. Raises NotPrivateError, OSError.

    A parent that exists keeps its mode.
    """
    for folder in reversed(path.parents):
        if not folder.exists():  # `parents=True` of mkdir would give them the mode of any folder
            folder.mkdir(exist_ok=True, mode=0o700)
    path.mkdir(exist_ok=True, mode=0o700)
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode) and path.stat().st_uid != os.getuid():
        raise NotPrivateError(f"{path} leads to a folder of another user: name another state_dir, or remove the link")
    if path.stat().st_uid != os.getuid():
        raise NotPrivateError(f"{path} belongs to another user: name another state_dir, or run as its owner")
    if path.stat().st_mode & 0o077:
        path.chmod(0o700)
    return path


def private(path: str, flags: int) -> int:
    """An `opener` for open(): a new file is readable by this user alone, and a link is not followed."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def private_file(path: Path) -> Path:
    """Makes the file, empty, where it is missing, and readable by this user alone. SQLite's files beside it follow its mode."""
    handle = private(str(path), os.O_RDWR | os.O_CREAT)
    try:
        os.fchmod(handle, 0o600)
    finally:
        os.close(handle)
    return path


def write_private(path: Path, text: str) -> None:
    """Writes the file whole or not at all; another process sees the old or the new one."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    with open(draft, "x", encoding="utf-8", opener=private) as file:
        file.write(text)
    draft.replace(path)
