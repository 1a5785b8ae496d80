"""On which line of a TOML document a key stands, which `tomllib` does not say."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

#: Of an array of tables, the name is followed by a number, from 0.
Path = tuple[str | int, ...]


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
    of_array: Counter[Path] = Counter()
    begun, first = "", 0
    for number, line in enumerate(text.split("\n"), 1):
        begun, first = (f"{begun}\n{line}", first) if begun else (line, number)
        try:
            found = tomllib.loads(begun)
        except tomllib.TOMLDecodeError:
            continue  # an array or a text goes on in the next line
        if begun.lstrip().startswith("[["):
            array = next(_paths(found))[:-1]
            table = (*array, of_array[array])
            of_array[array] += 1
            yield from ((first, array), (first, table))
        elif begun.lstrip().startswith("["):
            table = next(_paths(found))
            yield first, table
        else:
            yield from ((first, table + path) for path in _paths(found))
        begun = ""


def _paths(document: Mapping[str, Any], above: Path = ()) -> Iterator[Path]:
    """Yields the paths of a document, the innermost first."""
    for name, value in document.items():
        tables = enumerate(value) if isinstance(value, list) else ()
        for number, one in tables:
            if isinstance(one, dict):
                yield from _paths(one, (*above, name, number))
                yield (*above, name, number)
        if isinstance(value, dict):
            yield from _paths(value, (*above, name))
        yield (*above, name)
