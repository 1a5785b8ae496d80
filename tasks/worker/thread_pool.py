"""The worker's pool of threads: Celery's, with its faults worked around. `-P threads` means this one."""

from __future__ import annotations

from ..hardening.results_of_threads import ResultsOfThreads
from ..hardening.tasks_without_an_end import ThreadsWithoutAnEnd


class HardenedThreads(ResultsOfThreads, ThreadsWithoutAnEnd):
    """All workarounds in one pool of threads."""
