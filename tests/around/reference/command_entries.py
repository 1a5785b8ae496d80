"""Every command and its options, from click: what `--help` prints."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import click

from marketfetch.cli.main import marketfetch
from tests.around.reference.entry import Entry, in_a_cell, sections, unmarked

INTRO = """
What `marketfetch COMMAND --help` prints. Exit codes, JSON, completion and colours of all commands:
[the command line](../command-line.md); the documents of `--json`: [JSON](../json.md).
"""


def commands() -> list[Entry]:
    """Each command and subcommand, by its words."""
    return [Entry(words, _text(words, one)) for words, one in walked(marketfetch, "marketfetch")]


def page() -> str:
    return sections("Commands", INTRO, commands())


def walked(group: click.Group, words: str) -> Iterator[tuple[str, click.Command]]:
    """The commands of a group and of the groups in it, in alphabetical order."""
    for name, one in sorted(group.commands.items()):
        if one.hidden:
            continue
        yield f"{words} {name}", one
        if isinstance(one, click.Group):
            yield from walked(one, f"{words} {name}")


def options(command: click.Command) -> list[click.Option]:
    """The options that `--help` shows."""
    return [one for one in command.params if isinstance(one, click.Option) and not one.hidden]


def _text(words: str, command: click.Command) -> str:
    context = click.Context(command, info_name=words)
    usage = " ".join([words, *command.collect_usage_pieces(context)])
    lines = [f"`{usage}`", "", *_help(command)]
    if found := options(command):
        lines += ["", "| option | what it does |", "|---|---|"]
        lines += [f"| {_names(one)} | {in_a_cell(unmarked(_said(one, context)))} |" for one in found]
    for block in (command.epilog or "").split("\n\n"):
        title, _, kept = inspect.cleandoc(block).removeprefix("\b\n").partition("\n")
        lines += ["", title, "", "```text", inspect.cleandoc(kept), "```"] if kept else []
    return "\n".join(lines)


def _help(command: click.Command) -> list[str]:
    """The paragraphs; what click is to leave as it is, becomes a block of code."""
    lines: list[str] = []
    for block in inspect.cleandoc(command.help or "").split("\n\n"):
        kept = block.startswith("\b\n")
        lines += ["```text", block.removeprefix("\b\n"), "```", ""] if kept else [unmarked(block), ""]
    return lines[:-1]


def _names(option: click.Option) -> str:
    return ", ".join(f"`{one}`" for one in (*option.opts, *option.secondary_opts))


def _said(option: click.Option, context: click.Context) -> str:
    shown: Any = option.get_help_record(context)
    return str(shown[1]) if shown else ""
