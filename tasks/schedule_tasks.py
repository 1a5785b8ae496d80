"""The task that beat sends each minute: it starts the runs of `[[schedule]]` that are due (marketfetch/jobs/scheduling.py)."""

from __future__ import annotations

from marketfetch.exceptions import MarketfetchError
from marketfetch.jobs.scheduling import run_due

from .app import app

#: Planning and recording a million requests takes minutes.
_TIME_LIMIT_S = 600


@app.task(name="marketfetch.run_schedules", throws=(MarketfetchError,), time_limit=_TIME_LIMIT_S, ignore_result=True)
def run_schedules() -> list[str]:
    """Submits a job for each schedule that is due; returns their ids. The next minute tries again what could not be done."""
    return run_due()
