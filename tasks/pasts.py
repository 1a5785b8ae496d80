"""What the ledger knows of a pool's keys when the gate knows nothing: whether they were used, and how often today."""

from __future__ import annotations

from datetime import UTC, datetime

from quotas.values import KeyPast
from tasks import connections
from tasks.vendors import keys


def pasts(provider: str) -> list[KeyPast]:
    """Each key's past. A key that the ledger has never seen starts empty; any other could have been used until just now.

    A calendar day counts the ledger's calls and, since the gate can't tell what came after them, as many as may be open.
    """
    store, now, found = connections.store(), datetime.now(UTC), []
    for key in keys(provider):
        if not store.calls(provider, key.label, since_ms=0):
            found.append(KeyPast(key.label, stamps=0, days={}))
            continue
        days = {}
        for calendar in key.calendars:
            (_, *_), (today, start_us, _), _ = calendar.periods(now)
            made = store.calls(provider, key.label, since_ms=start_us // 1000)
            days[calendar.counter(key.label, today)] = made + (key.concurrency or 1)
        stamps = max((window.count for window in key.windows), default=0)
        found.append(KeyPast(key.label, stamps=stamps, days=days))
    return found
