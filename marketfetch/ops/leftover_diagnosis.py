"""What `marketfetch check` finds of earlier runs of `marketfetch up` in this folder: a sandbox, and leftover processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from marketfetch.addresses import sandbox_left, state_dir
from marketfetch.local import sandbox_note
from marketfetch.local.valkey_server import adopt_valkey
from marketfetch.ops.finding import Finding
from marketfetch.phrases import joined


def of_earlier_runs() -> Iterator[Finding]:
    """A sandbox that runs or is stopped, and what a killed `up` has left. Nothing of a folder in which none ran."""
    if sandbox_note.find(state_dir()):
        sentence = "`marketfetch up --sandbox` runs here: vendors, Redis and database are its own, not the configured ones."
        yield Finding(level="ok", subject="sandbox", sentence=sentence)
    elif stopped := sandbox_left():
        yield Finding(level="ok", subject="sandbox", sentence=stopped)
    if left := leftovers(state_dir()):
        sentence = (
            f"Of a `marketfetch up` that was killed, {joined(left)} {'runs' if len(left) == 1 else 'run'} on in this folder. "
            "`marketfetch up` ends them at its start, and goes on with what its Valkey holds."
        )
        yield Finding(level="warning", subject="leftovers", sentence=sentence)


def leftovers(folder: Path) -> list[str]:
    """The names of processes that run in the state folder although no `up` does. A lock that is held is a process that runs."""
    if sandbox_note.is_held(folder / sandbox_note.UP_LOCK):
        return []
    found = []
    for home in (folder, sandbox_note.home(folder)):
        found += [path.stem for path in sorted((home / "run").glob("*.pid")) if sandbox_note.is_held(path)]
        if adopt_valkey(home):
            found.append("Valkey")
    return found
