"""The worker's consumer: Celery's, with its faults worked around. Named by the setting `worker_consumer`."""

from __future__ import annotations

from typing import Any

from ..hardening.ack_on_lost_connection import AckOnLostConnection
from ..hardening.refused_writes_lose_messages import RefusedWritesLoseMessages
from ..hardening.unusable_messages import UnusableMessages
from .redis_transport import HardenedTransport


class HardenedConsumer(RefusedWritesLoseMessages, UnusableMessages, AckOnLostConnection):
    """Celery's consumer with the workarounds above, over the hardened transport where the broker is Redis.

    The transport is named per connection and not by the setting `broker_transport`: that one would also replace the transport
    of every sender, whose errors Celery handles well, and make kombu forget the defaults of `rediss://`.
    """

    def ensure_connected(self, conn: Any) -> Any:
        if conn.transport_cls in ("redis", "rediss"):
            # The second line keeps the scheme in log lines that name the broker.
            conn.resolve_aliases = {**conn.resolve_aliases, HardenedTransport: conn.transport_cls}
            conn.transport_cls = HardenedTransport
        return super().ensure_connected(conn)
