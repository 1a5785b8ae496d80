"""Before a grant is published the database holds a mark of its call, so that no call is forgotten with Redis.

Only of keys whose limits reach back further than a minute: other windows count as full when the gate has lost its past. So
that a mark is seldom written it stands for some calls at once, and what is left of it is an overestimate.
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

#: For so long the rest of a mark may be used.
_GOOD_FOR_S: Final = 30.0
#: Longer than any limit reaches back, by clocks that are not one.
_KEPT_LONGER_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class _Rest:
    """Of the last mark of a key: what is left, until when, and for how many it was."""

    calls: int = 0
    until_s: float = 0.0
    size: int = 0


class Marks:
    """What one releaser has marked and not granted yet. Each marks for itself, and what they mark adds up."""

    def __init__(self) -> None:
        self._rests: dict[tuple[str, str], _Rest] = {}

    def cover(self, provider: str, keys: Sequence[KeyLimits], grants: Sequence[Grant]) -> None:
        """Marks the calls of these grants. Raises StoreError: then none of them may be published."""
        granted = Counter(one.key_label for one in grants if one.kind == "go")
        for key in keys:
            if granted[key.label] and key.most_marked_ahead:
                self._cover(provider, key, granted[key.label])

    def _cover(self, provider: str, key: KeyLimits, calls: int) -> None:
        now_s, rest = steady_s(), self._rests.get((provider, key.label), _Rest())
        if now_s >= rest.until_s:
            rest = _Rest()
        if rest.calls < calls:
            # Twice as many as before while they are used up: a key that is called now and then is marked call by call.
            missing = calls - rest.calls
            size = max(missing, min(2 * rest.size, key.most_marked_ahead))
            store = connections.marks()
            try:
                store.reserve_calls(provider, key.label, calls=size, keep_ms=(key.remembered_s + _KEPT_LONGER_S) * 1000)
            except StoreError:
                store.close()  # what was opened while the file was read-only stays so
                raise
            rest = _Rest(rest.calls + size, now_s + _GOOD_FOR_S, size)
        self._rests[provider, key.label] = _Rest(rest.calls - calls, rest.until_s, rest.size)


def late_ms() -> int:
    """How long after its mark a call may be at its vendor's, at the latest."""
    timings = get_settings().timings
    return int((_GOOD_FOR_S + timings.start_by + timings.end_by - timings.call + timings.connect) * 1000)
