"""SQL in files: every statement is spelled for both databases, and nothing is left to fill in."""

from __future__ import annotations

from importlib import resources

import pytest

from marketfetch.storage.postgres.database import SPELLING as POSTGRES
from marketfetch.storage.sqlite.database import SPELLING as SQLITE
from marketfetch.storage.statements import Spelling, script, statements

PACKAGE = resources.files("marketfetch.storage")
SHARED = sorted(f"sql/{one.name}" for one in PACKAGE.joinpath("sql").iterdir())


def own(spelling: Spelling) -> list[str]:
    names = [one.name for one in PACKAGE.joinpath(spelling.folder).iterdir()]
    return sorted(f"{spelling.folder}/{name}" for name in names if name.endswith(".sql"))


@pytest.mark.parametrize("spelling", [SQLITE, POSTGRES], ids=["sqlite", "postgres"])
def test_every_statement_is_spelled_out(spelling: Spelling) -> None:
    for file in SHARED + own(spelling):
        found = statements(file, spelling)
        assert found
        for text in found.values():
            assert text
            assert "{" not in text
            assert "--" not in text


def test_the_two_databases_differ_only_where_sql_has_no_standard() -> None:
    lite, server = statements("sql/jobs.sql", SQLITE), statements("sql/jobs.sql", POSTGRES)
    assert lite.keys() == server.keys()
    assert lite["unfinished"] == server["unfinished"]
    assert lite["cancel"] == "UPDATE jobs SET cancelled_at = ? WHERE id = ? AND cancelled_at IS NULL RETURNING id"
    assert server["cancel"] == lite["cancel"].replace("= ?", "= to_timestamp(? / 1000.0)", 1)
    assert server["lock"].endswith("FOR UPDATE")
    assert not lite["lock"].endswith("UPDATE")


def test_a_script_is_split_at_its_semicolons_and_has_no_comments() -> None:
    text = "-- a note; with a semicolon\nCREATE TABLE a (\n    b INTEGER);\n\n-- another\nDROP TABLE a;\n"
    assert script(text) == ["CREATE TABLE a (\n    b INTEGER)", "DROP TABLE a"]
