"""The connections of this process: each is made at its first use, and a forked child makes its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from marketfetch.addresses import broker, database_url, redis_prefix, redis_url
from marketfetch.quotas import Gate, failpoints
from marketfetch.settings import failpoint, get_settings
from marketfetch.storage import open_store
from marketfetch.storage.store import NoTables, Store

if TYPE_CHECKING:
    from redis import Redis

#: Stands for the Redis of the settings while it is set; see `replaced`.
_instead: Redis | None = None
#: Seconds that a command, and a new connection, wait for Redis. A worker is patient, since its call is made already.
_PATIENT: Final = {"socket_timeout": 10.0, "socket_connect_timeout": 5.0}
_FOR_PEOPLE: Final = {"socket_timeout": 3.0, "socket_connect_timeout": 2.0}
_for_people = False


@contextmanager
def replaced(redis: Redis) -> Iterator[None]:
    """Within the block this is the Redis of the gates, and every connection is made anew: marketfetch.testing uses it."""
    global _instead
    _forget()
    _instead = redis
    try:
        yield
    finally:
        _forget()
        _instead = None


def is_replaced() -> bool:
    """True within `replaced`: what is counted there is no work of this installation."""
    return _instead is not None


def wait_as_people_do() -> None:
    """From now on this process gives up a Redis that does not respond after 3 s, and asks it once: a server of people calls it.

    With the timeouts of a worker, and their repetition, a page would stay empty for 40 s.
    """
    global _for_people
    _for_people = True
    _forget()


def redis() -> Redis:
    """Redis, with timeouts on every call. Raises SettingsError for a URL that is none."""
    return _redis(os.getpid())


def new_redis(**options: Any) -> Redis:
    """A client of its own, for a caller with other patience. `options` are redis-py's. Raises SettingsError."""
    from marketfetch.redis_clients import open_client  # see redis_errors.py

    return open_client(redis_url(), prefix=redis_prefix(), **options)


def new_redis_of_broker(**options: Any) -> Redis | None:
    """The same for the Redis whose lists are the queues, which may be another; None where the broker is no Redis."""
    from marketfetch.redis_clients import open_client

    found = broker().redis
    return open_client(found, prefix=redis_prefix(), **options) if found else None


def gate(provider: str) -> Gate:
    """The gate of a vendor's pool of keys."""
    return _gate(os.getpid(), provider)


def store() -> Store:
    """The database; its tables are created at the first use. Raises StoreError."""
    return _store(os.getpid())


def recorded() -> Store:
    """The database as it stands, for all that concerns recorded jobs: no file and no table is made.

    Raises StoreError for tables of another release. Without tables each query raises NoTables.
    """
    with suppress(NoTables):
        _verified(os.getpid(), database_url())
    return _database(os.getpid(), database_url())


def ledger() -> Store:
    """The database for reading: it never waits for a writer, and creates no table. Queries raise StoreError without tables."""
    return _ledger(os.getpid())


def marks() -> Store:
    """The database for the releaser's reservations of calls: a connection of its own, so that no sweep delays a grant."""
    return _marks(os.getpid())


def _forget() -> None:
    """The next use of a connection makes another one; the databases' are closed."""
    for opened in (_store, _ledger, _marks):
        if opened.cache_info().currsize:
            opened(os.getpid()).close()
    if _database.cache_info().currsize:
        _database(os.getpid(), database_url()).close()
    for made in (_redis, _gate, _database, _store, _verified, _ledger, _marks):
        made.cache_clear()


@lru_cache(maxsize=1)
def _redis(_pid: int) -> Redis:
    if _instead is not None:
        return _instead
    if not _for_people:
        return new_redis(**_PATIENT, health_check_interval=25)
    from redis.backoff import NoBackoff
    from redis.exceptions import ConnectionError as Lost
    from redis.retry import Retry

    # A connection that Redis has closed meanwhile is made anew; a command that took too long is not sent again.
    return new_redis(**_FOR_PEOPLE, health_check_interval=25, retry=Retry(NoBackoff(), 1, supported_errors=(Lost,)))


@lru_cache(maxsize=1)
def _arm() -> None:
    """Tests end a process at a step of the gate. Commands load no Celery app that would arm it."""
    if point := failpoint():
        failpoints.arm(point)


@lru_cache(maxsize=64)
def _gate(pid: int, provider: str) -> Gate:
    _arm()
    return Gate(_redis(pid), pool=provider)


@lru_cache(maxsize=1)
def _database(_pid: int, _url: str) -> Store:
    return _opened()


@lru_cache(maxsize=1)
def _store(pid: int) -> Store:
    opened = _database(pid, database_url())
    opened.create()
    return opened


@lru_cache(maxsize=1)
def _verified(pid: int, url: str) -> None:
    _database(pid, url).verify()


@lru_cache(maxsize=1)
def _ledger(_pid: int) -> Store:
    return _opened()


@lru_cache(maxsize=1)
def _marks(_pid: int) -> Store:
    opened = _opened(busy_ms=5_000)
    opened.create()
    return opened


def _opened(**patience: int) -> Store:
    return open_store(database_url(), history=get_settings().bars_history, **patience)
