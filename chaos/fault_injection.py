"""The faults that are injected into the installation. Each function returns False when its target did not exist."""

from __future__ import annotations

import contextlib
import os
import random
import signal
from collections.abc import Callable
from typing import Final

import psutil
from redis.exceptions import RedisError

from chaos.installation import Installation, any_child
from tests.flow.poisons import UNREADABLE, UNUSABLE

_POISONS: Final = tuple(raw for raw, _ in (UNREADABLE | UNUSABLE).values())
_QUEUES: Final = ("fetch.polygon", "fetch.alpha_vantage", "fetch.nasdaq", "store", "celery")


def kill_child(installation: Installation, draw: random.Random) -> bool:
    child = any_child(installation, draw)
    if child is None:
        return False
    with contextlib.suppress(psutil.NoSuchProcess):
        child.kill()
    return True


def kill_worker(installation: Installation, draw: random.Random) -> bool:
    living = [worker for worker in installation.workers if worker.alive()]
    if not living:
        return False
    draw.choice(living).kill()
    return True


def kill_redis(installation: Installation, draw: random.Random) -> bool:
    if not installation.valkey.alive():
        return False
    installation.valkey.kill()
    installation.restart_valkey()
    return True


def stop_redis(installation: Installation, draw: random.Random) -> bool:
    installation.valkey.stop()
    return True


def start_redis(installation: Installation, draw: random.Random) -> bool:
    installation.restart_valkey()
    return True


def cut_connections(installation: Installation, draw: random.Random) -> bool:
    """Closes every connection, as a failing proxy or network does."""
    try:
        with installation.redis() as redis:
            for kind in ("pubsub", "normal"):
                redis.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
    except RedisError:
        return False
    return True


def stop_postgres(installation: Installation, draw: random.Random) -> bool:
    os.kill(installation.postgres.pid, signal.SIGINT)  # a fast shutdown: open transactions roll back
    installation.postgres.process.wait(30)
    return True


def start_postgres(installation: Installation, draw: random.Random) -> bool:
    installation.postgres.restart()
    return True


def poison(installation: Installation, draw: random.Random) -> bool:
    raw, queue = draw.choice(_POISONS), draw.choice(_QUEUES)
    try:
        with installation.redis() as redis:
            redis.lpush(queue, raw)
    except RedisError:
        return False
    return True


INJECTIONS: Final[dict[str, Callable[[Installation, random.Random], bool]]] = {
    "a child is killed": kill_child,
    "a worker is killed": kill_worker,
    "Redis is killed and restarted": kill_redis,
    "Redis is stopped": stop_redis,
    "Redis is back": start_redis,
    "all connections of Redis are cut": cut_connections,
    "Postgres is stopped": stop_postgres,
    "Postgres is back": start_postgres,
    "a poison message is sent": poison,
}
