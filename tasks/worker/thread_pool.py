"""The worker's pool of threads: Celery's, with its faults worked around. `-P threads` means this one."""

from __future__ import annotations

from ..hardening.exit_in_a_thread import ExitInAThread
from ..hardening.tasks_without_an_end import ThreadsWithoutAnEnd


class HardenedThreads(ExitInAThread, ThreadsWithoutAnEnd):
    """All workarounds in one pool of threads."""
