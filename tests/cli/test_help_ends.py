"""The end of every help: examples that work as they stand, and the exit codes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from marketfetch.cli import exit_codes
from marketfetch.cli.help_ends import HELP_ENDS
from marketfetch.cli.main import commands, marketfetch

ROOT = Path(__file__).parents[2]
COMMANDS = dict(commands(marketfetch))
#: What stands around the command in a shell's line.
_LINE = re.compile(r'(?:eval "\$\()?marketfetch ([^>|")]*?)(?: > \S+|\)")?')


def words(line: str) -> list[str]:
    """The words of an example behind `marketfetch`."""
    found = _LINE.fullmatch(line)
    assert found, line
    return shlex.split(found[1])


def parsed(typed: list[str]) -> tuple[str, dict[str, Any]]:
    """The command that a line calls, and the values that it would get. Raises what click raises."""
    ctx = click.Context(marketfetch, info_name="marketfetch")
    group: click.Command = marketfetch
    name = ""
    while isinstance(group, click.Group) and typed and typed[0] in group.commands:
        name, group = f"{name} {typed[0]}".strip(), group.commands[typed[0]]
        ctx = click.Context(group, info_name=typed[0], parent=ctx)
        typed = typed[1:]
    with group.make_context(name, typed, parent=ctx.parent) as made:
        return name, made.params


def test_every_command_ends_with_examples_and_no_other_has_some() -> None:
    assert HELP_ENDS.keys() == COMMANDS.keys(), "marketfetch/cli/help_ends.py has the examples of every command"
    assert [name for name, end in HELP_ENDS.items() if not end.examples] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_an_example_is_taken_as_it_stands(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reply.json").write_text("{}")
    for line in HELP_ENDS[name].examples:
        called, values = parsed(words(line))
        assert called == name or called.startswith(f"{name} "), line
        assert isinstance(values, dict)


def test_a_wrong_example_would_be_noticed() -> None:
    with pytest.raises(click.UsageError):
        parsed(words("marketfetch fetch polygon AAPL --nosuch"))
    with pytest.raises(AssertionError):
        words("marketfetch status | jq .")


def test_every_help_names_its_exit_codes_and_fits_the_page() -> None:
    runner = CliRunner()
    for name in ("", *COMMANDS):
        done = runner.invoke(marketfetch, [*name.split(), "--help"])
        assert done.exit_code == exit_codes.OK
        end = done.stdout[done.stdout.index("Exit codes:") :]
        assert re.findall(r"^ {4}(\d+) ", end, flags=re.MULTILINE) == ["0", "1", "2", "130"], name
        for line in HELP_ENDS[name].examples if name else ():
            assert f"\n    {line}\n" in done.stdout, line
        assert max(map(len, end.splitlines())) <= 128, name


def test_the_page_has_the_same_table() -> None:
    page = (ROOT / "docs" / "command-line.md").read_text()
    assert [line for line in page.splitlines() if re.match(r"\| \d", line)] == [
        f"| {code} | {meaning} |" for code, meaning in exit_codes.MEANINGS.items()
    ]
