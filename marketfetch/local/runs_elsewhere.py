"""In which other folders this user's `marketfetch up` runs: read from the list of processes, so that no note can be stale."""

from __future__ import annotations

import os
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Final

#: Linux has it; on other systems nothing is found.
_PROCESSES: Final = Path("/proc")
_MOST_NAMED: Final = 3


def folders(processes: Path = _PROCESSES) -> list[Path]:
    """The folders of running `marketfetch up`, without this process's. Costs a few ms."""
    found = set()
    for one in processes.glob("[0-9]*"):
        with suppress(OSError):  # it has ended, or is another user's
            if one.stat().st_uid == os.getuid() and _is_up((one / "cmdline").read_bytes()):
                found.add((one / "cwd").readlink())
    return sorted(path for path in found - {Path.cwd()} if path.is_dir())


def _is_up(command_line: bytes) -> bool:
    words = [word.decode(errors="replace") for word in command_line.split(b"\0")]
    return any(Path(name).name == "marketfetch" and verb == "up" for name, verb in pairwise(words))


def sentence() -> str:
    """Names these folders, for what is not found here; "" where there is none."""
    found = folders()
    if not found:
        return ""
    more = " and others" if len(found) > _MOST_NAMED else ""
    return f"`marketfetch up` runs in {', '.join(str(path) for path in found[:_MOST_NAMED])}{more}."
