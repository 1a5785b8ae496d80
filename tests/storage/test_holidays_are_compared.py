"""What vendors say of holidays against the table of sessions: the warnings of `marketfetch check`."""

from __future__ import annotations

from datetime import date
from typing import Any

from marketfetch.ops.holiday_diagnosis import Holiday, compared, of_holidays
from marketfetch.schemas.ledger import Batch, LedgerRow
from marketfetch.schemas.record_kinds import Records


def said(*rows: tuple[str, str, str, str]) -> list[str]:
    return [one.sentence for one in compared([Holiday("acme", ex, date.fromisoformat(day), *more) for ex, day, *more in rows])]


def test_what_agrees_with_the_table_is_no_finding() -> None:
    assert said(("NYSE", "2024-11-28", "closed", ""), ("NYSE", "2024-11-29", "early-close", "2024-11-29T18:00:00.000Z")) == []
    assert said(("LSE", "2024-11-27", "closed", "")) == [], "an exchange that is not known here"


def test_a_holiday_and_an_early_close_that_the_table_lacks_are_told_once() -> None:
    (closed,) = said(("NYSE", "2024-11-27", "closed", ""), ("NYSE", "2024-11-27", "closed", ""))
    assert "acme says that NYSE is closed on 2024-11-27, and the table of sessions that it closes at 21:00 UTC" in closed
    (early,) = said(("NYSE", "2024-11-27", "early-close", "2024-11-27T18:00:00Z"))
    assert "NYSE closes at 18:00 UTC on 2024-11-27, and the table of sessions that it closes at 21:00 UTC" in early
    many = [("NYSE", f"2024-10-{day:02}", "closed", "") for day in range(7, 26)]
    assert len(said(*many)) == 5


def test_stored_holidays_from_today_on_are_compared(store: Any) -> None:
    rows = (("NYSE", "2024-11-26", "closed", "", "", ""), ("NYSE", "2024-11-27", "closed", "", "", ""))
    row = LedgerRow("a", "a", 0, "polygon", "*", "stored", rows=2, calls=1, called_at_ms=10)
    store.store([Batch(row, records=Records("holidays", rows, "holidays"))])
    later = LedgerRow("b", "b", 0, "polygon", "*", "stored", rows=1, calls=1, called_at_ms=20)
    store.store([Batch(later, records=Records("holidays", rows[1:], "holidays"))])
    assert store.database.read("SELECT count(*) FROM holidays WHERE gone_at IS NULL") == [(2,)], "a list of what lies ahead"
    assert ["2024-11-27" in one.sentence for one in of_holidays(store, date(2024, 11, 27))] == [True]
