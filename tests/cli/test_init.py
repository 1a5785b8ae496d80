"""`marketfetch init` writes the example of the settings, for its owner's eyes only, and never over another file."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest

from marketfetch.settings import get_settings, override

EXAMPLE = Path(__file__).parents[2] / "marketfetch.toml.example"


def test_it_writes_the_commented_settings_which_only_their_owner_can_read(shell: Any) -> None:
    done = shell.run("init")
    assert (done.returncode, done.stdout) == (0, "marketfetch.toml\n"), done.stderr
    written = shell.folder / "marketfetch.toml"
    assert written.read_text() == EXAMPLE.read_text()
    assert stat.S_IMODE(written.stat().st_mode) == 0o600


def test_what_it_writes_changes_no_default(shell: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shell.folder)
    with override({}):
        before = get_settings()
    shell.run("init")
    with override({}):
        assert get_settings() == before


@pytest.mark.parametrize("kind", ["file", "link"])
def test_it_overwrites_nothing(shell: Any, one_sentence: Any, kind: str) -> None:
    mine = shell.folder / "mine.toml"
    mine.write_text("max_reject_share = 0.5\n")
    target = shell.folder / "marketfetch.toml"
    if kind == "link":
        target.symlink_to(mine)
    else:
        mine.rename(target)
    assert "marketfetch.toml is here already" in one_sentence(shell.run("init"))
    assert target.read_text() == "max_reject_share = 0.5\n"


def test_it_works_where_the_settings_are_wrong(shell: Any) -> None:
    """A person who runs it has none yet: it reads none."""
    assert shell.run("init", TIMINGS__CALL="never").returncode == 0
