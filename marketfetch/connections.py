"""This process's connections, each made at first use and never carried over a fork."""

from __future__ import annotations

import os
from functools import lru_cache

from redis import Redis

from marketfetch.addresses import database_url, redis_url
from marketfetch.quotas import Gate, failpoints
from marketfetch.settings import failpoint
from marketfetch.storage import open_store
from marketfetch.storage.store import Store


def redis() -> Redis:
    """Redis, with timeouts: nothing here may wait for ever."""
    return _redis(os.getpid())


def gate(provider: str) -> Gate:
    """The gate of a vendor's pool."""
    return _gate(os.getpid(), provider)


def store() -> Store:
    """The database. Its tables exist: `create` has been called in this process."""
    return _store(os.getpid())


def ledger() -> Store:
    """The database, to look at only: never waits for who writes. StoreError where its tables are not there yet."""
    return _ledger(os.getpid())


def marks() -> Store:
    """The database, for the releaser's marks: grants wait for no sweep, and not for long for another program."""
    return _marks(os.getpid())


@lru_cache(maxsize=1)
def _redis(_pid: int) -> Redis:
    return Redis.from_url(redis_url(), socket_timeout=10, socket_connect_timeout=5, health_check_interval=25)


@lru_cache(maxsize=8)
def _gate(pid: int, provider: str) -> Gate:
    if point := failpoint():  # a test kills this process at a step of the gate; commands load no Celery app that would arm it
        failpoints.arm(point)
    return Gate(_redis(pid), pool=provider)


@lru_cache(maxsize=1)
def _store(_pid: int) -> Store:
    opened = open_store(database_url())
    opened.create()
    return opened


@lru_cache(maxsize=1)
def _ledger(_pid: int) -> Store:
    return open_store(database_url())


@lru_cache(maxsize=1)
def _marks(_pid: int) -> Store:
    opened = open_store(database_url(), busy_ms=5_000)
    opened.create()
    return opened
