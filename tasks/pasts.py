"""What the ledger knows of a pool's keys when the gate knows nothing: whether they were used, and how often today."""

from __future__ import annotations

from datetime import UTC, datetime

from quotas import KeyLimits
from quotas.values import KeyPast
from tasks import connections
from tasks.vendors import keys


def pasts(provider: str, *, used: bool) -> list[KeyPast]:
    """Each key's past. A key that nobody has called with starts empty; any other could have been used until just now.

    `used`: the asking worker has seen this pool at work, so calls may have been made that the ledger does not know yet.
    """
    store, now, found = connections.store(), datetime.now(UTC), []
    for key in keys(provider):
        last_ms = store.last_call(provider, key.label)
        known = used or last_ms > 0
        days = {}
        for calendar in key.calendars if known else ():
            (_, *_), (today, start_us, _), _ = calendar.periods(now)
            made = store.calls(provider, key.label, since_ms=start_us // 1000)
            if used:
                since_ms = max(last_ms, start_us // 1000)
                made += min(calendar.count, _most_since(key, int(now.timestamp() * 1000) - since_ms, calendar.count))
            days[calendar.counter(key.label, today)] = made + (key.concurrency or 1)
        found.append(KeyPast(key.label, used=known, lost=key.most_in(2_000), days=days))
    return found


def _most_since(key: KeyLimits, elapsed_ms: int, otherwise: int) -> int:
    """What the key could have done since the ledger's last word; `otherwise` where no window limits it."""
    return key.most_in(elapsed_ms) if key.windows else otherwise
