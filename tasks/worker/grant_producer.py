"""The releaser's producer, over a Redis or over a broker apart from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final, Protocol

from kombu.exceptions import BatchPublishError, OperationalError

from marketfetch.addresses import broker

from ..sending.messages import FetchMessage

_TIMEOUT_S: Final = 5.0
#: So many messages go out in one round trip: more would let the first ones wait while the others are built.
_TOGETHER: Final = 8


class BrokerAway(Exception):
    """A broker that is no Redis does not take messages now. Its cause is the transport's own error."""


class Publishes(Protocol):
    """What the releaser needs of a producer."""

    def publish(self, message: FetchMessage, *, queue: str) -> None: ...

    def together(self) -> AbstractContextManager[None]: ...


class GrantProducer:
    """Publishes fetch messages. Raises BrokerAway; what Redis raises where the messages are its lists."""

    def __init__(self, app: Any, connection: Any, providers: Sequence[str]) -> None:
        """A broker that is no Redis must respond before anything is granted, and needs its queues declared: RabbitMQ drops a
        message to a queue that no worker has declared yet.
        """
        self._producer = connection.Producer(serializer="json")
        #: What kombu raises while the broker is away; empty for Redis, whose errors are the gate's too.
        self._away: tuple[type[BaseException], ...] = ()
        if broker().redis is None:
            self._away = (OperationalError, OSError, *connection.connection_errors, *connection.channel_errors)
            with self._may_be_away():
                connection.ensure_connection(max_retries=1, timeout=_TIMEOUT_S)
                for provider in providers:
                    app.amqp.queues[f"fetch.{provider}"](connection.default_channel).declare()

    def publish(self, message: FetchMessage, *, queue: str) -> None:
        with self._may_be_away():
            self._producer.publish(message.body, exchange="", routing_key=queue, headers=message.headers, **message.properties)

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is published in this block goes out together, at its end at the latest; to RabbitMQ one by one.

        After an error some may have gone out: the grants of all the others return at their deadline.
        """
        try:
            with self._may_be_away(), self._producer.batch(max_size=_TOGETHER):
                yield
        except BatchPublishError as error:
            raise error.__cause__ or error from None

    @contextmanager
    def _may_be_away(self) -> Iterator[None]:
        try:
            yield
        except self._away as error:
            raise BrokerAway(str(error) or type(error).__name__) from error
