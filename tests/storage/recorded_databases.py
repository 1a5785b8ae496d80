"""Databases of every schema version, as the release of that version left them: `tests/recordings/databases/`."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg

FOLDER = Path(__file__).parents[1] / "recordings" / "databases"
VERSIONS = sorted(int(path.name.split(".")[0].removeprefix("schema_")) for path in FOLDER.glob("*.sqlite.sql"))


def recorded(version: int, kind: str) -> str:
    """The script that makes the database of that version; `kind` is sqlite or postgres."""
    return (FOLDER / f"schema_{version}.{kind}.sql").read_text(encoding="utf-8")


def run(url: str, script: str) -> None:
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as file:
            file.executescript(script)
    else:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(script.encode())


def make(url: str, version: int) -> None:
    run(url, recorded(version, "sqlite" if url.startswith("sqlite") else "postgres"))


def shape(store: Any, url: str) -> set[Any]:
    """Every column, index and view with all that makes it up, but not the order of the tables."""
    read = store.database.read
    if url.startswith("sqlite"):
        tables = "m.type = 'table' AND m.name NOT LIKE 'sqlite_%'"
        columns = f"SELECT m.name, c.* FROM sqlite_master m, pragma_table_info(m.name) c WHERE {tables}"
        indexes = f"""
            SELECT m.name, i.name, i."unique", i.partial, x.seqno, x.name
            FROM sqlite_master m, pragma_index_list(m.name) i, pragma_index_info(i.name) x WHERE {tables}"""
        without_numbers = "SELECT name, wr FROM pragma_table_list WHERE schema = 'main' AND name NOT LIKE 'sqlite_%'"
        return {*read(columns), *read(indexes), *read(without_numbers)}
    columns = """
        SELECT table_name, ordinal_position, column_name, data_type, is_nullable, column_default, is_identity,
               identity_generation
        FROM information_schema.columns WHERE table_schema = 'public'"""
    constraints = "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid <> 0"
    return {
        *read(columns),
        *read("SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'"),
        *read(f"{constraints} AND connamespace = 'public'::regnamespace"),
        *read("SELECT viewname, definition FROM pg_views WHERE schemaname = 'public'"),
    }


def statements_of_sqlite(store: Any) -> dict[str, str]:
    """The statement that made each table, index and view, by name, without what only spaces differ in."""
    found = store.database.read("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'")
    return {name: " ".join(sql.replace("(", " ( ").replace(")", " ) ").split()) for name, sql in found}
