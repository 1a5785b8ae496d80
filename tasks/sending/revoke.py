"""Revoke reaches what is parked: it leaves the lane, is marked REVOKED, and its chords and link_errors are told.

Celery's own revoke only reaches messages that a worker receives; a parked task has none yet. The sender's side works with no
worker up; the worker's command serves apps that revoke without our code.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import structlog
from celery.app.control import Control
from celery.app.task import Context
from celery.worker import control
from kombu.utils.json import loads

from marketfetch import connections, vendors

from .parking import USER_TASK

log = structlog.get_logger("marketfetch.revoke")


class ParkingControl(Control):  # type: ignore[misc]  # Celery is untyped
    """Celery's remote control, whose revoke withdraws parked tasks itself before it tells the workers."""

    def revoke(self, task_id: str | Iterable[str], *args: Any, **options: Any) -> Any:
        """As Celery's: one id or several. Raises what a Redis that is away raises."""
        for one in [task_id] if isinstance(task_id, str) else list(task_id):
            withdraw(self.app, one)
        return super().revoke(task_id, *args, **options)


def withdraw(app: Any, task_id: str) -> bool:
    """Takes a parked task out of the lane. False if it is not parked: then Celery's own revoke is all there is."""
    for provider in vendors.names():
        gate = connections.gate(provider)
        request_id = gate.request_of(task_id)
        if request_id is None:
            continue
        (left,) = gate.withdraw([request_id], who=f"{USER_TASK}{task_id}")
        if left.what in ("gone", "left"):
            mark_revoked(app, loads(left.message), reason="revoked")
            gate.settle(f"{USER_TASK}{task_id}")
            return True
    return False


def mark_revoked(app: Any, message: dict[str, Any], *, reason: str) -> None:
    """REVOKED for everyone who asks, its chord and errbacks told: both are in the message as it was sent."""
    embed = message["body"][2]
    request = Context({**message["headers"], **{name: embed.get(name) for name in ("chord", "errbacks", "chain")}})
    app.backend.mark_as_revoked(message["headers"]["id"], reason=reason, request=request, store_result=True)


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
