"""What the database knows of a pool when the gate knows nothing: how its keys were used, and which requests are over."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from marketfetch import connections
from marketfetch.configured import keys
from marketfetch.jobs.recorded_outcomes import answer
from marketfetch.quotas import KeyLimits
from marketfetch.quotas.epoch import Over
from marketfetch.quotas.limits import Calendar
from marketfetch.quotas.values import KeyPast
from marketfetch.storage.store import Store

from . import reservations


def pasts(provider: str, *, used: bool) -> list[KeyPast]:
    """Each key's past. A key that nobody has called with starts empty; any other could have been used until just now.

    `used`: the asking worker has seen this pool at work, so calls may have been made that the ledger does not know yet.
    """
    store, now, found = connections.store(), datetime.now(UTC), []
    for key in keys(provider):
        windows = {one.window_ms * 1000: _marked(store, provider, key, one.window_ms) for one in key.marked_windows}
        marked = {length: calls for length, calls in windows.items() if calls is not None}
        days = dict(_today(store, provider, key, calendar, now, used=used) for calendar in key.calendars)
        known = used or any(marked.values()) or any(days.values()) or store.last_call(provider, key.label) > 0
        found.append(KeyPast(key.label, used=known, lost=key.most_in(2_000), days=days, marked=marked))
    return found


def over_since(provider: str, since_ms: int) -> Iterator[Over]:
    """The vendor's requests that were over at that Unix time or later, in pieces, youngest first."""
    store, before = connections.store(), None
    while True:
        rows, before = store.latest_over(provider, since_ms=since_ms, before=before)
        yield Over({row.request_id: answer(row) for row in rows}, max((row.called_at_ms for row in rows), default=0))
        if before is None:
            return


def _marked(store: Store, provider: str, key: KeyLimits, back_ms: int) -> int | None:
    return store.reserved_calls(provider, key.label, back_ms=back_ms + reservations.late_ms())


def _today(store: Store, provider: str, key: KeyLimits, calendar: Calendar, now: datetime, *, used: bool) -> tuple[str, int]:
    """A calendar day's counter, and how many calls it has seen at most."""
    (_, *_), (today, start_us, _), _ = calendar.periods(now)
    now_ms, start_ms = int(now.timestamp() * 1000), start_us // 1000
    made = _marked(store, provider, key, now_ms - start_ms)
    if made is None:
        # A release that marked none has called today: what the ledger knows, and what else there may have been.
        made = store.calls(provider, key.label, since_ms=start_ms) + (key.concurrency or 1)
        if used:
            since_ms = max(store.last_call(provider, key.label), start_ms)
            made += min(calendar.count, _most_since(key, now_ms - since_ms, calendar.count))
    return calendar.counter(key.label, today), made


def _most_since(key: KeyLimits, elapsed_ms: int, otherwise: int) -> int:
    """What the key could have done since the ledger's last word; `otherwise` where no window limits it."""
    return key.most_in(elapsed_ms) if key.windows else otherwise
