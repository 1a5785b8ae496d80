"""kombu's Redis transport for a worker's consumer, with its faults worked around."""

from __future__ import annotations

from kombu.transport.redis import Transport

from ..hardening.broadcast_messages import BroadcastMessages
from ..hardening.refused_acks import RefusedAcks
from ..hardening.unreadable_messages import UnreadableMessages


class _Channel(BroadcastMessages, UnreadableMessages, RefusedAcks):
    """All workarounds of the channel in one."""


class HardenedTransport(Transport):  # type: ignore[misc]  # kombu is untyped
    """kombu's transport over the channel above."""

    Channel = _Channel
