"""Sends a dead letter to its queue again, through a broker that is no Redis."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from typing import Any, Final

from kombu.utils.json import dumps

from ..app import app

#: The properties of a message that a task needs; the others are the transport's own.
_KEPT: Final = ("correlation_id", "reply_to", "priority")


def envelope(message: Any) -> bytes:
    """A message as it is kept: kombu's own envelope where its transport has one, else the same made of its parts."""
    if hasattr(message, "_raw"):
        return str(dumps(message._raw)).encode()  # noqa: SLF001 (kombu keeps the envelope there, and nowhere else)
    body = message.body if isinstance(message.body, bytes) else str(message.body or "").encode()
    parts = {
        "body": b64encode(body).decode(),
        "content-type": message.content_type,
        "content-encoding": message.content_encoding,
        "headers": message.headers,
        "properties": {name: one for name, one in message.properties.items() if name in _KEPT} | {"body_encoding": "base64"},
    }
    return str(dumps(parts)).encode()


def send_again(queue: str, raw: bytes) -> None:
    """Publishes what `envelope` kept. Raises ValueError where it is no envelope, and kombu's errors of the broker."""
    try:
        kept = json.loads(raw)
        properties = kept["properties"]
        body = b64decode(kept["body"]) if properties.get("body_encoding") == "base64" else kept["body"]
        headers, content_type, encoding = kept["headers"], kept["content-type"], kept["content-encoding"]
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"it is no message of kombu's: {error!r}") from error
    with app.connection_for_write() as connection, connection._reraise_as_library_errors():  # noqa: SLF001 (as Celery's sender)
        connection.ensure_connection(max_retries=1, timeout=5)
        connection.Producer().publish(
            body,
            exchange="",
            routing_key=queue,
            headers=headers,
            content_type=content_type,
            content_encoding=encoding,
            declare=[app.amqp.queues[queue]],
            **{name: properties[name] for name in _KEPT if properties.get(name) is not None},
        )
