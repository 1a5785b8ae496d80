"""The documents of schedules: what each asks for, when it is due, and its latest run."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from typing_extensions import TypedDict

if TYPE_CHECKING:
    from marketfetch.jobs.scheduling import Planned


class ScheduledJob(TypedDict):
    """A schedule as the settings have it, with `next` and `due` (ISO 8601), the job of its latest run, and since when it is
    paused. `fault`: why it can't be run."""

    name: str
    provider: str
    universe: str
    symbols: list[str]
    dataset: str
    timespan: str
    adjustment: str | None
    when: str
    calendar: str
    zone: str
    last: str
    priority: int
    by_symbol: bool
    next: str | None
    due: str | None
    last_job: str | None
    paused_since: str | None
    fault: str | None


class Schedules(TypedDict):
    """The schedules of the settings."""

    schedules: list[ScheduledJob]


def schedules_document(found: Sequence[Planned]) -> Schedules:
    return {"schedules": [_schedule(one) for one in found]}


def _schedule(one: Planned) -> ScheduledJob:
    return {
        **one.schedule.model_dump(),  # type: ignore[typeddict-item]
        "next": _iso(one.next_ms),
        "due": _iso(one.due_ms),
        "last_job": one.latest_job or None,
        "paused_since": _iso(one.paused_ms),
        "fault": one.fault or None,
    }


def _iso(at_ms: int | None) -> str | None:
    return None if at_ms is None else datetime.fromtimestamp(at_ms / 1000, UTC).isoformat()
