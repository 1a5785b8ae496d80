"""An entry of a reference page: a name of the program, and what is said about it."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """`text` is Markdown and begins with a sentence; `name` stands in the page's heading or cell as code."""

    name: str
    text: str


def unmarked(text: str) -> str:
    """The text with what Markdown would take as a mark escaped, outside of `names`."""
    parts = text.split("`")
    return "`".join(part if number % 2 else re.sub(r"([*_<\[\]])", r"\\\1", part) for number, part in enumerate(parts))


def in_a_cell(text: str) -> str:
    """The text as one cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def sections(title: str, intro: str, entries: list[Entry]) -> str:
    """A page with a heading for each entry."""
    parts = [f"## `{one.name}`\n\n{one.text.strip()}\n" for one in entries]
    return "\n".join([f"# {title}\n\n{intro.strip()}\n", *parts])
