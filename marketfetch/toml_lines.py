"""On which line of a TOML document a key stands, which `tomllib` does not say."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

Path = tuple[str, ...]


def line_of(text: str, path: Path) -> int | None:
    """Returns the line of the key `path`, counted from 1; of the nearest table above it if the key does not stand there.

    `text` is a valid document. None if neither stands in it.
    """
    lines: dict[Path, int] = {}
    for number, found in _statements(text):
        # A table's header comes before its keys: the first line of a path is the one to look at.
        lines.setdefault(found, number)
    for length in range(len(path), 0, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    return None


def _statements(text: str) -> Iterator[tuple[int, Path]]:
    """Yields the line and the path of every header and key, also of those in inline tables."""
    table: Path = ()
    begun, first = "", 0
    for number, line in enumerate(text.split("\n"), 1):
        begun, first = (f"{begun}\n{line}", first) if begun else (line, number)
        try:
            found = tomllib.loads(begun)
        except tomllib.TOMLDecodeError:
            continue  # an array or a text goes on in the next line
        if begun.lstrip().startswith("["):
            table = next(_paths(found))
            yield first, table
        else:
            yield from ((first, table + path) for path in _paths(found))
        begun = ""


def _paths(document: Mapping[str, Any], above: Path = ()) -> Iterator[Path]:
    """Yields the paths of a document, the innermost first."""
    for name, value in document.items():
        if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
            value = value[0]
        if isinstance(value, dict):
            yield from _paths(value, (*above, name))
        yield (*above, name)
