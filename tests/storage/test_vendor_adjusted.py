"""A series that a vendor has adjusted is stale once an action is known that it can't have had; and `check` says what to do."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from marketfetch.ops.adjusted_diagnosis import of_adjusted
from marketfetch.schemas.bars import BarSeries
from marketfetch.schemas.coverage import Covered
from marketfetch.schemas.ledger import Batch, LedgerRow
from marketfetch.schemas.record_kinds import Records
from marketfetch.storage.vendor_adjusted import stale_series, without_raw
from tests.storage.batches import bars

TODAY = date(2024, 6, 3)
SPLIT = ("splits", ("AAPL", "2024-05-13", 4.0, 1.0, ""))
CASH = ("dividends", ("AAPL", "2024-05-13", 0.5, "USD", "", None, None, None, None, ""))
ANNOUNCED = ("splits", ("AAPL", "2024-07-01", 4.0, 1.0, ""))


def ms(day: str) -> int:
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() * 1000)


def keep(
    store: Any, adjustment: Any, fetched: str, *, first: str = "2024-01-02", last: str = "2024-05-10", symbol: str = "AAPL"
) -> None:
    name = f"{symbol}-{adjustment}-{fetched}"
    row = LedgerRow(name, name, 0, "polygon", symbol, "stored", rows=2, calls=1, called_at_ms=ms(fetched))
    days = [date.fromisoformat(one) for one in (first, last)]
    covered = Covered("polygon", "bars", symbol, "1d", adjustment, days[0], days[1], days[1], ms(fetched))
    series = BarSeries("polygon", symbol, "1d", adjustment, bars({1: 1.0, 2: 2.0}))
    assert store.store([Batch(row, (series,), covered=(covered,))]) == [True]


def listed(store: Any, kind: str, *rows: tuple[Any, ...]) -> None:
    name = f"{kind}-{len(rows)}"
    row = LedgerRow(name, name, 0, "polygon", "AAPL", "stored", rows=len(rows), calls=1, called_at_ms=ms("2024-06-01"))
    assert store.store([Batch(row, records=Records(kind, rows))]) == [True]


@pytest.mark.parametrize(
    ("adjustment", "fetched", "action", "is_stale"),
    [
        ("split", "2024-05-10", SPLIT, True),
        ("split_dividend", "2024-05-10", SPLIT, True),
        ("split_dividend", "2024-05-10", CASH, True),
        ("split", "2024-05-10", CASH, False),
        ("split", "2024-05-14", SPLIT, False),
        ("split", "2024-05-10", ANNOUNCED, False),
        ("raw", "2024-05-10", SPLIT, False),
    ],
)
def test_prices_that_were_fetched_before_a_known_action_are_stale(store, adjustment, fetched, action, is_stale):
    keep(store, adjustment, fetched)
    listed(store, action[0], action[1])
    found = stale_series(store, TODAY, ["AAPL", "MSFT"])
    assert found == stale_series(store, TODAY)
    assert [(one.symbol, one.adjustment, one.dataset, one.ex_date) for one in found] == (
        [("AAPL", adjustment, action[0], date(2024, 5, 13))] if is_stale else []
    )
    assert stale_series(store, TODAY, ["MSFT"]) == []


def test_bars_that_were_fetched_again_since_are_not_stale_and_a_part_that_was_not_is(store):
    keep(store, "split", "2024-05-10")
    listed(store, *SPLIT)
    keep(store, "split", "2024-06-01", first="2024-03-01")
    (one,) = stale_series(store, TODAY)
    assert (one.first_day, one.fetched_on) == (date(2024, 1, 2), date(2024, 5, 10))
    keep(store, "split", "2024-06-02")
    assert stale_series(store, TODAY) == []


def test_check_says_what_changed_for_series_of_a_former_default_and_which_are_stale(store):
    for symbol in ("AAPL", "MSFT"):
        keep(store, "split", "2024-05-10", symbol=symbol)
    keep(store, "raw", "2024-05-11", symbol="MSFT")
    listed(store, *SPLIT)
    assert without_raw(store) == [("polygon", "1d", "split", "AAPL")]
    changed, stale = (one.sentence for one in of_adjusted(store, TODAY))
    assert changed.startswith("1 series of 1d bars of polygon (AAPL) hold split prices alone")
    assert "add --adjustment split to go on with them" in changed
    assert "AAPL was fetched on 2024-05-10, and its splits have 2024-05-13." in stale
    assert "`marketfetch fetch polygon AAPL --timespan 1d --adjustment split --start 2024-01-02 --again`" in stale


def test_a_database_of_raw_bars_has_no_finding(store):
    keep(store, "raw", "2024-05-10")
    listed(store, *SPLIT)
    assert list(of_adjusted(store, TODAY)) == []
