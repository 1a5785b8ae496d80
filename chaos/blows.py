"""What is done to the installation. Each answers False when there was nothing to hit just then."""

from __future__ import annotations

import contextlib
import os
import random
import signal
from collections.abc import Callable
from typing import Final

import psutil
from redis.exceptions import RedisError

from chaos.place import Place, any_child
from tests.flow.poisons import UNREADABLE, UNUSABLE

_POISONS: Final = tuple(raw for raw, _ in (UNREADABLE | UNUSABLE).values())
_QUEUES: Final = ("fetch.polygon", "fetch.alpha_vantage", "fetch.nasdaq", "store", "celery")


def kill_child(place: Place, draw: random.Random) -> bool:
    child = any_child(place, draw)
    if child is None:
        return False
    with contextlib.suppress(psutil.NoSuchProcess):
        child.kill()
    return True


def kill_worker(place: Place, draw: random.Random) -> bool:
    living = [worker for worker in place.workers if worker.children()]
    if not living:
        return False
    draw.choice(living).kill()
    return True


def kill_redis(place: Place, draw: random.Random) -> bool:
    if not place.valkey.alive():
        return False
    place.valkey.kill()
    place.restart_valkey()
    return True


def stop_redis(place: Place, draw: random.Random) -> bool:
    place.valkey.stop()
    return True


def start_redis(place: Place, draw: random.Random) -> bool:
    place.restart_valkey()
    return True


def cut_connections(place: Place, draw: random.Random) -> bool:
    """As a proxy or a network that gives up would."""
    try:
        with place.redis() as redis:
            for kind in ("pubsub", "normal"):
                redis.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
    except RedisError:
        return False
    return True


def stop_postgres(place: Place, draw: random.Random) -> bool:
    os.kill(place.postgres.pid, signal.SIGINT)  # a fast shutdown: open transactions roll back
    place.postgres.process.wait(30)
    return True


def start_postgres(place: Place, draw: random.Random) -> bool:
    place.postgres.restart()
    return True


def poison(place: Place, draw: random.Random) -> bool:
    raw, queue = draw.choice(_POISONS), draw.choice(_QUEUES)
    try:
        with place.redis() as redis:
            redis.lpush(queue, raw)
    except RedisError:
        return False
    return True


BLOWS: Final[dict[str, Callable[[Place, random.Random], bool]]] = {
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
