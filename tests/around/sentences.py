"""Every sentence that the program can say, to hold pages against: its string literals, with the fields of f-strings open."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

#: The literal parts of a string, in order; between two of them stands something that only the running program knows.
Template = tuple[str, ...]

#: The fields of a log line in the older style.
_FIELD = re.compile(r"%[rsd]")


def templates(files: Iterable[Path]) -> list[Template]:
    """What these sources can say."""
    nodes = (node for file in files for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    return [parts for node in nodes if (parts := _parts(node))]


def said(text: str, known: Iterable[Template]) -> bool:
    """True if `text` is a piece of something that can be said, and more than half of it literally."""
    return any(_literal_anywhere(text, parts) * 2 > len(text) for parts in known)


def _parts(node: ast.AST) -> Template:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return tuple(_FIELD.split(node.value))
    if isinstance(node, ast.JoinedStr):
        text = "".join(str(one.value) if isinstance(one, ast.Constant) else "\0" for one in node.values)
        return tuple(text.split("\0"))
    return ()


def _literal_anywhere(text: str, parts: Template) -> int:
    """The most letters of `text` that are literal, wherever in the template it begins."""
    best = 0
    for number, part in enumerate(parts):
        if text in part:
            return len(text)
        best = max(best, _literal_after_a_field(text, parts[number:]))
        if number + 1 == len(parts):
            break  # no field follows, so that the text can't begin in this part and go on
        for cut in range(max(0, len(part) - len(text)), len(part)):
            if text.startswith(part[cut:]):
                rest = _literal_after_a_field(text[len(part) - cut :], parts[number + 1 :])
                best = max(best, len(part) - cut + rest if rest >= 0 else 0)
    return best


def _literal_after_a_field(text: str, parts: Sequence[str]) -> int:
    """How many letters of `text` are literal if it begins with a field and goes on with these parts; -1 if it can't."""
    if not parts:
        return 0 if not text else -1
    if not text or not parts[0]:
        return 0
    if (at := text.find(parts[0], 1)) > 0:
        rest = _literal_after_a_field(text[at + len(parts[0]) :], parts[1:])
        return -1 if rest < 0 else len(parts[0]) + rest
    ends = (length for length in range(min(len(parts[0]) - 1, len(text)), 0, -1) if text.endswith(parts[0][:length]))
    return next(ends, 0)
