"""Market data at the full rate that your API keys allow, and not one call more.

    import marketfetch

    job = marketfetch.submit(VENDOR, ["AAPL", "MSFT"], start=date(2020, 1, 1), end=date(2024, 12, 31))
    marketfetch.status(job.job_id).requests.stored
    marketfetch.wait(job.job_id)
    marketfetch.bars(["AAPL", "MSFT"])  # a frame of polars

VENDOR is the name of an installed vendor; `marketfetch check` lists them. `AsyncMarketfetch` has the same functions for async
apps. Every name below is loaded at first use: importing this package loads no Celery, no vendor, no numpy and no polars. `app`
is the Celery app, so that `celery -A marketfetch worker|beat|flower` works in any folder; it never becomes a process's current
app.

Every function raises MarketfetchError (marketfetch/exceptions.py draws the tree): an app returns 404 for UnknownJob,
422 for BadRequestError and 503 for UnavailableError. Settings come from MARKETFETCH_ variables and marketfetch.toml.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

#: Where each public name stands.
_PUBLIC = {
    "async_marketfetch": ("AsyncMarketfetch",),
    "exceptions": ("MarketfetchError", "UnknownJob", "BadRequestError", "UnavailableError"),
    "frames.bar_frames": ("bars",),
    "frames.record_frames": ("records",),
    "jobs.forecast": ("Forecast", "plan"),
    "jobs.job_list": ("list_jobs",),
    "jobs.job_status": ("status",),
    "jobs.job_values": ("Counts", "Failure", "JobStatus", "JobSummary", "NextCall"),
    "jobs.steering": ("cancel", "resume", "retry", "wait"),
    "jobs.submission": ("submit", "Submitted"),
    "jobs.updating": ("update",),
}
_MODULE_OF = {name: module for module, names in _PUBLIC.items() for name in names}

__all__ = [
    "AsyncMarketfetch",
    "BadRequestError",
    "Counts",
    "Failure",
    "Forecast",
    "JobStatus",
    "JobSummary",
    "MarketfetchError",
    "NextCall",
    "Submitted",
    "UnavailableError",
    "UnknownJob",
    "bars",
    "cancel",
    "list_jobs",
    "plan",
    "records",
    "resume",
    "retry",
    "status",
    "submit",
    "update",
    "wait",
]

if TYPE_CHECKING:
    from marketfetch.async_marketfetch import AsyncMarketfetch as AsyncMarketfetch
    from marketfetch.exceptions import BadRequestError as BadRequestError
    from marketfetch.exceptions import MarketfetchError as MarketfetchError
    from marketfetch.exceptions import UnavailableError as UnavailableError
    from marketfetch.exceptions import UnknownJob as UnknownJob
    from marketfetch.frames.bar_frames import bars as bars
    from marketfetch.frames.record_frames import records as records
    from marketfetch.jobs.forecast import Forecast as Forecast
    from marketfetch.jobs.forecast import plan as plan
    from marketfetch.jobs.job_list import list_jobs as list_jobs
    from marketfetch.jobs.job_status import status as status
    from marketfetch.jobs.job_values import Counts as Counts
    from marketfetch.jobs.job_values import Failure as Failure
    from marketfetch.jobs.job_values import JobStatus as JobStatus
    from marketfetch.jobs.job_values import JobSummary as JobSummary
    from marketfetch.jobs.job_values import NextCall as NextCall
    from marketfetch.jobs.steering import cancel as cancel
    from marketfetch.jobs.steering import resume as resume
    from marketfetch.jobs.steering import retry as retry
    from marketfetch.jobs.steering import wait as wait
    from marketfetch.jobs.submission import Submitted as Submitted
    from marketfetch.jobs.submission import submit as submit
    from marketfetch.jobs.updating import update as update
else:

    def __getattr__(name: str) -> object:
        if name in _MODULE_OF:
            value = getattr(importlib.import_module(f"marketfetch.{_MODULE_OF[name]}"), name)
        elif name == "app":
            value = importlib.import_module("marketfetch.tasks").app
        else:
            raise AttributeError(f"module 'marketfetch' has no attribute {name!r}")
        globals()[name] = value  # from here on it is found before this function is asked
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
