"""A database URL becomes a store, and never shows its password."""

from __future__ import annotations

from pathlib import Path

import pytest

from marketfetch.storage import open_store, safe_url
from marketfetch.storage.postgres.database import PostgresDatabase
from marketfetch.storage.sqlite.database import SqliteDatabase
from marketfetch.storage.store import StoreMismatch


def test_three_slashes_are_relative_and_four_absolute() -> None:
    relative, absolute = open_store("sqlite:///bars.db").database, open_store("sqlite:////var/bars.db").database
    assert isinstance(relative, SqliteDatabase)
    assert isinstance(absolute, SqliteDatabase)
    assert (relative.path, absolute.path) == (Path("bars.db"), Path("/var/bars.db"))


@pytest.mark.parametrize("scheme", ["postgresql", "postgres"])
def test_both_spellings_of_postgres_are_known(scheme: str) -> None:
    assert isinstance(open_store(f"{scheme}://ann:secret@db.example:5432/bars").database, PostgresDatabase)


@pytest.mark.parametrize("url", ["mysql://ann:secret@host/bars", "bars.db", "", "sqlite://", "sqlite:///", "sqlite://bars.db"])
def test_another_url_is_answered_with_what_to_write(url: str) -> None:
    with pytest.raises(StoreMismatch, match="write one of sqlite:///relative") as caught:
        open_store(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://ann:s3c:r@t@host:5432/bars", "postgresql://ann:***@host:5432/bars"),
        ("postgresql://ann:s3/c?r&et@host/bars", "postgresql://ann:***@host/bars"),
        ("ann:s3cret@host/bars", "ann:***@host/bars"),
        ("postgresql://ann@host/bars", "postgresql://ann@host/bars"),
        ("postgresql://host/bars?user=ann&password=s3cret", "postgresql://host/bars?user=ann&password=***"),
        ("postgresql://ann@/bars?host=/tmp/pg", "postgresql://ann@/bars?host=/tmp/pg"),
        ("sqlite:////var/bars.db", "sqlite:////var/bars.db"),
        ("sqlite:///bars.db", "sqlite:///bars.db"),
    ],
)
def test_a_password_is_never_shown(url: str, shown: str) -> None:
    assert safe_url(url) == shown


def test_a_url_that_libpq_cannot_read_is_not_quoted() -> None:
    store = open_store("postgresql://ann:s3cret%zz@host/bars")
    with pytest.raises(StoreMismatch, match="can't be read; write postgresql://") as caught:
        store.create()
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None
