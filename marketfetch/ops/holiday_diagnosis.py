"""Compares the holidays that vendors publish with the table of sessions that decides when bars are final."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from marketfetch.ops.finding import Finding
from marketfetch.storage.store import Store
from marketfetch.vendors import trading_days

#: The exchange of the table that a vendor's word means.
_CALENDARS: Final = MappingProxyType({"NYSE": "XNYS"})
_MOST_TOLD: Final = 5
_STORED: Final = "SELECT provider, exchange, day, status, closes FROM holidays WHERE gone_at IS NULL ORDER BY day, exchange"


class Holiday(NamedTuple):
    """A row of the table `holidays`; `closes` is a time in UTC, "" where the exchange is closed."""

    provider: str
    exchange: str
    day: date
    status: str
    closes: str


def of_holidays(store: Store, today: date) -> Iterator[Finding]:
    """Warns of holidays that the table of sessions lacks, from today on. Raises StoreError."""
    rows = [Holiday(one[0], one[1], _day(one[2]), one[3], one[4]) for one in store.database.read(_STORED)]
    yield from compared([row for row in rows if row.day >= today])


def compared(rows: Sequence[Holiday]) -> Iterator[Finding]:
    """A warning for each day on which a vendor and the table differ; the first few, as one missing year is many days."""
    told: set[tuple[str, date]] = set()
    for row in rows:
        calendar = _CALENDARS.get(row.exchange)
        if calendar is None or (calendar, row.day) in told or row.day > trading_days.exchange(calendar).last:
            continue
        ours = trading_days.close_ms(calendar, row.day)
        theirs = _close_ms(row.closes) if row.status == "early-close" else None
        if ours == theirs or len(told) == _MOST_TOLD:
            continue
        told.add((calendar, row.day))
        yield Finding(
            level="warning",
            subject="calendar",
            sentence=f"{row.provider} says that {row.exchange} {_said(theirs)} on {row.day}, and the table of sessions that it "
            f"{_said(ours)}. Bars near that day may count as final too early or too late. Install a newer release.",
        )


def _said(close_ms: int | None) -> str:
    return "is closed" if close_ms is None else f"closes at {datetime.fromtimestamp(close_ms / 1000, UTC):%H:%M} UTC"


def _close_ms(closes: str) -> int:
    return round(datetime.fromisoformat(closes).timestamp() * 1000)


def _day(value: Any) -> date:
    """A day as it is read: SQLite has text."""
    return value if isinstance(value, date) else date.fromisoformat(value)
