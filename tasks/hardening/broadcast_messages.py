"""One broadcast that cannot be read ends every worker at the same moment.

What fails without it: pub/sub messages (remote control, gossip) reach all workers at once, and kombu catches only text that is
no JSON. An envelope without properties, JSON nested too deeply, or a control command that is no object raises through the
event loop: "Unrecoverable error" in each worker. Shown on kombu's own channel by
tests/hardening/test_broadcasts.py::test_a_broadcast_that_cannot_be_read.
Upstream: no upstream issue found for broadcasts (https://github.com/celery/celery/issues/7975 is the same for queues, open).
Delete when: kombu catches every error of `_deliver_fanout_message`, and Celery's pidbox ignores a body that is no object.
Private API: `_handle_message` and `_deliver_fanout_message`; kombu offers nothing between pub/sub and the event loop.
"""

from __future__ import annotations

from typing import Any

import structlog
from kombu.transport.redis import Channel
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import loads

from .unreadable_messages import is_of_redis
from .unusable_messages import undecodable

log = structlog.get_logger("marketfetch.broker")


class BroadcastMessages(Channel):  # type: ignore[misc]  # kombu is untyped
    """Skips a broadcast that cannot be read, with one warning in the log."""

    def _handle_message(self, client: Any, r: Any) -> dict[str, Any]:
        """The message, without its data where that is no JSON: kombu then passes over it."""
        payload: dict[str, Any] = super()._handle_message(client, r)
        if bytes_to_str(payload["type"]).endswith("message") and payload["data"]:
            try:
                loads(bytes_to_str(payload["data"]))
            except Exception as error:  # whatever a parser raises: RecursionError, kombu's own types
                _skipped(payload["channel"].decode(errors="replace"), f"it is no JSON: {type(error).__name__}: {error}")
                payload["data"] = None
        return payload

    def _deliver_fanout_message(self, message: Any, exchange: str) -> bool:
        try:
            held = self.Message(message, channel=self)
            if why := undecodable(held):
                _skipped(exchange, why)
            elif exchange.endswith("pidbox") and not isinstance(held.decode(), dict):
                _skipped(exchange, "its body is no object, so it names no control command")
            else:
                super()._deliver_fanout_message(message, exchange)
        except Exception as error:
            if is_of_redis(error):
                raise
            _skipped(exchange, f"{type(error).__name__}: {error}")
        return True


def _skipped(channel: str, why: str) -> None:
    log.warning("broadcast can't be read", channel=channel, reason=why[:200], next_step="skipped; see who publishes there")
