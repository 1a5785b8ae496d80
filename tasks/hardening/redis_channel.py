"""kombu's Redis, for a worker: a write that is refused is a lost connection, and a broadcast that nobody can read is skipped.

To kombu a refusal (maxmemory, a full disk, a failover) is the answer to a wrong command, and to Celery an error that ends the
worker. And what comes by pub/sub is read by every worker at the same moment, so one wrong message would end them all.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Final

import structlog
from kombu.asynchronous import get_event_loop
from kombu.exceptions import OperationalError
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import loads
from redis import Redis
from redis.exceptions import RedisError

from marketfetch.ops.redis_writes import WritesRefused

from . import envelopes
from .redis_client import AttentiveRedis

log = structlog.get_logger("marketfetch.broker")

#: Redis being away is no message's fault. Kombu's own list would not do: it has KeyError in it.
AWAY: Final = (RedisError, OperationalError, OSError)


def attend(transport: Any) -> None:
    """The channels of this transport of kombu's, from now on, are a worker's. Does nothing to a broker that is no Redis."""
    if transport.driver_type == "redis":
        transport.Channel = _attentive(type(transport).Channel)


@lru_cache(maxsize=4)
def _attentive(channel: Any) -> Any:
    return type("AttentiveChannel", (_Attentive, channel), {})


class _Attentive:
    """What a worker's channel does in another way than kombu's."""

    Message: Any
    _over = False

    def _get_client(self) -> Any:
        found = super()._get_client()  # type: ignore[misc]
        return AttentiveRedis if found is Redis else found

    def basic_ack(self, *args: Any, **options: Any) -> None:
        """As kombu's; where Redis refuses it, the connection is over."""
        with self._over_when_refused():
            super().basic_ack(*args, **options)  # type: ignore[misc]

    def basic_reject(self, *args: Any, **options: Any) -> None:
        """As kombu's; where Redis refuses it, the connection is over."""
        with self._over_when_refused():
            super().basic_reject(*args, **options)  # type: ignore[misc]

    @contextmanager
    def _over_when_refused(self) -> Iterator[None]:
        """Celery logs the error and goes on; the message would take a place among those that may be out for ever."""
        try:
            yield
        except WritesRefused as error:
            if (hub := get_event_loop()) and not self._over:
                self._over = True
                hub.call_soon(_raise, error)
            raise

    def _handle_message(self, client: Any, answer: Any) -> dict[str, Any]:
        """What comes by pub/sub: without its data where that is no JSON, which kombu then passes over."""
        payload: dict[str, Any] = super()._handle_message(client, answer)  # type: ignore[misc]
        if bytes_to_str(payload["type"]).endswith("message") and payload["data"]:
            try:
                loads(bytes_to_str(payload["data"]))
            except Exception as error:  # whatever a parser may raise: RecursionError, kombu's own types
                _skipped(payload["channel"].decode(errors="replace"), f"it is no JSON: {type(error).__name__}: {error}")
                payload["data"] = None
        return payload

    def _deliver_fanout_message(self, message: Any, exchange: str) -> bool:
        try:
            held = self.Message(message, channel=self)
            if why := envelopes.undecodable(held):
                _skipped(exchange, why)
            elif exchange.endswith("pidbox") and not isinstance(held.decode(), dict):
                _skipped(exchange, "its body is no object, so it names no control command")
            else:
                super()._deliver_fanout_message(message, exchange)  # type: ignore[misc]
        except AWAY:
            raise
        except Exception as error:  # what nobody has thought of must not end all workers either
            _skipped(exchange, f"{type(error).__name__}: {error}")
        return True


def _raise(error: Exception) -> None:
    raise error


def _skipped(channel: str, why: str) -> None:
    log.warning("broadcast can't be read", channel=channel, reason=why[:200], next_step="skipped; see who publishes there")
