"""A worker redelivers the messages of every app in its Redis database, after its own timeout.

What fails without it: all apps of a database list unacknowledged messages under one key. A worker whose `visibility_timeout`
is 15 minutes returns what another app's worker has had for longer: its task of an hour, or with an ETA in an hour, runs again
every 15 minutes, although that app has set a timeout of a day. Shown on kombu's own channel by
tests/hardening/test_redelivery.py::test_kombu_returns_messages_of_other_apps.
Upstream: no upstream issue found.
Delete when: kombu keeps unacknowledged messages apart by app, or by the queue that they came from.
Private API: a channel's `_active_queues`, the queues that it consumes.
"""

from __future__ import annotations

from typing import Any, Final

from kombu.exceptions import InconsistencyError
from kombu.transport import redis as transport
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import loads

#: Messages of others; all are forgotten when there are more.
_MOST_REMEMBERED: Final = 50_000


class RedeliveryForOtherApps(transport.QoS):  # type: ignore[misc]  # kombu is untyped
    """Returns overdue messages to the queues that this worker consumes, and to no others."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        #: The queues of messages that are others', so that a sweep asks Redis once for each.
        self._others: dict[str, frozenset[str]] = {}

    def restore_by_tag(self, tag: Any, client: Any = None, leftmost: bool = False) -> None:
        """kombu's, which is also called for a message that this worker itself returns."""
        name = bytes_to_str(tag)
        if name not in self._delivered and self._is_of_others(name, client):
            return
        super().restore_by_tag(tag, client, leftmost)

    def _is_of_others(self, tag: str, client: Any) -> bool:
        queues = self._others.get(tag)
        if queues is None:
            with self.channel.conn_or_acquire(client) as connected:
                listed = connected.hget(self.unacked_key, tag)
            if not listed:
                return False  # acknowledged meanwhile: kombu removes its entry in the index
            queues = self._queues_of(*loads(bytes_to_str(listed))[1:])
        # Compared each time: the first sweep comes before the worker consumes any queue.
        if queues & {*self.channel._active_queues}:  # noqa: SLF001
            self._others.pop(tag, None)
            return False
        if len(self._others) >= _MOST_REMEMBERED:
            self._others.clear()
        self._others[tag] = queues
        return True

    def _queues_of(self, exchange: str, routing_key: str) -> frozenset[str]:
        if not exchange:
            return frozenset({routing_key})
        try:
            return frozenset(self.channel._lookup(exchange, routing_key))  # noqa: SLF001
        except InconsistencyError:  # an exchange that no queue is bound to any more
            return frozenset({routing_key})
