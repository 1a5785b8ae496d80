"""The vendors whose queues a worker consumes: it releases calls of these, and of no others.

The remote control commands `add_consumer` and `cancel_consumer` change the set while the worker runs, in the main thread; any
thread may ask. Celery consumes the same set after a reconnect.
"""

from __future__ import annotations

from typing import Any

from marketfetch import vendors


def consumed_vendors(app: Any) -> tuple[str, ...]:
    """The vendors whose fetch queue this process consumes at this moment, in the order of their names."""
    consumed = app.amqp.queues.consume_from
    return tuple(name for name in vendors.names() if f"fetch.{name}" in consumed)
