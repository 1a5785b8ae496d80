"""A worker that survives what Celery 5.7 does not: a child's death at the start, or when the connection is lost, or a
running call then.

Each ended the whole worker with "Unrecoverable error", though nothing of ours was wrong. celeryconfig.py names the two classes.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import structlog
from celery.concurrency.asynpool import AsynPool
from celery.concurrency.prefork import TaskPool
from celery.worker.consumer import Consumer
from celery.worker.state import active_requests, reserved_requests

log = structlog.get_logger("marketfetch.worker")


class TrackingPool(AsynPool):  # type: ignore[misc]  # Celery is untyped
    """Does not track again, after a reconnect, a child whose death has been noticed and that is not yet replaced.

    Its descriptor is None then; kombu 5.7 answers that with a ValueError, for which Celery 5.7 is not prepared.
    """

    def _track_child_process(self, proc: Any, hub: Any) -> None:
        # Nothing to watch any more: the pool's own timer puts another child in its place within 5 s.
        if getattr(proc, "_sentinel_poll", proc) is not None:
            super()._track_child_process(proc, hub)

    def did_start_ok(self) -> bool:
        """A child that dies while the worker starts is replaced, as later ones are. All dead: no child can live here."""
        # Asking takes the dead out of the pool.
        return bool(super().did_start_ok()) or bool(self._pool)


class SurvivingPool(TaskPool):  # type: ignore[misc]  # Celery is untyped
    """Celery's prefork pool, with children tracked as above."""

    Pool = TrackingPool


class SurvivingConsumer(Consumer):  # type: ignore[misc]  # Celery is untyped
    """Nothing that began on a lost connection is ended over it: kombu stumbles over its own closed transport there.

    Messages are not given back by it: the lease owns a call, a request that was granted and not started goes back by its
    deadline, and a held batch is offered again. What runs meanwhile is acknowledged over the connection of that moment; in
    Redis a message's tag holds on every connection.
    """

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        # Not `default_channel`: reading that would open a new connection.
        channel = getattr(self.connection, "_default_channel", None)
        if channel is not None:
            channel.do_restore = False
        for request in {*reserved_requests, *active_requests}:
            end = partial(self._end_message, request.message.delivery_tag)
            request._on_ack = request._on_reject = end  # noqa: SLF001 (Celery has no other way to say so)
        super().on_connection_error_after_connected(exc)

    def _end_message(self, tag: str, *_: Any, **__: Any) -> None:
        try:
            if self.connection:
                self.connection.default_channel.basic_ack(tag)
        except self.connection_errors as error:
            # It comes again after the visibility timeout, and `start` says that it is nobody's.
            log.info("message not acknowledged", error=str(error), next_step="comes again in 15 minutes, costs no call")
