"""The message of a job's request is not listed in Redis while a worker has it: the gate knows the grant, and ends it.

kombu writes each message that a worker has taken into a list of unacknowledged ones, and removes it at the end: two
transactions per message, so that a dead worker's messages return after the visibility timeout of 15 minutes. A grant has
expired long before, and `start` would refuse the message. A user's task is listed as ever, and so is every other message: what
follows a task, such as its callback, is known to its message alone (0058).
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

from kombu.transport import redis as transport
from kombu.transport import virtual

from ..sending.parking import FETCH_PREFIX, GRANT_HEADER


class GrantsInHand(transport.QoS):  # type: ignore[misc]  # kombu is untyped
    """Keeps the messages of jobs' requests in memory only. One that the worker itself returns goes back to its queue."""

    def append(self, message: Any, delivery_tag: str) -> None:
        """kombu's, which is called for each message that was taken."""
        if _is_of_a_job(message):
            virtual.QoS.append(self, message, delivery_tag)
        else:
            super().append(message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        """kombu's."""
        if self._in_hand(delivery_tag) is not None:
            virtual.QoS.ack(self, delivery_tag)
        else:
            super().ack(delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """kombu's."""
        if self._in_hand(delivery_tag) is None or requeue:
            super().reject(delivery_tag, requeue=requeue)
        else:
            virtual.QoS.ack(self, delivery_tag)

    def restore_by_tag(self, tag: Any, client: Any = None, leftmost: bool = False) -> None:
        """kombu's, which is also called for the messages in hand when the worker stops."""
        message = self._in_hand(tag)
        if message is None:
            super().restore_by_tag(tag, client, leftmost)
            return
        delivery = message.delivery_info
        with nullcontext(client) if client else self.channel.conn_or_acquire() as connected:
            self.channel._do_restore_message(  # noqa: SLF001
                message._raw,  # noqa: SLF001
                delivery["exchange"],
                delivery["routing_key"],
                connected,
                leftmost,
            )

    def _in_hand(self, tag: Any) -> Any:
        message = self._delivered.get(tag) if isinstance(tag, str) else None
        return message if message is not None and _is_of_a_job(message) else None


def _is_of_a_job(message: Any) -> bool:
    headers = message.headers
    grant = headers.get(GRANT_HEADER)
    if not isinstance(grant, dict) or not str(headers.get("task")).startswith(FETCH_PREFIX):
        return False
    of_job = not grant.keys() & {"user", "job"}
    return of_job and isinstance(grant.get("id"), str) and isinstance(grant.get("fence"), int)
