"""The worker's prefork pool: Celery's, with its faults worked around. Named by the setting `worker_pool`."""

from __future__ import annotations

from celery.concurrency.prefork import TaskPool

from ..hardening.acks_of_dead_children import AcksOfDeadChildren
from ..hardening.child_dies_at_start import ChildDiesAtStart
from ..hardening.child_tracking_after_reconnect import ChildTrackingAfterReconnect
from ..hardening.stop_in_mid_write import WholeMessagesAtTheEnd


class _Children(AcksOfDeadChildren, ChildDiesAtStart, ChildTrackingAfterReconnect, WholeMessagesAtTheEnd):
    """All workarounds in one pool of processes."""


class HardenedPool(TaskPool):  # type: ignore[misc]  # Celery is untyped
    """Celery's prefork pool over the processes above."""

    Pool = _Children
