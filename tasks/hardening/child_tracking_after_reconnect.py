"""After a reconnect Celery watches its children again, also one that has just died: the worker ends.

What fails without it: a dead child that is not replaced yet has no file descriptor left (`_sentinel_poll` is None). Celery
hands the None to kombu's event loop, which raises ValueError, and the worker ends with "Unrecoverable error". Shown on
Celery's own pool by tests/hardening/test_pool.py::test_a_dead_child_is_tracked_again_after_a_reconnect.
Upstream: no upstream issue found.
Delete when: `AsynPool._track_child_process` skips a process whose `_sentinel_poll` is None.
Private API: `_track_child_process`; Celery calls it in a loop of its own, which has no public hook.
"""

from __future__ import annotations

from typing import Any

from celery.concurrency.asynpool import AsynPool


class ChildTrackingAfterReconnect(AsynPool):  # type: ignore[misc]  # Celery is untyped
    """Tracks only children that have a descriptor to watch."""

    def _track_child_process(self, proc: Any, hub: Any) -> None:
        # The pool's own timer replaces a dead child within 5 s.
        if getattr(proc, "_sentinel_poll", proc) is not None:
            super()._track_child_process(proc, hub)
