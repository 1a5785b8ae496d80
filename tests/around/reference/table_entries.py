"""Every table and view, from the comments and columns of the SQL that makes them in Postgres."""

from __future__ import annotations

import re

from tests.around.reference.entry import Entry, sections
from tests.house.imports import ROOT

FOLDER = ROOT / "marketfetch" / "storage" / "postgres"
INTRO = """
What the database holds, for SQL of your own. The types are those of Postgres; SQLite has times as whole numbers of milliseconds
since 1970, in UTC. Columns are only ever added, at the end. Read `bars` rather than `bar_rows`, and write none of them.
"""


def tables() -> list[Entry]:
    """Each table and view: the comment above it, and its columns."""
    text = "".join((FOLDER / name).read_text(encoding="utf-8") for name in ("schema.sql", "record_tables.sql"))
    blocks = re.findall(
        r"((?:^--(?! name:)[^\n]*\n)*)^-- name: (\w+)\n(CREATE .*?;)\n(?=\n|--|CREATE|INSERT|\Z)", text, re.M | re.S
    )
    return [Entry(name, _text(comment, sql)) for comment, name, sql in blocks]


def page() -> str:
    return sections("Tables", INTRO, tables())


def _text(comment: str, sql: str) -> str:
    said = " ".join(line.removeprefix("--").strip() for line in comment.splitlines())
    body = sql[sql.index("(") + 1 :] if sql.startswith("CREATE TABLE") else ""
    columns = re.findall(
        r"^    ([\"a-z_]+) ([A-Z][A-Z ]+?)(?: DEFAULT[^\n]*| GENERATED[^\n]*| PRIMARY KEY[^\n]*)?,?$", body, re.M
    )
    if not columns:
        return f"{said}\n\nA view."
    rows = [f"| `{name.strip(chr(34))}` | {kind.replace('NOT NULL', '').strip().lower()} |" for name, kind in columns]
    return "\n".join([said, "", "| column | type |", "|---|---|", *rows])
