"""A refused acknowledgement is logged and forgotten: the message occupies one of the prefetch places for good.

What fails without it: Celery's `ack_log_error` logs a connection error and goes on with the same connection. The message stays
among the unacknowledged ones of a worker that lives, so no other gets its place. Shown on kombu's own channel by
tests/hardening/test_refused_writes.py::test_a_refused_acknowledgement_ends_the_connection.
Upstream: no upstream issue found.
Delete when: Celery reconnects after an acknowledgement that failed with a connection error.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kombu.asynchronous import get_event_loop
from kombu.transport.redis import Channel

from marketfetch.ops.writes_refused import WritesRefused


class RefusedAcks(Channel):  # type: ignore[misc]  # kombu is untyped
    """Ends the connection where Redis refuses an acknowledgement; the worker then reconnects."""

    _ended = False

    def basic_ack(self, *args: Any, **options: Any) -> None:
        """As kombu's; a refusal ends the connection."""
        with self._ends_when_refused():
            super().basic_ack(*args, **options)

    def basic_reject(self, *args: Any, **options: Any) -> None:
        """As kombu's; a refusal ends the connection."""
        with self._ends_when_refused():
            super().basic_reject(*args, **options)

    @contextmanager
    def _ends_when_refused(self) -> Iterator[None]:
        try:
            yield
        except WritesRefused as error:
            if (hub := get_event_loop()) and not self._ended:
                self._ended = True
                hub.call_soon(_raise, error)
            raise


def _raise(error: Exception) -> None:
    raise error
