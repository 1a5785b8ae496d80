"""The worker's consumer: Celery's, with its faults worked around. Named by the setting `worker_consumer`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from marketfetch.redaction import Redactor
from marketfetch.settings import get_settings

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
        connected = super().ensure_connected(conn)
        connected.info = partial(_shown, connected.info)
        return connected


def _shown(info: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `celery inspect stats` and Flower show of the connection: without the passwords that URLs and options hold.

    Celery leaves out the password itself, and masks it in the alternates. kombu needs it for the address in the log.
    """
    found = info()
    hold = {name: found[name] for name in ("hostname", "ssl", "transport_options") if found.get(name)}
    return {**found, **Redactor(get_settings().secrets())(None, "info", hold)}
