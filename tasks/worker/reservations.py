"""Reservations of calls: the database records calls before their grants are published, so that an emptied Redis loses none.

Only keys whose limits reach back further than a minute need them: other windows count as full when the gate has lost its
history. One reservation covers several calls, so that few are written; its unused remainder is an overestimate.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from marketfetch import connections
from marketfetch.quotas import Grant, KeyLimits
from marketfetch.settings import get_settings
from marketfetch.storage.store import StoreError
from marketfetch.vendors.wire import steady_s

#: How long the remainder of a reservation may be used.
_GOOD_FOR_S: Final = 30.0
#: The database keeps a reservation this much longer than any limit reaches back, as the machines' clocks differ.
_KEPT_LONGER_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class _Remainder:
    """Unused remainder of a key's last reservation: its calls, its expiry, and the reservation's size."""

    calls: int = 0
    until_s: float = 0.0
    size: int = 0


class Reservations:
    """One releaser's reservations that no grant has used yet. Each releaser has its own, and they add up in the database."""

    def __init__(self) -> None:
        self._remainders: dict[tuple[str, str], _Remainder] = {}

    def cover(self, provider: str, keys: Sequence[KeyLimits], grants: Sequence[Grant]) -> None:
        """Reserves the calls of these grants. Raises StoreError: then none of the grants may be published."""
        granted = Counter(one.key_label for one in grants if one.kind == "go")
        for key in keys:
            if granted[key.label] and key.most_reserved_ahead:
                self._cover(provider, key, granted[key.label])

    def _cover(self, provider: str, key: KeyLimits, calls: int) -> None:
        now_s, left = steady_s(), self._remainders.get((provider, key.label), _Remainder())
        if now_s >= left.until_s:
            left = _Remainder()
        if left.calls < calls:
            # The size doubles while reservations are used up; a key that is called rarely reserves call by call.
            missing = calls - left.calls
            size = max(missing, min(2 * left.size, key.most_reserved_ahead))
            store = connections.marks()
            try:
                store.reserve_calls(provider, key.label, calls=size, keep_ms=(key.remembered_s + _KEPT_LONGER_S) * 1000)
            except StoreError:
                store.close()  # a connection that was opened while the file was read-only stays read-only
                raise
            left = _Remainder(left.calls + size, now_s + _GOOD_FOR_S, size)
        self._remainders[provider, key.label] = _Remainder(left.calls - calls, left.until_s, left.size)


def late_ms() -> int:
    """The longest time in ms from a reservation to the arrival of its call at the vendor."""
    timings = get_settings().timings
    return int((_GOOD_FOR_S + timings.start_by + timings.end_by - timings.call + timings.connect) * 1000)
