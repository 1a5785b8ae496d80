"""A child that has just died may have taken its task: what it sent last is read before the task goes to another child.

What fails without it: a child that dies between the pool's look for dead children and its look at their tasks counts as one
that never took its task, although its acknowledgement waits in its pipe. The pool hands the task to the next child, and it
runs twice in one delivery. Shown on Celery's own pool by
tests/hardening/test_pool.py::test_an_acknowledgement_of_a_dead_child_is_read.
Upstream: https://github.com/celery/celery/issues/5120 reports tasks that run twice, closed; celery 5.7.0 still hands them on.
Delete when: `AsynPool.on_partial_read` reads the dead child's pipe before it asks whether the task was accepted.
Private API: `on_partial_read`, which billiard calls for each task of a dead child; there is no public hook.
"""

from __future__ import annotations

from typing import Any

from celery.concurrency.asynpool import AsynPool


class AcksOfDeadChildren(AsynPool):  # type: ignore[misc]  # Celery is untyped
    """Reads what a dead child has sent. An accepted task is then lost with its child, at the pool's next look."""

    def on_partial_read(self, job: Any, proc: Any) -> None:
        if not job._accepted:  # noqa: SLF001 (billiard's job has no public name for it)
            self.process_flush_queues(proc)
        super().on_partial_read(job, proc)
