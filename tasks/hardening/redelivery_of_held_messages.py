"""A message that a living worker holds for longer than the visibility timeout is redelivered, and runs again beside the first.

What fails without it: kombu counts the timeout from the moment of delivery. A task that runs for longer than 15 minutes, or
whose ETA is further away, is returned to its queue while its worker lives, again and again: three tasks with such an ETA ran 15
times. Shown on kombu's own channel by
tests/hardening/test_redelivery.py::test_kombu_returns_what_a_living_worker_holds.
Upstream: https://github.com/celery/kombu/issues/337 (open), https://github.com/celery/celery/issues/5935 (open).
Delete when: kombu extends the timeout of what a consumer still holds.
Private API: a QoS's `_delivered`, the messages that it has delivered and that are not acknowledged.
"""

from __future__ import annotations

import time
from typing import Any

from celery.worker.state import active_requests
from kombu.transport import redis as transport


class RedeliveryOfHeldMessages(transport.QoS):  # type: ignore[misc]  # kombu is untyped
    """Renews, while this worker lives, what it holds; so the timeout counts from the death of a worker.

    A worker whose event loop hangs renews nothing, and its messages are redelivered.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._renewed = time.monotonic()

    def restore_visible(self, *args: Any, **kwargs: Any) -> None:
        """kombu's, which a worker calls every few seconds."""
        if time.monotonic() - self._renewed >= self.visibility_timeout / 4:
            self._renewed = time.monotonic()
            self._renew()
        super().restore_visible(*args, **kwargs)

    def _renew(self) -> None:
        # A task that has outlived its connection is among the running ones, and was delivered by an earlier channel.
        tags = {*self._delivered, *(one.message.delivery_tag for one in tuple(active_requests))}
        if tags:
            now = time.time()
            with self.channel.conn_or_acquire() as client:
                # Only what is listed still: a message that was acknowledged meanwhile stays gone.
                client.zadd(self.unacked_index_key, dict.fromkeys(tags, now), xx=True)
