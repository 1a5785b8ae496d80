"""The worker's consumer: Celery's, with its faults worked around. Named by the setting `worker_consumer`."""

from __future__ import annotations

from typing import Any

from ..hardening.ack_on_lost_connection import AckOnLostConnection
from ..hardening.endless_redelivery import EndlessRedelivery
from ..hardening.messages_of_other_apps import MessagesOfOtherApps
from ..hardening.refused_writes_lose_messages import RefusedWritesLoseMessages
from ..hardening.unusable_messages import UnusableMessages
from .redis_transport import harden


class HardenedConsumer(
    RefusedWritesLoseMessages, MessagesOfOtherApps, UnusableMessages, EndlessRedelivery, AckOnLostConnection
):
    """Celery's consumer with the workarounds above, over the hardened transport where the broker is Redis."""

    def ensure_connected(self, conn: Any) -> Any:
        harden(conn)
        return super().ensure_connected(conn)
