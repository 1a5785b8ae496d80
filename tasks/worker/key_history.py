"""Key history: a pool's calls and ended requests from the database, for a gate that has lost its own history."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from marketfetch import connections
from marketfetch.configured import keys
from marketfetch.jobs.recorded_outcomes import outcome_json
from marketfetch.quotas import KeyLimits
from marketfetch.quotas.epoch import EndedRequests
from marketfetch.quotas.limits import Calendar
from marketfetch.quotas.values import KeyHistory
from marketfetch.storage.store import Store

from . import reservations


def key_histories(provider: str, *, used: bool) -> list[KeyHistory]:
    """Each key's history. A key without any call starts empty; any other may have been used until this moment.

    `used`: the calling worker has seen calls of this pool, so the ledger may not have all of them yet.
    """
    store, now, found = connections.store(), datetime.now(UTC), []
    for key in keys(provider):
        windows = {one.window_ms * 1000: _reserved(store, provider, key, one.window_ms) for one in key.reserved_windows}
        reserved = {length: calls for length, calls in windows.items() if calls is not None}
        days = dict(_today(store, provider, key, calendar, now, used=used) for calendar in key.calendars)
        known = used or any(reserved.values()) or any(days.values()) or store.last_call(provider, key.label) > 0
        found.append(KeyHistory(key.label, used=known, lost=key.most_in(2_000), days=days, reserved=reserved))
    return found


def ended_since(provider: str, since_ms: int) -> Iterator[EndedRequests]:
    """The vendor's requests that ended at that Unix time or later, in pieces, youngest first."""
    store, before = connections.store(), None
    while True:
        rows, before = store.latest_over(provider, since_ms=since_ms, before=before)
        outcomes = {row.request_id: outcome_json(row) for row in rows}
        yield EndedRequests(outcomes, max((row.called_at_ms for row in rows), default=0))
        if before is None:
            return


def _reserved(store: Store, provider: str, key: KeyLimits, back_ms: int) -> int | None:
    return store.reserved_calls(provider, key.label, back_ms=back_ms + reservations.late_ms())


def _today(store: Store, provider: str, key: KeyLimits, calendar: Calendar, now: datetime, *, used: bool) -> tuple[str, int]:
    """A calendar day's counter, and the most calls that it may have."""
    (_, *_), (today, start_us, _), _ = calendar.periods(now)
    now_ms, start_ms = int(now.timestamp() * 1000), start_us // 1000
    made = _reserved(store, provider, key, now_ms - start_ms)
    if made is None:
        # A release without reservations has called today: count the ledger's calls, and those that it may lack.
        made = store.calls(provider, key.label, since_ms=start_ms) + (key.concurrency or 1)
        if used:
            since_ms = max(store.last_call(provider, key.label), start_ms)
            made += min(calendar.count, _most_since(key, now_ms - since_ms, calendar.count))
    return calendar.counter(key.label, today), made


def _most_since(key: KeyLimits, elapsed_ms: int, otherwise: int) -> int:
    """The most calls since the ledger's last entry; `otherwise` where no window limits the key."""
    return key.most_in(elapsed_ms) if key.windows else otherwise
