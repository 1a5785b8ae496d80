"""`celery inspect scheduled`, `reserved` and `query_task`, and a worker's page in Flower, which asks them, show what is parked.

Celery's own commands show what a worker holds. The commands of this file replace them under the same names, by the public
decorator `inspect_command`: what the worker holds comes first, unchanged. What is parked belongs to no worker: of the workers
that are asked together, one shows it.
"""

from __future__ import annotations

from typing import Any, Final

import structlog
from celery.worker import control
from redis.exceptions import RedisError

from marketfetch import connections
from marketfetch.redis_keys import named

from . import parked_view

log = structlog.get_logger("marketfetch.inspect")

#: Which worker shows what is parked, for the time in which the others reply to the same broadcast.
_SHOWS: Final = "mf:shows:"
_SHOWS_MS: Final = 5_000

_celerys_scheduled = control.scheduled
_celerys_reserved = control.reserved
_celerys_query_task = control.query_task


@control.inspect_command(alias="dump_schedule")
def scheduled(state: Any, **options: Any) -> Any:
    """List of currently scheduled ETA/countdown tasks, and the first 1,000 parked ones, each with its expected time."""
    found = [
        {"eta": one.expected, "priority": one.request.priority, "request": one.info()} for one in _parked(state, "scheduled")
    ]
    return [*_celerys_scheduled(state, **options), *found]


@control.inspect_command(alias="dump_reserved")
def reserved(state: Any, **options: Any) -> Any:
    """List of currently reserved tasks, and the first parked ones that wait for quota alone."""
    found = [one.info() for one in _parked(state, "reserved") if one.request.position]
    return [*_celerys_reserved(state, **options), *found]


@control.inspect_command(variadic="ids", signature="[id1 [id2 [... [idN]]]]")
def query_task(state: Any, ids: str | list[str], **options: Any) -> Any:
    """Query for task information by id, parked ones too; also by the id of a request."""
    found = _celerys_query_task(state, ids, **options)
    try:
        for one in [ids] if isinstance(ids, str) else ids:
            if one not in found and (parked := parked_view.find(str(one))):
                found[one] = (parked.request.state, parked.info())
    except RedisError as error:
        log.warning("what is parked is not shown", error=str(error), next_step="ask again when Redis is back")
    return found


def _parked(state: Any, command: str) -> list[parked_view.ParkedTask]:
    """What is parked, in one of the workers; [] in the others, and while Redis is away."""
    try:
        redis = connections.redis()
        key = named(redis, f"{_SHOWS}{command}")
        if redis.set(key, state.hostname, nx=True, px=_SHOWS_MS) or redis.get(key) == state.hostname.encode():
            return parked_view.first()
    except RedisError as error:
        log.warning("what is parked is not shown", error=str(error), next_step="ask again when Redis is back")
    return []
