"""Celery's revoke reaches only messages that a worker has received; a parked task has none yet.

What fails without it: an app that revokes without our code (it knows the task's id and a broker) sends the remote control
command `revoke`. Celery's command remembers the id in each worker's memory; the task stays in the lane, costs a call, and its
chord waits. Shown with Celery's own command by
tests/hardening/test_revoke.py::test_celerys_command_leaves_a_parked_task_in_the_lane.
Upstream: no upstream issue found; Celery has no notion of a message that is not published.
Delete when: a revoke fires a signal in the worker that carries the ids.
The command replaces Celery's under the same name, by the public decorator `control_command`.
"""

from __future__ import annotations

from typing import Any

import structlog
from celery.worker import control

from ..sending.revoke import withdraw

log = structlog.get_logger("marketfetch.revoke")

_celerys_revoke = control.revoke


@control.control_command(
    variadic="task_id",
    signature="[id1 [id2 [... [idN]]]]",
)
def revoke(state: Any, task_id: str | list[str], terminate: bool = False, signal: Any = None, **options: Any) -> Any:
    """Revoke task by task id (or list of ids), parked ones too."""
    for one in [task_id] if isinstance(task_id, str) else task_id:
        if withdraw(state.app, one):
            log.info("parked task revoked", task_id=one)
    return _celerys_revoke(state, task_id, terminate=terminate, signal=signal, **options)
