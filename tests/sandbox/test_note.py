"""The note leads to the sandbox from the moment that its lock is held until it is free again, and never longer."""

from __future__ import annotations

import threading
from pathlib import Path

from cli.locks import only_one
from sandbox import note

FOUND = {"redis_url": "redis://127.0.0.1:1/0"}


def test_who_comes_while_it_starts_waits_for_the_note(tmp_path: Path) -> None:
    with only_one(note.home(tmp_path) / note.LOCK, what="it"):
        later = threading.Timer(0.3, note.leave, (tmp_path, FOUND))
        later.start()
        assert note.find(tmp_path) == FOUND
        later.join()
        note.forget(tmp_path)
        note.leave(tmp_path, FOUND)
        assert note.find(tmp_path) == FOUND


def test_a_note_without_its_lock_leads_nowhere(tmp_path: Path) -> None:
    assert note.find(tmp_path) == {}
    with only_one(note.home(tmp_path) / note.LOCK, what="it"):
        note.leave(tmp_path, FOUND)
    assert note.find(tmp_path) == {}


def test_who_comes_while_it_ends_waits_for_the_end(tmp_path: Path) -> None:
    holding = only_one(note.home(tmp_path) / note.LOCK, what="it")
    holding.__enter__()
    later = threading.Timer(0.3, holding.__exit__, (None, None, None))
    later.start()
    assert note.find(tmp_path) == {}
    later.join()
    assert not note.is_held(note.home(tmp_path) / note.LOCK)
