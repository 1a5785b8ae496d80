"""When its connection is lost, kombu returns the message of a running task to its queue, over the closed connection.

What fails without it: if Redis still responds, the task runs a second time. If it does not, the return or the later
acknowledgement uses a transport without settings: AttributeError ('NoneType' object has no attribute 'client'; 'hostname') is
no connection error, and the worker ends. Shown on kombu's own channel by
tests/hardening/test_lost_connection.py::test_a_running_task_whose_connection_was_lost. The end of a whole worker depends on
the moment; it was seen with these versions, and no test reproduces it.
Upstream: https://github.com/celery/celery/issues/9250 (the same kind of crash over AMQP, open).
Delete when: Celery acknowledges a running task over the connection of that moment, and kombu does not return its message.
Private API: a request's `_on_ack` and `_on_reject`, the only place that knows which connection to use; a connection's
`_default_channel`, as the public `default_channel` opens a new connection. `do_restore` is public.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import structlog
from celery.worker.consumer import Consumer
from celery.worker.state import active_requests, reserved_requests

from marketfetch.addresses import broker

log = structlog.get_logger("marketfetch.worker")


class AckOnLostConnection(Consumer):  # type: ignore[misc]  # Celery is untyped
    """Never acknowledges over a dead connection.

    Nothing is returned to the queue either: the lease owns a call, a granted request that was not started returns at its
    deadline, and a held batch is redelivered. A running task is acknowledged over the connection of that moment: in Redis the
    tag of a message is valid on every connection. Any other broker numbers messages per connection, and redelivers by itself.
    """

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        if broker().redis is None:
            super().on_connection_error_after_connected(exc)
            return
        channel = getattr(self.connection, "_default_channel", None)
        if channel is not None:
            channel.do_restore = False
        for request in {*reserved_requests, *active_requests}:
            end = partial(self._end_message, request.message.delivery_tag)
            request._on_ack = request._on_reject = end  # noqa: SLF001 (see the top of the file)
        super().on_connection_error_after_connected(exc)

    def _end_message(self, tag: str, *_: Any, **__: Any) -> None:
        try:
            if self.connection:
                self.connection.default_channel.basic_ack(tag)
        except self.connection_errors as error:
            # Redelivered after the visibility timeout; `start` then refuses the outdated grant.
            log.info("message not acknowledged", error=str(error), next_step="redelivered in 15 minutes, costs no call")
