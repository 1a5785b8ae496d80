"""Schedules: `[[schedule]]` of the settings, and the runs that are due. Beat sends a task each minute, and it asks here.

A run is a job whose id is derived from the schedule's name and the moment at which it was due: two beats, or a message that
comes twice, make one job. Only the latest due moment counts, so of the runs that were missed one is caught up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from marketfetch import connections, redis_errors
from marketfetch.exceptions import BadRequestError, MarketfetchError, UnavailableError, UnknownName
from marketfetch.jobs.submission import Submitted, database, id_for
from marketfetch.jobs.universe_wishes import symbols_to_ask
from marketfetch.jobs.updating import calendars_of, check_update, update, update_for
from marketfetch.lazy_logger import logger
from marketfetch.ops import redis_writes
from marketfetch.ops.universes import resolved
from marketfetch.redis_keys import named
from marketfetch.sections import Schedule
from marketfetch.settings import Settings, reread
from marketfetch.storage.store import StoreError
from marketfetch.suggestions import did_you_mean
from marketfetch.vendors.schedule_times import read_when
from marketfetch.vendors.times import unix_ms
from marketfetch.vendors.trading_days import EVERY_DAY

if TYPE_CHECKING:
    from redis import Redis

T = TypeVar("T")

log = logger("marketfetch.schedules")

#: A hash in Redis: the name of each paused schedule, and since when (Unix ms).
_PAUSED: Final = "mf:schedules:paused"


@dataclass(frozen=True, slots=True)
class Planned:
    """A schedule, when it is due next and was due last (Unix ms; None: in no eight years), and since when it is paused.

    `last_job` is the job of the latest due moment, "" if that has not been run. `latest_job` is that of its latest run, by hand
    or when it was due, and `latest_ms` when it was submitted. `fault` says why it can't be run, "" if it can.
    """

    schedule: Schedule
    next_ms: int | None
    due_ms: int | None
    last_job: str
    paused_ms: int | None
    fault: str = ""
    latest_job: str = ""
    latest_ms: int | None = None


def schedules(*, at_ms: int | None = None) -> list[Planned]:
    """The schedules of the settings as they are now, in their order. Raises MarketfetchError."""
    found, paused = reread(), _paused()
    return [_or_fault(found, one, _now_ms() if at_ms is None else at_ms, paused) for one in found.schedule]


def run_due(*, at_ms: int | None = None) -> list[str]:
    """Submits a job for each schedule that is due at `at_ms` (Unix ms; None: now); returns their ids.

    A schedule that is paused, or whose earlier run still goes, waits; one that can't be run costs the others nothing, and the
    log says why. Raises SettingsError, UnavailableError.
    """
    at_ms, settings, paused = _now_ms() if at_ms is None else at_ms, reread(), _paused()
    started = []
    for one in settings.schedule:
        try:
            planned = _planned(settings, one, at_ms, paused)
            if planned.due_ms is None or planned.last_job or planned.paused_ms is not None or _goes_on(one.name):
                continue
            started.append(_run(settings, one, task_id=_task_id(one.name, planned.due_ms)))
        except UnavailableError:
            raise
        except MarketfetchError as error:
            log.warning("schedule", name=one.name, error=str(error))
    return started


def run_now(name: str) -> Submitted:
    """Submits a run of a schedule, whether it is due or paused. Raises BadRequestError, UnavailableError."""
    settings = reread()
    one = _named(settings, name)
    return update(one.provider, _to_ask(settings, one), tags=_tags(one), **_wish(one))


def pause(name: str) -> None:
    """No run of it is started until `resume`. Raises BadRequestError, UnavailableError."""
    _named(reread(), name)
    _in_redis(lambda redis: redis.hset(named(redis, _PAUSED), name, _now_ms()))


def resume(name: str) -> None:
    """Its runs are started again, the one that was due last at once. Raises BadRequestError, UnavailableError."""
    _named(reread(), name)
    _in_redis(lambda redis: redis.hdel(named(redis, _PAUSED), name))


def _planned(settings: Settings, one: Schedule, at_ms: int, paused: dict[str, int]) -> Planned:
    when, calendar = read_when(one.when), one.calendar or _calendar(settings, one)
    due_ms = when.latest(at_ms, calendar=calendar, zone=one.zone)
    job_id = "" if due_ms is None else id_for(_task_id(one.name, due_ms))
    try:
        known = bool(job_id) and database().job(job_id) is not None
    except StoreError as error:
        raise UnavailableError(f"The schedules' jobs can't be read: {error}.") from error
    next_ms = when.next(at_ms, calendar=calendar, zone=one.zone)
    return Planned(one, next_ms, due_ms, job_id if known else "", paused.get(one.name))


def _or_fault(settings: Settings, one: Schedule, at_ms: int, paused: dict[str, int]) -> Planned:
    """With its latest run, and with what its next one would be refused for."""
    try:
        found = _planned(settings, one, at_ms, paused)
    except BadRequestError as error:
        found = Planned(one, None, None, "", paused.get(one.name), str(error))
    try:
        latest = next(iter(database().latest_jobs(limit=1, tag=_tags(one)[0])), None)
    except StoreError as error:
        raise UnavailableError(f"The schedules' jobs can't be read: {error}.") from error
    if latest:
        found = replace(found, latest_job=latest.id, latest_ms=latest.created_at_ms)
    return found if found.fault else replace(found, fault=_refusal(settings, one))


def _refusal(settings: Settings, one: Schedule) -> str:
    """Why a run of it would be refused now, as a sentence; "" if it would not. Nothing is submitted."""
    try:
        check_update(
            one.provider, _to_ask(settings, one), **{name: wish for name, wish in _wish(one).items() if name != "name"}
        )
    except BadRequestError as error:
        return str(error)
    return ""


def _calendar(settings: Settings, one: Schedule) -> str:
    """The calendar of its first symbol; of none that is known here, every day."""
    found = calendars_of(one.provider, _symbols(settings, one)[:1], timespan=one.timespan, dataset=one.dataset)
    return next((finality.calendar for finality in found), EVERY_DAY)


def _symbols(settings: Settings, one: Schedule) -> Sequence[str]:
    found = resolved(one.words, known=settings.universes)
    for note in found.notes:
        _noted(one.name, note)
    return found.symbols


def _to_ask(settings: Settings, one: Schedule) -> Sequence[str]:
    wish = {"timespan": one.timespan, "dataset": one.dataset, "adjustment": one.adjustment}
    return symbols_to_ask(one.provider, one.words, known=settings.universes, told=partial(_noted, one.name), **wish)


@lru_cache(maxsize=1_024)
def _noted(name: str, note: str) -> None:
    """Logs what can't be used of a schedule's universe, once in a process: the schedules are looked at each minute."""
    log.warning("universe", schedule=name, note=note)


def _run(settings: Settings, one: Schedule, *, task_id: str) -> str:
    return update_for(task_id, one.provider, _to_ask(settings, one), tags=_tags(one), **_wish(one))


def _wish(one: Schedule) -> dict[str, Any]:
    return {
        "last": one.last,
        "timespan": one.timespan,
        "dataset": one.dataset,
        "adjustment": one.adjustment,
        "priority": one.priority,
        "by_symbol": one.by_symbol,
        "name": one.name,
    }


def _tags(one: Schedule) -> list[str]:
    return [f"schedule:{one.name}"]


def _task_id(name: str, due_ms: int) -> str:
    return f"schedule:{name}:{datetime.fromtimestamp(due_ms / 1000, UTC):%Y-%m-%dT%H:%MZ}"


def _goes_on(name: str) -> bool:
    """True while an earlier run has requests that are not over."""
    try:
        return bool(database().running_jobs(tag=f"schedule:{name}"))
    except StoreError as error:
        raise UnavailableError(f"The schedules' jobs can't be read: {error}.") from error


def _named(settings: Settings, name: str) -> Schedule:
    found = next((one for one in settings.schedule if one.name == name), None)
    if found is None:
        known = [one.name for one in settings.schedule]
        meant = did_you_mean(name, known)
        there_are = f"There are {', '.join(known)}." if known else "Add a [[schedule]] to marketfetch.toml: it has none."
        raise UnknownName(f"There is no schedule {name[:64]!r}. {meant}{' ' if meant else ''}{there_are}")
    return found


def _paused() -> dict[str, int]:
    found = _in_redis(lambda redis: redis.hgetall(named(redis, _PAUSED)), lost=": what is paused is not known")
    return {name.decode() if isinstance(name, bytes) else name: int(value) for name, value in found.items()}


def _in_redis(ask: Callable[[Redis], T], *, lost: str = ": nothing was changed") -> T:
    """What `ask` returns. Raises UnavailableError, which says what was `lost`."""
    try:
        return ask(connections.redis())
    except redis_errors.RedisError as error:
        raise UnavailableError(redis_writes.told(error, lost)) from error


def _now_ms() -> int:
    """Unix ms. Tests replace it."""
    return unix_ms(datetime.now(UTC))
