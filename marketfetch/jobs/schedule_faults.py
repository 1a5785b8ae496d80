"""What `check`, `status` and the list of schedules say of schedules that can't run, and of runs that failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from marketfetch.jobs.lookup import recorded
from marketfetch.phrases import counted
from marketfetch.settings import get_settings

if TYPE_CHECKING:
    from marketfetch.jobs.scheduling import Planned


def faults() -> list[str]:
    """A sentence for each schedule of the settings that can't be run, or whose latest run failed. Raises MarketfetchError."""
    if not get_settings().schedule:
        return []
    from marketfetch.jobs.scheduling import schedules  # all that starts a job, which a list of jobs has no use for

    return of_schedules(schedules())


def of_schedules(found: list[Planned]) -> list[str]:
    """The same of schedules that are known. Raises StoreError."""
    sentences = unrunnable(found)
    latest = {one.latest_job: one.schedule.name for one in found if one.latest_job}
    tallies = recorded().tallies(list(latest)) if latest else {}
    for job, name in latest.items():
        tally = tallies[job]
        if tally.failed and not tally.pending:
            sentences.append(
                f"The latest run of the schedule {name} has {counted(tally.failed, 'failed request')}: "
                f"`marketfetch status {job}` says why."
            )
    return sentences


def unrunnable(found: list[Planned]) -> list[str]:
    """A sentence for each of these schedules that can't be run."""
    return [f"The schedule {one.schedule.name} can't be run: {one.fault}" for one in found if one.fault]
