"""Marks: an upper bound of the calls granted to a key, per minute, written before the calls are made.

The ledger learns of a call when its request is over, which may be never. A gate that has lost its past asks here what a long
window, or a calendar day, may have seen. All on the clock that writes them, so that a mark's age is right whoever asks.
"""

from __future__ import annotations

from typing import Final

from marketfetch.storage.changes import Changes

_MINUTE_MS: Final = 60_000

#: The ledger's times are on the workers' clocks: a call of so long before the first mark may be one that it stands for.
_CLOCKS_APART_MS: Final = 600_000


class Marks(Changes):
    """The two verbs of `call_marks`."""

    def mark_calls(self, provider: str, key_label: str, *, calls: int, keep_ms: int) -> None:
        minute = self.now_ms() // _MINUTE_MS
        self.change(
            lambda execute: (
                execute(
                    """
                    INSERT INTO call_marks (provider, key_label, minute, calls) VALUES (?, ?, ?, ?)
                    ON CONFLICT (provider, key_label, minute) DO UPDATE SET calls = call_marks.calls + excluded.calls""",
                    *(provider, key_label, minute, calls),
                ),
                execute(
                    "DELETE FROM call_marks WHERE provider = ? AND key_label = ? AND minute < ?",
                    *(provider, key_label, minute - keep_ms // _MINUTE_MS),
                ),
            )
        )

    def marked_calls(self, provider: str, key_label: str, *, back_ms: int) -> int | None:
        since_ms = self.now_ms() - back_ms
        sql = """
            SELECT min(minute), coalesce(sum(CASE WHEN minute >= ? THEN calls END), 0) FROM call_marks
            WHERE provider = ? AND key_label = ?"""
        ((first, marked),) = self.read(sql, since_ms // _MINUTE_MS, provider, key_label)
        known = self.calls(provider, key_label, since_ms=since_ms)
        until_ms = self.now_ms() if first is None else first * _MINUTE_MS - _CLOCKS_APART_MS
        if since_ms < until_ms and known > self.calls(provider, key_label, since_ms=until_ms):
            return None  # made by a release that marked none: who knows how many there were besides
        return max(int(marked), known)
