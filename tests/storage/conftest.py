"""Both stores, real: a file in the test's folder, and a Postgres that the run starts once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from marketfetch.local.postgres_server import Postgres
from marketfetch.storage import open_store
from marketfetch.storage.store import Store


@pytest.fixture
def postgres_url(postgres: Postgres) -> str:
    return postgres.database("storage_test")


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> str:
    """An empty database of each kind; for a test that takes `store`, Postgres has our tables already."""
    if request.param == "sqlite":
        return f"sqlite:///{request.getfixturevalue('tmp_path')}/bars.db"
    if "store" in request.fixturenames:
        return str(request.getfixturevalue("emptied_database").url())
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    opened = open_store(url)
    opened.create()
    yield opened
    opened.close()
