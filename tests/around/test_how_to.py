"""The how-to guides: their settings are accepted, and their commands are written rightly."""

from __future__ import annotations

import re
import shlex
from contextlib import suppress
from pathlib import Path

import click
import pytest

from marketfetch import settings
from marketfetch.cli.main import marketfetch
from marketfetch.settings import get_settings
from tests.house.imports import ROOT

GUIDES = sorted((ROOT / "docs" / "how-to").glob("*.md"))


def blocks(path: Path, kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def parsed(words: list[str]) -> click.Context:
    """The context of a command that is not run. Raises UsageError for a wrong one."""
    group: click.Group = marketfetch
    context = group.make_context("marketfetch", [*words], resilient_parsing=False)
    while isinstance(group, click.Group):
        name, command, words = group.resolve_command(context, words)
        assert command is not None
        context = command.make_context(name, [*words], parent=context)
        if not isinstance(command, click.Group):
            break
        group = command
    return context


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.stem)
def test_the_settings_of_a_guide_are_accepted_and_its_commands_are_ours(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "symbols.txt").write_text("AAPL\nMSFT\n")
    toml = "\n".join(blocks(path, "toml"))
    (tmp_path / "marketfetch.toml").write_text(toml)
    shown = [line.partition(" #")[0] for block in blocks(path, "sh") for line in block.splitlines()]
    shown += re.findall(r"`(marketfetch [a-z][^`]*)`", path.read_text(encoding="utf-8"))
    with settings.override({}):
        try:
            assert get_settings().log.format == ("json" if "[log]" in toml else "text")
            for line in shown:
                program, *words = shlex.split(line)
                if program == "marketfetch":
                    with suppress(click.MissingParameter):  # a sentence names `marketfetch plan` without its arguments
                        parsed(words)
        finally:
            get_settings.cache_clear()
    assert sum(line.startswith("marketfetch ") for line in shown) > 1


def test_a_command_that_is_written_wrongly_is_found():
    with pytest.raises(click.UsageError):
        parsed(["schedule", "list", "--nonsense"])
    with pytest.raises(click.UsageError):
        parsed(["shedule"])
