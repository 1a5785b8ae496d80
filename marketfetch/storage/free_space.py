"""Tries whether a folder's disk takes another megabyte. Only a write shows it: a quota or a limit of the process counts too."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path
from typing import Final

_TRIED_BYTES: Final = 1 << 20
#: No space, no quota, and the limit of this process (`ulimit -f`).
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def has_space(folder: Path) -> None:
    """Writes a megabyte into a file without a name, which is gone at its end however this process ends. Raises OSError."""
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        left = memoryview(os.urandom(_TRIED_BYTES))
        while left:
            left = left[file.write(left) or 0 :]
        # Some file systems find out only now.
        os.fsync(file.fileno())


def is_full(error: OSError) -> bool:
    """Whether the disk has no space for it."""
    return error.errno in _FULL
