"""Changed copies of a recorded response, for the conformance suite: its rows in another order, absent values, other bytes."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any, Final

#: How vendors write that a value is absent (see absence.py).
WORDS: Final = (None, "null", "nan", "-", "N/A", ".", "", "None")
_NUMBER_OR_DATE: Final = re.compile(r"-?\d")


def shuffled(body: bytes) -> Iterator[tuple[str, bytes]]:
    """Yields a JSON response with its longest list or object reordered, and with duplicate rows; nothing for other formats."""
    for what in ("reversed", "rotated", "interleaved", "a row twice", "every row twice", "the list twice"):
        document, rows, put = _document(body)
        if not rows:
            return
        put(
            {
                "reversed": rows[::-1],
                "rotated": rows[1:] + rows[:1],
                "interleaved": rows[::2] + rows[1::2],
                "a row twice": [*rows, *rows[-1:]],
                "every row twice": [row for row in rows for _ in range(2)],
                "the list twice": [*rows, *rows],
            }[what]
        )
        yield what, json.dumps(document).encode()


def with_values(body: bytes, row: int, field: Any, value: object) -> bytes:
    """Returns a JSON response with `value` in one field (a key, or a position) of one row."""
    document, rows, put = _document(body)
    changed = rows[row][1] if isinstance(rows[row], tuple) else rows[row]
    changed[field] = value
    put(rows)
    return json.dumps(document).encode()


def fields_of(body: bytes) -> list[tuple[int, Any]]:
    """Returns the numbers and dates in the middle row of a JSON response, as row number and key or position.

    [] for other formats. A text may be a word for absence itself: NA is a ticker.
    """
    rows = _document(body)[1]
    if len(rows) < 3:
        return []
    number = len(rows) // 2
    row = rows[number][1] if isinstance(rows[number], tuple) else rows[number]
    pairs = row.items() if isinstance(row, dict) else enumerate(row)
    return [(number, name) for name, value in pairs if isinstance(value, int | float) or _NUMBER_OR_DATE.match(str(value))]


def in_other_bytes(body: bytes) -> Iterator[tuple[str, bytes]]:
    """Yields the same response with a byte order mark; a CSV with other line ends; a JSON with a name in latin-1."""
    yield "a byte order mark", codecs.BOM_UTF8 + body
    if body.lstrip()[:1] == b"{":
        yield "a name in latin-1", body.replace(b"{", b'{"served by": "Jos\xe9", ', 1)
    elif b"\n" in body:
        lines = body.replace(b"\r\n", b"\n")
        yield "CR line ends", lines.replace(b"\n", b"\r")
        yield "CRLF line ends", lines.replace(b"\n", b"\r\n")


def _document(body: bytes) -> tuple[Any, list[Any], Any]:
    """The document, its rows (pairs where they stand in an object), and a function that puts other rows in their place."""
    try:
        document = json.loads(body)
    except ValueError:
        return None, [], None
    longest = max(_containers(document), key=len)
    rows: list[Any] = list(longest.items()) if isinstance(longest, dict) else list(longest)

    def put(changed: list[Any]) -> None:
        longest.clear()
        longest.update(changed) if isinstance(longest, dict) else longest.extend(changed)

    nested = all(isinstance(row[1] if isinstance(row, tuple) else row, dict | list) for row in rows)
    return document, rows if nested else [], put


def _containers(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list):
        yield value
        for one in value.values() if isinstance(value, dict) else value:
            yield from _containers(one)
