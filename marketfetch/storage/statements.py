"""The SQL of this package: named statements in `.sql` files, each loaded once and spelled for one database.

A statement begins behind a line `-- name: tally`; other lines that begin with `--` are comments. Values are `?`. What stands in
braces is filled in when the file is loaded: `{columns}` with the statement of that name in the same file, `{ms:called_at}`,
`{time:?}`, `{joined:hour}`, `{among}`, `{listed}`, `{among_tags}` and `{for_update}` with the database's own spelling.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from types import MappingProxyType
from typing import Final

_NAME: Final = re.compile(r"^-- name: (\w+)\n", flags=re.MULTILINE)
_COMMENT: Final = re.compile(r"^--.*\n", flags=re.MULTILINE)
_PART: Final = re.compile(r"\{(\w+)(?::([^{}]+))?\}")


@dataclass(frozen=True, slots=True)
class Spelling:
    """How one database writes what SQL has no standard for. `folder` holds its own `.sql` files."""

    folder: str
    #: A time column as Unix ms, and a value in Unix ms as a time; `{}` stands for the column or the value.
    ms_of: str
    time_of: str
    #: Behind a column: whether it is among the values of one `?`, however many they are. Database.listing makes that value.
    among: str
    #: The same values as a relation with one column, `value`.
    listed: str
    #: Whether the column `tags`, a JSON list, holds the one `?`.
    among_tags: str
    #: Row-lock suffix of a SELECT.
    for_update: str
    #: The aggregate that makes one text of the values of a column, with commas between them, in any order.
    joined_of: str

    def ms(self, column: str) -> str:
        return self.ms_of.replace("{}", column)

    def joined(self, column: str) -> str:
        return self.joined_of.replace("{}", column)

    def time(self, value: str = "?") -> str:
        return self.time_of.replace("{}", value)


@lru_cache(maxsize=32)
def statements(file: str, spelling: Spelling) -> Mapping[str, str]:
    """The statements of `file` (a path in this package) by name, in the order of the file."""
    _, *parts = _NAME.split(_text(file))
    raw = dict(zip(parts[::2], parts[1::2], strict=True))

    def filled(match: re.Match[str]) -> str:
        name, argument = match.groups()
        if argument:
            by_name: dict[str, Callable[[str], str]] = {"ms": spelling.ms, "time": spelling.time, "joined": spelling.joined}
            return by_name[name](argument)
        return spelled(raw[name]) if name in raw else str(getattr(spelling, name))

    def spelled(text: str) -> str:
        return _PART.sub(filled, _COMMENT.sub("", text)).strip()

    return MappingProxyType({name: spelled(text) for name, text in raw.items()})


def script(text: str) -> list[str]:
    """The statements of a script without names, in order."""
    return [one.strip() for one in _COMMENT.sub("", text).split(";\n") if one.strip()]


def _text(file: str) -> str:
    return resources.files(__package__ or "").joinpath(file).read_text(encoding="utf-8")
