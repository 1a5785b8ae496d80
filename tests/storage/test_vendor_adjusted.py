"""A series that a vendor has adjusted is stale once an action is known that it can't have had; and `check` says what to do."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketfetch.ops.adjusted_diagnosis import of_adjusted
from marketfetch.schemas.bars import BarSeries
from marketfetch.schemas.coverage import Covered, merged
from marketfetch.schemas.ledger import Batch, LedgerRow
from marketfetch.schemas.record_kinds import Records
from marketfetch.storage import action_knowledge
from marketfetch.storage.action_knowledge import Knowledge, event_of, in_force_ms
from marketfetch.storage.stored_actions import StoredAction
from marketfetch.storage.vendor_adjusted import stale_days, stale_series, without_raw
from tests.storage.batches import bars

SPLIT = ("splits", ("AAPL", "2024-05-13", 4.0, 1.0, ""))
CASH = ("dividends", ("AAPL", "2024-05-13", 0.5, "USD", "", None, None, None, None, ""))
ANNOUNCED = ("splits", ("AAPL", "2024-07-01", 4.0, 1.0, ""))


def ms(day: str) -> int:
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() * 1000)


TODAY = ms("2024-06-03")


def keep(
    store: Any,
    adjustment: Any,
    fetched: str,
    *,
    first: str = "2024-01-02",
    last: str = "2024-05-10",
    symbol: str = "AAPL",
    provider: str = "polygon",
    covers: str = "",
) -> None:
    name = f"{symbol}-{adjustment}-{fetched}"
    row = LedgerRow(name, name, 0, provider, symbol, "stored", rows=2, calls=1, called_at_ms=ms(fetched))
    days = [date.fromisoformat(one) for one in (first, last)]
    covered = Covered(provider, "bars", covers or symbol, "1d", adjustment, days[0], days[1], days[1], ms(fetched))
    series = BarSeries(provider, symbol, "1d", adjustment, bars({1: 1.0, 2: 2.0}))
    assert store.store([Batch(row, (series,), covered=(covered,))]) == [True]


def listed(
    store: Any, kind: str, *rows: tuple[Any, ...], at: str = "2024-06-01", symbol: str = "AAPL", provider: str = "polygon"
) -> None:
    name = f"{provider}-{symbol}-{kind}-{at}"
    row = LedgerRow(name, name, 0, provider, symbol, "stored", rows=len(rows), calls=1, called_at_ms=ms(at))
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


def test_a_refresh_that_comes_in_parts_is_over_with_the_last_of_them_whatever_their_order(store):
    keep(store, "split", "2024-05-10")
    listed(store, *SPLIT, at="2024-05-12")
    parts = [("2024-01-02", "2024-02-29"), ("2024-03-01", "2024-03-31"), ("2024-04-01", "2024-05-10")]
    for n, (first, last) in enumerate((parts[1], parts[2])):
        keep(store, "split", f"2024-05-1{n + 4}", first=first, last=last)
    (one,) = stale_series(store, TODAY)
    assert (one.first_day, one.last_day) == (date(2024, 1, 2), date(2024, 2, 29)), "the rest, and no more"
    keep(store, "split", "2024-05-16", first=parts[0][0], last=parts[0][1])
    assert stale_series(store, TODAY) == []
    covered = store.covered("polygon", "bars", "1d", "split", ["AAPL"])
    assert [(one.first_day, one.last_day, one.fetched_at_ms) for one in covered] == [
        (date(2024, 1, 2), date(2024, 5, 10), ms("2024-05-14"))
    ]


def test_a_split_that_the_vendor_corrects_makes_what_it_has_adjusted_before_stale(store):
    first = ("AAPL", "2020-08-31", 4.0, 1.0, ""), ("AAPL", "2024-03-01", 4.0, 1.0, "")
    listed(store, "splits", *first, at="2024-05-01")
    keep(store, "split", "2024-05-10")
    assert stale_series(store, TODAY) == [], "the list is older than the bars: both splits were known"
    corrected = ("AAPL", "2024-03-01", 5.0, 1.0, "")
    listed(store, "splits", first[0], corrected, at="2024-05-20")
    (one,) = stale_series(store, TODAY)
    assert (one.ex_date, one.first_day, one.last_day) == (date(2024, 3, 1), date(2024, 1, 2), date(2024, 2, 29))
    assert one.why == "was fetched on 2024-05-10, and its list of splits has since changed 2024-03-01"
    keep(store, "split", "2024-05-21", last="2024-02-29")
    assert stale_series(store, TODAY) == []
    listed(store, "splits", first[0], ("AAPL", "2024-03-01", 10.0, 2.0, ""), at="2024-05-25")
    assert stale_series(store, TODAY) == [], "another spelling of one ratio changes no price"
    listed(store, "splits", first[0], at="2024-05-26")
    assert [found.ex_date for found in stale_series(store, TODAY)] == [date(2024, 3, 1)], "a split that is withdrawn"


def test_an_announced_split_makes_prices_stale_at_its_ex_date_and_never_if_it_is_called_off(store):
    keep(store, "split", "2024-05-10")
    listed(store, "splits", ("AAPL", "2024-05-13", 4.0, 1.0, ""), ("AAPL", "2020-08-31", 4.0, 1.0, ""), at="2024-05-09")
    noon, evening = ms("2024-05-13T12:00"), ms("2024-05-13T20:00")
    assert [len(stale_series(store, at)) for at in (ms("2024-05-12"), noon, evening)] == [0, 0, 1]
    listed(store, "splits", ("AAPL", "2020-08-31", 4.0, 1.0, ""), at="2024-05-13")
    assert stale_series(store, TODAY) == []


def test_a_vendor_without_lists_goes_by_those_of_another_one(store):
    keep(store, "split_dividend", "2024-05-10", provider="nasdaq")
    listed(store, "dividends", CASH[1])
    (one,) = stale_series(store, TODAY)
    assert (one.provider, one.dataset) == ("nasdaq", "dividends")
    listed(store, "dividends", at="2024-05-09", provider="nasdaq")
    assert stale_series(store, TODAY) == [], "its own list, although an empty one, comes first"


def test_what_covers_the_whole_market_is_stale_for_the_symbols_that_have_an_action(store):
    for symbol in ("AAPL", "MSFT"):
        keep(store, "split", "2024-05-10", symbol=symbol, covers="*")
    listed(store, *SPLIT)
    assert [one.symbol for one in stale_series(store, TODAY)] == ["AAPL"]
    keep(store, "split", "2024-05-14")
    assert stale_series(store, TODAY) == [], "its own interval is newer"


def by_days(store: Any, year: int, *days: str, at: str, symbol: str = "*") -> None:
    """The splits of AAPL on these days, by a list of a year."""
    first, last = date(year, 1, 1), date(year, 12, 31)
    row = LedgerRow(at, at, 0, "polygon", symbol, "stored", rows=len(days), calls=1, called_at_ms=ms(at))
    records = Records("splits", tuple(("AAPL", day, 2.0, 1.0, "") for day in days), "splits", days=(str(first), str(last)))
    covered = Covered("polygon", "splits", symbol, "1d", "raw", first, last, last, ms(at))
    assert store.store([Batch(row, records=records, covered=(covered,))]) == [True]


def test_rows_of_earlier_days_that_a_list_by_days_brings_later_are_no_news_and_what_whole_lists_lacked_is(store):
    keep(store, "split", "2024-05-10")
    by_days(store, 2023, "2023-06-01", at="2024-05-15")
    by_days(store, 2024, "2024-02-01", at="2024-05-20")
    by_days(store, 2022, "2022-02-01", at="2024-05-22")
    assert stale_series(store, TODAY) == []
    listed(store, "splits", *(("AAPL", day, 2.0, 1.0, "") for day in ("2023-06-01", "2024-02-01", "2022-02-01", "2014-06-09")))
    assert stale_series(store, TODAY) == [], "of the first whole list no row is news, whatever lists by days have brought"
    by_days(store, 2024, "2024-02-01", "2024-03-01", at="2024-06-02")
    assert [one.ex_date for one in stale_series(store, TODAY)] == [date(2024, 3, 1)], "the whole list lacked it"


def test_lists_by_days_alone_make_prices_stale_as_whole_lists_do(store):
    keep(store, "split", "2024-05-10")
    by_days(store, 2024, "2024-02-01", "2024-05-13", at="2024-05-20")
    assert [one.ex_date for one in stale_series(store, TODAY)] == [date(2024, 5, 13)]


def test_the_pages_of_one_list_are_one_list(store):
    keep(store, "split", "2024-05-10")
    for number, day in enumerate(("2023-06-01", "2024-02-01")):
        row = LedgerRow(
            f"p{number}", "p0", number, "polygon", "*", "stored", rows=1, calls=1,
            called_at_ms=ms("2024-05-20") + number * 3_600_000, next_cursor=None if number else "more",
        )  # fmt: skip
        assert store.store([Batch(row, records=Records("splits", (("AAPL", day, 2.0, 1.0, ""),)))]) == [True]
    assert stale_series(store, TODAY) == []


FIRST_DAY, DAYS = date(2024, 1, 1).toordinal(), 60
MOMENTS = st.integers(0, DAYS * 4)


def moment(quarter: int) -> int:
    """Quarters of a day, an hour before and behind the moments at which actions are in force."""
    return in_force_ms(FIRST_DAY) + (quarter - 8) * 21_600_000 + 3_600_000


@given(
    fetches=st.lists(st.tuples(MOMENTS, st.integers(0, DAYS), st.integers(0, DAYS)), min_size=1, max_size=8),
    rows=st.lists(st.tuples(st.integers(-3, DAYS + 5), st.sampled_from([2.0, 3.0]), MOMENTS, st.none() | MOMENTS), max_size=4),
    now=MOMENTS,
)
def test_a_day_is_stale_exactly_if_what_was_known_at_its_call_differs_from_what_is_known_now(fetches, rows, now):
    actions = [
        StoredAction(
            *("polygon", "AAPL", date.fromordinal(FIRST_DAY + day).isoformat(), ratio, moment(seen)),
            gone_at=None if gone is None else moment(max(seen, gone)), kind="", currency="",
        )
        for day, ratio, seen, gone in rows
    ]  # fmt: skip
    first_list = min((one.first_seen for one in actions), default=0)
    all_events = [event for one in actions for event in event_of(one, "splits", first_list)]
    known = Knowledge({("splits", "AAPL"): ["polygon"]}, {("polygon", "splits", "AAPL"): all_events})
    turns, covered, called = known.turns("split", "AAPL"), list[Covered](), dict[int, int]()
    for quarter, one, other in sorted(fetches):
        first, last = sorted((one, other))
        days = [date.fromordinal(FIRST_DAY + day) for day in (first, last)]
        new = Covered("polygon", "bars", "AAPL", "1d", "split", days[0], days[1], days[1], moment(quarter))
        covered = merged(covered, new, turns=turns)
        called |= dict.fromkeys(range(FIRST_DAY + first, FIRST_DAY + last + 1), moment(quarter))

    def in_force(at: int, day: int) -> set[tuple[str, float]]:
        return {
            (one.ex_date, one.value)
            for one in actions
            if (ex_day := date.fromisoformat(one.ex_date).toordinal()) > day
            and in_force_ms(ex_day) <= at
            and (one.first_seen <= at or one.first_seen == first_list)
            and (one.gone_at is None or at < one.gone_at)
        }

    at_ms = max(moment(now), *called.values())
    found = [
        day
        for one in stale_days(covered, known, at_ms).values()
        for days in one.days
        for day in range(days.first, days.last + 1)
    ]
    assert found == [day for day, at in sorted(called.items()) if in_force(at, day) != in_force(at_ms, day)]


def test_check_says_what_changed_for_series_of_a_former_default_and_which_are_stale(store):
    for symbol in ("AAPL", "MSFT"):
        keep(store, "split", "2024-05-10", symbol=symbol)
    keep(store, "raw", "2024-05-11", symbol="MSFT")
    listed(store, *SPLIT)
    listed(store, "splits", ("MSFT", "2024-05-14", 2.0, 1.0, ""), symbol="MSFT")
    assert without_raw(store) == [("polygon", "1d", "split", "AAPL")]
    changed, stale = (one.sentence for one in of_adjusted(store, TODAY))
    assert changed.startswith("1 series of 1d bars of polygon (AAPL) hold split prices alone")
    assert "add --adjustment split to go on with them" in changed
    assert "are stale (AAPL, MSFT): AAPL was fetched on 2024-05-10, and its list of splits has 2024-05-13." in stale
    assert (
        "`marketfetch fetch polygon AAPL MSFT --timespan 1d --adjustment split --start 2024-01-02 --end 2024-05-10`"
    ) in stale


def test_a_database_of_raw_bars_has_no_finding(store):
    keep(store, "raw", "2024-05-10")
    listed(store, *SPLIT)
    assert list(of_adjusted(store, TODAY)) == []


def test_a_writer_looks_at_the_stored_actions_once_and_only_where_there_are_any(store, monkeypatch):
    looked, later = list[str](), action_knowledge._later

    def looks(*given):
        looked.append("")
        return later(*given)

    monkeypatch.setattr(action_knowledge, "_later", looks)
    keep(store, "split", "2024-05-08", last="2024-05-07")
    keep(store, "split", "2024-05-10", first="2024-05-08", last="2024-05-09")
    assert looked == [], "no action is stored"
    listed(store, *SPLIT, at="2024-05-11")
    keep(store, "raw", "2024-05-08", last="2024-05-07")
    keep(store, "raw", "2024-05-10", first="2024-05-08", last="2024-05-09")
    assert looked == [], "prices as traded have no actions"
    keep(store, "split", "2024-05-14", first="2024-05-10", last="2024-05-13")
    assert looked == [""]
    covered = store.covered("polygon", "bars", "1d", "split", ["AAPL"])
    assert [(one.first_day, one.last_day) for one in covered] == [
        (date(2024, 1, 2), date(2024, 5, 9)), (date(2024, 5, 10), date(2024, 5, 13)),
    ]  # fmt: skip


def test_intervals_that_are_written_together_stay_apart_at_an_action(store):
    listed(store, *SPLIT, at="2024-05-11")
    days = [date(2024, 1, 2), date(2024, 3, 1), date(2024, 3, 2), date(2024, 5, 10)]
    parts = [
        Covered("polygon", "bars", "AAPL", "1d", "split", days[n], days[n + 1], days[n + 1], ms(at))
        for n, at in ((0, "2024-05-10"), (2, "2024-05-14"))
    ]
    store.cover(parts)
    assert store.covered("polygon", "bars", "1d", "split", ["AAPL"]) == parts
