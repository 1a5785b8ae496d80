"""kombu's Redis transport for a worker's consumer, with its faults worked around."""

from __future__ import annotations

from typing import Any

from kombu.transport.redis import SentinelChannel, SentinelTransport, Transport

from ..hardening.broadcast_messages import BroadcastMessages
from ..hardening.client_for_each_command import ClientForEachCommand
from ..hardening.messages_of_other_apps import RestingQueues
from ..hardening.redelivery_for_other_apps import RedeliveryForOtherApps
from ..hardening.redelivery_of_held_messages import RedeliveryOfHeldMessages
from ..hardening.refused_acks import RefusedAcks
from ..hardening.unreadable_messages import UnreadableMessages
from .grants_in_hand import GrantsInHand


class _QoS(GrantsInHand, RedeliveryForOtherApps, RedeliveryOfHeldMessages):
    """What is not acknowledged yet: grants in memory, other messages listed in Redis, with all workarounds."""


class _Channel(RestingQueues, BroadcastMessages, UnreadableMessages, RefusedAcks, ClientForEachCommand):
    """All workarounds of the channel in one."""

    QoS = _QoS


class _SentinelChannel(_Channel, SentinelChannel):  # type: ignore[misc]  # kombu is untyped
    """The same for a server that Sentinel names."""


class HardenedTransport(Transport):  # type: ignore[misc]  # kombu is untyped
    """kombu's transport over the channel above."""

    Channel = _Channel


class HardenedSentinelTransport(SentinelTransport):  # type: ignore[misc]  # kombu is untyped
    """The same for a server that Sentinel names."""

    Channel = _SentinelChannel


_HARDENED = {"redis": HardenedTransport, "rediss": HardenedTransport, "sentinel": HardenedSentinelTransport}


def harden(conn: Any) -> None:
    """Gives a connection to Redis the transport above, before it connects; any other connection stays as it is.

    The transport is named per connection and not by the setting `broker_transport`: that one would also replace the transport
    of every sender, whose errors Celery handles well, and make kombu forget the defaults of `rediss://`.
    """
    if hardened := _HARDENED.get(conn.transport_cls):
        # This keeps the scheme in log lines that name the broker.
        conn.resolve_aliases = {**conn.resolve_aliases, hardened: conn.transport_cls}
        conn.transport_cls = hardened
