"""What the ledger knows of a pool's keys when the gate knows nothing: whether they were used, and how often today."""

from __future__ import annotations

from datetime import UTC, datetime

from quotas.values import KeyPast
from tasks import connections
from tasks.vendors import keys


def pasts(provider: str, *, used: bool) -> list[KeyPast]:
    """Each key's past. A key that nobody has called with starts empty; any other could have been used until just now.

    `used`: the asking worker has seen this pool at work. A calendar day counts the ledger's calls and, since the gate can't
    tell what came after them, as many as may be open.
    """
    store, now, found = connections.store(), datetime.now(UTC), []
    for key in keys(provider):
        known = used or bool(store.calls(provider, key.label, since_ms=0))
        days = {}
        for calendar in key.calendars if known else ():
            (_, *_), (today, start_us, _), _ = calendar.periods(now)
            made = store.calls(provider, key.label, since_ms=start_us // 1000)
            days[calendar.counter(key.label, today)] = made + (key.concurrency or 1)
        found.append(KeyPast(key.label, used=known, lost=key.most_in_two_seconds, ttl=key.remembered_s, days=days))
    return found
