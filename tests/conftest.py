"""Servers that the test run starts itself and stops again: nothing is expected to be on the machine."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings
from redis import Redis

from marketfetch.local.postgres_server import Postgres, start_postgres
from marketfetch.local.valkey_server import start_valkey
from marketfetch.settings import key_variables
from tests.built_wheel import installed, wheel  # noqa: F401 (fixtures)
from tests.emptied_database import EmptiedDatabase
from tests.scheduling import (  # noqa: F401 (pytest finds its hooks here)
    pytest_addoption,
    pytest_collection_modifyitems,
    pytest_configure,
    pytest_configure_node,
    pytest_xdist_make_scheduler,
    pytest_xdist_setupnodes,
)

pytest_plugins = ("tests.cpu_of_tests", "tests.standstills")

# A shell starts background jobs with SIGINT ignored, and every process inherits that: Ctrl-C in a test would do nothing.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A developer may have real keys in the vendors' own variables: no test, and nothing that a test starts, sees them.
for _variables in key_variables().values():
    for _variable in _variables:
        os.environ.pop(_variable, None)

#: `make test` repeats the same 50 examples of each property, so that a run says what a change has done.
settings.register_profile("repeated", derandomize=True, max_examples=50)
settings.load_profile("repeated")
#: `make stress` looks for new ones, for tests that do not say their own number.
settings.register_profile("stress", max_examples=5000, deadline=None, derandomize=False)


def pytest_collection() -> None:
    # Collecting makes a million objects that stay: the collector would look at them again and again, here and in each test.
    gc.disable()


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def valkey_url(tmp_path_factory) -> Iterator[str]:
    """A real Valkey with an append-only file, as production runs it."""
    with start_valkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server.url


@pytest.fixture(scope="session")
def postgres(tmp_path_factory) -> Iterator[Postgres]:
    """A real Postgres; each test makes a database of its own in it."""
    with start_postgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture(scope="session")
def emptied_database(postgres) -> EmptiedDatabase:
    """A database with our tables, which each test finds empty."""
    return EmptiedDatabase(postgres)


@pytest.fixture
def redis(valkey_url) -> Iterator[Redis]:
    """A client of the real Valkey, emptied before the test."""
    with Redis.from_url(valkey_url) as client:
        client.flushall()
        yield client
