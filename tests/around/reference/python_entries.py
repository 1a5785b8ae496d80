"""The public names of the package, with the signatures and docstrings that `help` shows."""

from __future__ import annotations

import inspect
import re
from typing import Any

from pydantic import BaseModel

import marketfetch
from tests.around.reference.entry import Entry, in_a_cell, sections, unmarked

INTRO = """
What `import marketfetch` has. Each name is loaded at its first use; the import alone loads no Celery, no vendor and no numpy.
Functions come first, then what they return, then the errors, which a web app returns as 404, 422 and 503.
"""


def public_names() -> list[Entry]:
    """Each public name with what is said of it."""
    found = {name: getattr(marketfetch, name) for name in marketfetch.__all__}
    return [Entry(name, _text(name, found[name])) for name in sorted(found, key=lambda name: (_rank(found[name]), name))]


def page() -> str:
    return sections("Python", INTRO, public_names())


def _rank(value: object) -> int:
    if inspect.isclass(value):
        return 2 if issubclass(value, Exception) else 1
    return 0


def _text(name: str, value: Any) -> str:
    parts = [] if inspect.isclass(value) else [f"```python\n{_call(name, value)}\n```"]
    parts += [_block(block) for block in (inspect.getdoc(value) or "").split("\n\n")]
    if inspect.isclass(value):
        parts += [_fields(value), _methods(value)]
    return "\n\n".join(part for part in parts if part)


def _call(name: str, function: Any) -> str:
    """The signature, one argument a line."""
    signature = inspect.signature(function)
    lines, star = [], False
    for one in signature.parameters.values():
        if one.kind is one.KEYWORD_ONLY and not star:
            lines.append("    *,")
            star = True
        default = "" if one.default is one.empty else f" = {one.default!r}".replace("'", '"')
        lines.append(f"    {one.name}: {one.annotation}{default},")
    returned = "" if signature.return_annotation is signature.empty else f" -> {signature.return_annotation}"
    return "\n".join([f"{name}(", *lines, f"){returned}"])


def _block(text: str) -> str:
    """A paragraph, or a table where the block lists arguments: a name, two blanks or more, and what it is."""
    if not re.match(r"[a-z][a-z_, ]*?  +\S", text):
        return unmarked(text)
    rows: list[list[str]] = []
    for line in text.splitlines():
        if found := re.match(r"([a-z][a-z_, ]*?)  +(\S.*)", line):
            rows.append([found[1], found[2]])
        else:
            rows[-1][1] += f" {line.strip()}"
    cells = [f"| `{name.replace(', ', '`, `')}` | {in_a_cell(unmarked(said))} |" for name, said in rows]
    return "\n".join(["| argument | what it is |", "|---|---|", *cells])


def _fields(of: type) -> str:
    """The fields of a value, with their types."""
    names = getattr(of, "model_fields", None) or getattr(of, "__dataclass_fields__", {})
    if not names:
        return ""
    kinds = {name: of.__annotations__.get(name, "") for name in names}
    return "\n".join(
        ["| field | type |", "|---|---|", *(f"| `{name}` | `{in_a_cell(str(kind))}` |" for name, kind in kinds.items())]
    )


def _methods(of: type) -> str:
    """Methods and properties of its own, with their first sentence."""
    if issubclass(of, Exception):
        return ""
    own = {name: value for name, value in vars(of).items() if not name.startswith("_") and inspect.getdoc(value)}
    if issubclass(of, BaseModel):
        own = {name: value for name, value in own.items() if isinstance(value, property)}
    own = {name: value for name, value in own.items() if callable(value) or isinstance(value, property)}
    rows = [
        f"| `{name}` | {in_a_cell(unmarked((inspect.getdoc(value) or '').partition(chr(10) * 2)[0]))} |"
        for name, value in own.items()
    ]
    return "\n".join(["| member | what it does |", "|---|---|", *rows]) if rows else ""
