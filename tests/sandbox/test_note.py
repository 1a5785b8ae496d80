"""The note leads to the sandbox from the moment that its lock is held until it is free again, and never longer."""

from __future__ import annotations

import threading
from pathlib import Path

from marketfetch.cli.locks import only_one
from marketfetch.local import sandbox_note

FOUND = {"redis_url": "redis://127.0.0.1:1/0"}


def test_who_comes_while_it_starts_waits_for_the_note(tmp_path: Path) -> None:
    with only_one(sandbox_note.home(tmp_path) / sandbox_note.LOCK, what="it"):
        later = threading.Timer(0.3, sandbox_note.leave, (tmp_path, FOUND))
        later.start()
        assert sandbox_note.find(tmp_path) == FOUND
        later.join()
        sandbox_note.forget(tmp_path)
        sandbox_note.leave(tmp_path, FOUND)
        assert sandbox_note.find(tmp_path) == FOUND


def test_a_note_without_its_lock_leads_nowhere(tmp_path: Path) -> None:
    assert sandbox_note.find(tmp_path) == {}
    with only_one(sandbox_note.home(tmp_path) / sandbox_note.LOCK, what="it"):
        sandbox_note.leave(tmp_path, FOUND)
    assert sandbox_note.find(tmp_path) == {}


def test_who_comes_while_it_ends_waits_for_the_end(tmp_path: Path) -> None:
    holding = only_one(sandbox_note.home(tmp_path) / sandbox_note.LOCK, what="it")
    holding.__enter__()
    later = threading.Timer(0.3, holding.__exit__, (None, None, None))
    later.start()
    assert sandbox_note.find(tmp_path) == {}
    later.join()
    assert not sandbox_note.is_held(sandbox_note.home(tmp_path) / sandbox_note.LOCK)
