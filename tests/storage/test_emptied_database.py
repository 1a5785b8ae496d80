"""What a test has left in the shared database of Postgres, no other test finds."""

from __future__ import annotations

import psycopg
import pytest

from tests.emptied_database import EmptiedDatabase


def test_rows_sessions_and_numbers_of_an_earlier_test_are_gone(emptied_database: EmptiedDatabase) -> None:
    url = emptied_database.url()
    add = "INSERT INTO series (provider, symbol, timespan, adjustment) VALUES ('polygon', 'IBM', '1d', 'raw') RETURNING id"
    left = psycopg.connect(url, autocommit=True)
    (first,) = left.execute(add).fetchone() or ()
    assert emptied_database.url() == url
    with pytest.raises(psycopg.OperationalError):
        left.execute("SELECT 1")
    with psycopg.connect(url, autocommit=True) as session:
        assert session.execute("SELECT count(*) FROM series").fetchone() == (0,)
        assert session.execute(add).fetchone() == (first,)


@pytest.mark.parametrize(
    "damage",
    [
        "DROP VIEW bars_adjusted",
        "ALTER TABLE ledger ADD more int",
        "UPDATE schema_version SET version = 1",
        "CREATE TABLE x ()",
    ],
)
def test_a_database_with_another_schema_is_made_anew(emptied_database: EmptiedDatabase, damage: str) -> None:
    with psycopg.connect(emptied_database.url(), autocommit=True) as session:
        before = session.execute("SELECT oid FROM pg_database WHERE datname = current_database()").fetchone()
        session.execute(damage)
    with psycopg.connect(emptied_database.url(), autocommit=True) as session:
        assert session.execute("SELECT oid FROM pg_database WHERE datname = current_database()").fetchone() != before
        assert session.execute("SELECT count(*) FROM ledger").fetchone() == (0,)
        assert session.execute("SELECT version > 1 FROM schema_version").fetchone() == (True,)
