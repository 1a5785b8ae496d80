"""The metrics that are exported, each with its type, its labels and what it says: docs/metrics.md has the same table.

No label holds a symbol, a job or a request, so the number of series depends on the vendors and keys alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

PREFIX: Final = "marketfetch_"


@dataclass(frozen=True, slots=True)
class Measure:
    """One metric. `name` lacks the prefix; that of a counter lacks `_total` too. `key` is a key's label, never the key."""

    name: str
    kind: Literal["gauge", "counter", "histogram"]
    labels: tuple[str, ...]
    says: str

    @property
    def exported(self) -> str:
        """The name in a query; a histogram's is that of its buckets."""
        ending = {"gauge": "", "counter": "_total", "histogram": "_bucket"}[self.kind]
        return f"{PREFIX}{self.name}{ending}"


#: The upper bounds of the buckets of `call_seconds`.
CALL_BUCKETS_S: Final = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)

MEASURES: Final = (
    Measure("up", "gauge", ("part",), "1 if Redis, or the database, has replied to this look, else 0"),
    Measure("workers", "gauge", ("provider",), "Workers that consume the vendor's queue"),
    Measure("requests", "gauge", ("provider", "state"), "Requests that are parked, granted, running or held"),
    Measure("parked_oldest_seconds", "gauge", ("provider",), "Age of the oldest request at the front of the lane, 0 for none"),
    Measure("stuck_seconds", "gauge", ("provider",), "For how long a request could have been admitted, and none was"),
    Measure("unstarted_requests", "gauge", ("provider",), "Requests granted 5 times in a row that no worker has started"),
    Measure("gate_events", "counter", ("provider", "event"), "Requests parked and admitted, pauses, refusals, expired grants"),
    Measure("held_bytes", "gauge", ("provider",), "Size of the batches that are fetched and not stored yet"),
    Measure("ledger_lag_seconds", "gauge", ("provider",), "For how long batches have waited and none was stored, 0 for none"),
    Measure("key_limit_used", "gauge", ("provider", "key", "limit"), "Calls that count for a limit of a key now"),
    Measure("key_limit_allowed", "gauge", ("provider", "key", "limit"), "Calls that the limit allows"),
    Measure("key_open_calls", "gauge", ("provider", "key"), "Calls that are granted or running with a key"),
    Measure("key_paused_seconds", "gauge", ("provider", "key"), "For how much longer a key is paused, 0 for none"),
    Measure("key_set_aside", "gauge", ("provider", "key"), "1 if the vendor has refused the key, and it is out of service"),
    Measure("key_suspected", "gauge", ("provider", "key"), "1 if the vendor has rejected the key once, and one call decides"),
    Measure("dead_letters", "gauge", (), "Messages that no worker could run"),
    Measure("calls", "counter", ("provider", "key", "outcome"), "Calls by outcome: ok, or the error's class"),
    Measure("call_seconds", "histogram", ("provider",), "From the sending of a call to the last byte of its reply"),
    Measure("reply_bytes", "counter", ("provider",), "Size of the replies, as decoded"),
    Measure("stored_requests", "counter", ("provider", "outcome"), "Requests that are over: stored, empty, failed"),
    Measure("rows", "counter", ("provider",), "Rows that were stored"),
    Measure("rejects", "counter", ("provider",), "Rows that failed a check"),
    Measure(
        "series_stale", "gauge", ("provider",), "Series behind their calendar, without those of which the vendor has no more"
    ),
    Measure("series_behind_sessions", "gauge", ("provider",), "By how many sessions the worst of them is behind"),
    Measure("freshness_age_seconds", "gauge", (), "Age of the look at the series, which a task makes every ten minutes"),
    Measure("notifications", "gauge", ("state",), "Events for targets that are waiting, or were given up in the last week"),
    Measure("database_bytes", "gauge", (), "Size of the database: of Postgres all of it, of SQLite its file"),
)


def measure(name: str) -> Measure:
    """The metric of this name without its prefix. Raises KeyError."""
    return _BY_NAME[name]


_BY_NAME: Final = {one.name: one for one in MEASURES}
