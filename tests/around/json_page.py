"""docs/json.md and docs/json-schema.json, made from the types of the documents: `python -m tests.around.json_page`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter

from marketfetch.documents.of_commands import DOCUMENTS, FAILED

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "json.md"
SCHEMAS = ROOT / "docs" / "json-schema.json"
HEAD = """# The JSON of the commands

Made by `python -m tests.around.json_page` from the types in `marketfetch/documents/`; a test holds this page against them, and
real output against the schemas. Every command that prints data takes `--json`: then stdout is one JSON document on one line,
and everything else stands on stderr. [json-schema.json](json-schema.json) has the same as JSON Schema (2020-12): the schema of
a command's document is `commands` → its words, its parts are in `$defs`. The [web API](web-api.md) returns the same documents
where it has the same thing. Fields may be added by a later release; none is removed or changes its type without a line in the
changelog.

A command that fails prints the document [CommandProblem](#commandproblem) in the place of its own, beside the sentence on
stderr: [the command line](command-line.md#json) says more.

| command | document |
|---|---|
"""


def schemas() -> dict[str, Any]:
    """The schema of each command's document, all definitions together."""
    wanted: list[tuple[str, Literal["serialization"], TypeAdapter[Any]]] = [
        (name, "serialization", TypeAdapter(kind)) for name, kind in {**DOCUMENTS, "": FAILED}.items()
    ]
    found, definitions = TypeAdapter.json_schemas(wanted, ref_template="#/$defs/{model}")
    commands = {name: schema for (name, _), schema in found.items() if name}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "What marketfetch's commands print with --json",
        "commands": commands,
        "failed": found["", "serialization"],
        "$defs": _plain(definitions["$defs"]),
    }


def _plain(schema: Any) -> Any:
    """Without the titles that pydantic makes of the names of fields: they say nothing more."""
    if isinstance(schema, list):
        return [_plain(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {name: _plain(one) for name, one in schema.items() if name != "title" or not isinstance(one, str)}


def page() -> str:
    made = schemas()
    named = [*((f"`{name}`", one) for name, one in made["commands"].items()), ("any that fails", made["failed"])]
    lines = [f"| {name} | {_type(schema)} |" for name, schema in named]
    sections = [_section(name, schema) for name, schema in sorted(made["$defs"].items())]
    return HEAD + "\n".join(lines) + "\n\n" + "\n\n".join(sections) + "\n"


def _section(name: str, schema: dict[str, Any]) -> str:
    required = schema.get("required", [])
    text = f"## {name}\n\n{' '.join(schema.get('description', '').split())}\n\n| field | type |\n|---|---|\n"
    rows = [
        f"| `{field}`{'' if field in required or 'default' in one else ' (not always there)'} | {_type(one)} |"
        for field, one in schema["properties"].items()
    ]
    return text + "\n".join(rows)


def _type(schema: dict[str, Any]) -> str:
    """`list of [JobLine](#jobline)`, `text or null`, ..."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(map(_type, schema["anyOf"]))
    if "enum" in schema:
        return ", ".join(f"`{one}`" for one in schema["enum"])
    kind = schema.get("type")
    if "prefixItems" in schema:
        return f"list: {', '.join(map(_type, schema['prefixItems']))}"
    if kind == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if kind == "object":
        values = schema.get("additionalProperties")
        return f"object of {_type(values)}" if isinstance(values, dict) else "object"
    words = {"string": "text", "integer": "integer", "number": "number", "boolean": "true or false", "null": "null"}
    what = words.get(str(kind), "any value")
    return f"{what} (ISO 8601)" if schema.get("format") in ("date", "date-time") else what


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    SCHEMAS.write_text(json.dumps(schemas(), indent=1) + "\n", encoding="utf-8")
