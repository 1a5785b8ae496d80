"""Every setting: its type and default from the model, its sentences from marketfetch.toml.example."""

from __future__ import annotations

import re
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from marketfetch.sections import Schedule
from marketfetch.settings import model
from tests.around.reference.entry import Entry, unmarked
from tests.house.imports import ROOT

EXAMPLE = ROOT / "marketfetch.toml.example"
INTRO = """
Settings stand in `marketfetch.toml`, or in variables of the environment, which win. `marketfetch init` writes a file with all
of them as comments; `marketfetch check` reads them and says what is wrong. Where a setting comes from, and which source wins:
[operations](../operations.md#where-settings-come-from).
"""


def settings() -> list[Entry]:
    """Each setting once, in the order of the model."""
    said = sentences(EXAMPLE.read_text(encoding="utf-8"))
    return [Entry(name, _said_of(name, field, said)) for name, field in leaves(model())]


def page() -> str:
    """A heading for each section; the settings that a comment is about stand together below it, those of all vendors too."""
    lines = ["# Settings\n", INTRO.strip(), ""]
    rows = {name: _row(name, field) for name, field in leaves(model())}
    said: dict[str, dict[str, list[str]]] = {}
    for one in settings():
        said.setdefault(_section(one.name), {}).setdefault(one.text, []).append(rows[one.name])
    for section, texts in said.items():
        lines += [f"## {section}", ""]
        for text, of_text in texts.items():
            lines += [text, "", "| setting | type | default |", "|---|---|---|", *of_text, ""]
    return "\n".join(lines)


def leaves(of: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every setting with its place, as in `timings.call`; those of a schedule as `schedule.when`."""
    for name, field in of.model_fields.items():
        kind = Schedule if name == "schedule" and not prefix else field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from leaves(kind, f"{prefix}{name}.")
        elif get_args(kind) and isinstance(inner := get_args(kind)[0], type) and issubclass(inner, BaseModel):
            yield from leaves(inner, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field


def variable(name: str) -> str:
    """The variable of the environment that has the same setting."""
    return "MARKETFETCH_" + name.upper().replace(".", "__")


def sentences(example: str) -> dict[str, str]:
    """What the comments of the example say, by setting; `providers.*.plan` for a setting of every vendor.

    A comment is about the settings below it, up to the next comment. A setting that follows another one, and of which the
    comments of a vendor above say more, has those.
    """
    found: dict[str, str] = {}
    section, ended = "", False
    text: list[str] = []
    for line in example.splitlines():
        if heading := re.match(r"(?:# )?\[+([a-z_.]+)(?:\.\"[^\"]*\")?\]+", line):
            section, text = f"{heading[1]}.", [] if not line.startswith("# ") else text
            found[heading[1]] = " ".join(text)
            ended = False
        elif setting := re.match(r"# ([a-z_]+) = ", line):
            shared = re.sub(r"^providers\.\w+\.", "providers.*.", section) + setting[1]
            own = " ".join(text)
            found[section + setting[1]] = found.get(shared, own) if ended or not own else own
            found.setdefault(shared, own)
            ended = True
        elif not line.strip():
            text, ended = [], False
            section = section if section.startswith("providers.") or section in ("timings.", "retries.", "log.") else ""
        elif line.startswith("# "):
            text, ended = ([line[2:]] if ended else [*text, line[2:]]), False
    return found


def _section(name: str) -> str:
    section = name.partition(".")[0] if "." in name else ""
    return {"": "Outside of sections", "schedule": "`[[schedule]]`", "providers": "`[providers.VENDOR]`"}.get(
        section, f"`[{section}]`"
    )


def _said_of(name: str, field: FieldInfo, said: dict[str, str]) -> str:
    return unmarked(field.description or said.get(name) or said.get(re.sub(r"^providers\.\w+\.", "providers.*.", name), ""))


def _row(name: str, field: FieldInfo) -> str:
    default = "needed" if field.is_required() else f"`{_shown(field.get_default(call_default_factory=True))}`"
    return f"| `{name}` | {_kind(field.annotation)} | {default} |"


def _kind(annotation: Any) -> str:
    """A type in a few words."""
    if annotation is type(None):
        return "unset"
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return " or ".join(_kind(one) for one in inside)
    if origin is Literal:
        return " or ".join(str(one) for one in inside)
    if origin is list:
        return f"list of {_kind(inside[0])}"
    if origin is dict:
        return "table"
    if origin is not None:  # Annotated
        return _kind(inside[0])
    words = {str: "text", int: "whole number", float: "number", bool: "true or false", Path: "path", SecretStr: "secret text"}
    return words.get(annotation, "text") if not issubclass(annotation, BaseModel) else "table"


def _shown(value: Any) -> str:
    if value is None:
        return "unset"
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if isinstance(value, bool):
        return str(value).lower()
    return repr(str(value)).replace("'", '"') if isinstance(value, str | Path) else str(value)
