"""`marketfetch status --freshness`: the last final bar of each series against the last session that is final."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime

import pytest
from click.testing import CliRunner, Result

from marketfetch.cli.main import marketfetch as command
from marketfetch.ops import staleness
from marketfetch.schemas.ledger import Batch, LedgerRow
from marketfetch.schemas.record_kinds import Records
from marketfetch.vendors.expected_days import table_ends
from marketfetch.vendors.times import unix_ms
from tests.frames.conftest import kept
from tests.frames.test_adjusted_bars import listed
from tests.frames.test_gaps import NEW_YORK, bars_of, covered, keep_days, weekdays

#: Tuesday evening in New York. Stocks of 5 February are final: their session, four hours and the vendor's delay have passed.
NOW_MS = unix_ms(datetime(2024, 2, 7, 2, tzinfo=UTC))


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, ["status", "--freshness", *arguments])


@pytest.fixture(autouse=True)
def at_that_time(monkeypatch):
    monkeypatch.setattr(staleness, "_now_ms", lambda: NOW_MS)


def test_series_are_stale_by_sessions_worst_first(configured, store):
    keep_days(store, "FRESH", weekdays(date(2024, 1, 22), date(2024, 2, 5)))
    keep_days(store, "LATE", weekdays(date(2024, 1, 22), date(2024, 2, 2)))
    keep_days(store, "WORST", weekdays(date(2023, 12, 4), date(2024, 1, 12), "2023-12-25", "2024-01-01"))
    keep_days(store, "DELISTED", weekdays(date(2023, 12, 4), date(2023, 12, 8)))
    covered(store, "DELISTED", "2023-12-01", "2024-02-05", "2024-02-05")
    done = run("--json")
    assert done.exit_code == 1, done.output
    document = json.loads(done.stdout)
    assert (document["fresh"], document["stale"], document["ended"]) == (1, 2, 1)
    # 15 January is a holiday; weekends are none of a stock's sessions.
    assert [(one["symbol"], one["sessions"], one["last"], one["due"]) for one in document["series"]] == [
        ("WORST", 15, "2024-01-12", "2024-02-05"),
        ("LATE", 1, "2024-02-02", "2024-02-05"),
        ("DELISTED", 38, "2023-12-08", "2024-02-05"),
    ]
    assert [one["vendor_has_none"] for one in document["series"]] == [False, False, True]
    text = run("--limit", "1").output
    assert "4 series: 1 fresh, 2 stale, 1 of which the vendor has no more." in text
    assert "WORST" in text
    assert "LATE" not in text


def test_a_listing_that_has_ended_is_no_alarm(configured, store):
    keep_days(store, "DELISTED", weekdays(date(2023, 12, 4), date(2023, 12, 8)))
    covered(store, "DELISTED", "2023-12-01", "2024-02-05", "2024-02-05")
    done = run()
    assert done.exit_code == 0, done.output
    assert "vendor has none, asked on 2024-06-01" in done.output


def test_a_partial_bar_is_not_the_last_one(configured, store):
    keep_days(store, "AAPL", weekdays(date(2024, 2, 1), date(2024, 2, 5)), partial=["2024-02-05"])
    keep_days(store, "ONLY", [date(2024, 2, 5)], partial=["2024-02-05"])
    found = {one["symbol"]: (one["last"], one["sessions"]) for one in json.loads(run("--json").stdout)["series"]}
    assert found == {"AAPL": ("2024-02-02", 1), "ONLY": (None, 1)}


def test_each_listing_is_due_by_its_own_calendar(configured, store):
    keep_days(store, "X:BTCUSD", [date(2024, 2, 2)], zone="UTC")
    keep_days(store, "C:EURUSD", [date(2024, 2, 2)], zone="UTC")
    kept(store, "AAPL", bars_of([date(2024, 1, 29)]), timespan="1w", adjustment="raw", zone=NEW_YORK)
    kept(store, "AAPL", bars_of([date(2023, 12, 1)]), timespan="1mo", adjustment="raw", zone=NEW_YORK)
    found = {(one["symbol"], one["timespan"]): one["sessions"] for one in json.loads(run("--json").stdout)["series"]}
    assert found == {("X:BTCUSD", "1d"): 3, ("C:EURUSD", "1d"): 2, ("AAPL", "1mo"): 1}


def test_a_vendors_table_of_stocks_is_due_by_the_calendar_of_its_exchange(configured, store):
    keep_days(store, "EOD/AAPL", weekdays(date(2024, 1, 2), date(2024, 1, 11)), provider="nasdaq")
    keep_days(store, "FRED/GDP", [date(2023, 10, 1)], zone="UTC", provider="nasdaq")
    document = json.loads(run("--json").stdout)
    found = {one["symbol"]: (one["last"], one["due"], one["sessions"]) for one in document["series"]}
    # 15 January is a holiday; the table of 5 February is published later than bars are.
    assert found == {"EOD/AAPL": ("2024-01-11", "2024-02-02", 15)}
    assert "FRED/GDP" in " ".join(document["notes"])


def test_behind_the_end_of_the_table_weekdays_count_and_a_sentence_says_so(configured, store, monkeypatch):
    later = unix_ms(datetime(2028, 12, 27, 12, tzinfo=UTC))
    monkeypatch.setattr(staleness, "_now_ms", lambda: later)
    keep_days(store, "AAPL", [date(2028, 12, 22)])
    document = json.loads(run("--json").stdout)
    assert [one["sessions"] for one in document["series"]] == [2]  # Christmas is one of them
    assert document["notes"][0].startswith(
        f"The calendar of XNYS ends on {table_ends('XNYS')}: after it every weekday counts as a session"
    )


def listings(store, dataset: str, *rows: tuple[str, ...], day: str) -> None:
    """A whole list of symbols, as it was on a day: symbol, name, the vendor's id, and the last day of what is delisted."""
    at_ms = unix_ms(datetime.fromisoformat(day).replace(tzinfo=UTC))
    status = "active" if dataset == "symbols" else "delisted"
    records = [
        (symbol, status, "", name, "XNYS", "CS", "stocks", "usd", None, delisted[0] if delisted else None, vendor_id)
        for symbol, name, vendor_id, *delisted in rows
    ]
    row = LedgerRow(
        f"{dataset}-{day}", f"{dataset}-{day}", 0, "polygon", "*", "stored", rows=len(rows), calls=1, called_at_ms=at_ms
    )
    assert store.store([Batch(row, records=Records("symbols", tuple(records), dataset=dataset))]) == [True]


def test_a_symbol_that_is_delisted_or_renamed_is_said_with_the_words_of_the_vendors_lists(configured, store):
    for symbol in ("FB", "TWTR", "GONE", "LATE"):
        keep_days(store, symbol, weekdays(date(2024, 1, 2), date(2024, 1, 11)))
    keep_days(store, "META", weekdays(date(2024, 1, 16), date(2024, 2, 5)))
    active = [("FB", "Facebook, Inc.", "BBG1"), ("GONE", "Gone Corp", "BBG3"), ("LATE", "Late Corp", "BBG4")]
    listings(store, "symbols", *active, day="2024-01-10")
    listings(store, "symbols", ("META", "Meta Platforms", "BBG1"), active[2], day="2024-01-20")
    listings(store, "delisted", ("TWTR", "Twitter, Inc.", "BBG2", "2024-01-12"), day="2024-01-20")
    done = run("--json")
    document = json.loads(done.stdout)
    found = {one["symbol"]: one["listing"] for one in document["series"]}
    assert found == {
        "FB": "is missing in the list of polygon since 2024-01-20 (Facebook, Inc.), "
        "and its id is that of META (Meta Platforms) now",
        "GONE": "is missing in the list of polygon since 2024-01-20 (Gone Corp)",
        "LATE": "",
        "TWTR": "is delisted since 2024-01-12 in the lists of polygon (Twitter, Inc.)",
    }
    # The vendor's word that a listing has ended is no alarm; that its list lacks a symbol may be the vendor's mistake.
    assert (document["fresh"], document["stale"], document["ended"]) == (1, 3, 1)
    assert f"FB {found['FB']}." in run().output
    gaps = CliRunner().invoke(command, ["gaps", "--end", "2024-02-05"])
    assert f"FB {found['FB']}." in gaps.output
    assert "LATE is" not in gaps.output


def test_a_symbol_that_is_listed_again_or_was_only_found_by_a_search_has_not_ended(configured, store):
    keep_days(store, "AAA", weekdays(date(2024, 1, 2), date(2024, 1, 11)))
    listings(store, "symbols", ("AAA", "Again", ""), day="2024-01-10")
    listings(store, "delisted", ("AAA", "Before", "", "2010-01-12"), day="2024-01-20")
    document = json.loads(run("--json").stdout)
    assert [(one["symbol"], one["listing"]) for one in document["series"]] == [("AAA", "")]
    assert document["stale"] == 1


def test_freshness_is_no_question_about_a_job(configured):
    done = CliRunner().invoke(command, ["status", "1234", "--freshness"])
    assert done.exit_code == 2
    assert "--freshness looks at stored series: leave out JOB" in done.output


def test_adjusted_series_without_a_list_of_splits_are_named_with_the_command_that_fetches_it(configured, store):
    days = weekdays(date(2024, 1, 22), date(2024, 2, 5))
    for symbol in ("AAPL", "KO"):
        kept(store, symbol, bars_of(days), zone=NEW_YORK, adjustment="split")
    assert "The splits of AAPL and of 1 more were never fetched" in run().output
    assert "`marketfetch fetch polygon AAPL ... --dataset splits`" in " ".join(run().output.split())
    listed(store, symbol="AAPL")
    assert "The splits of KO were never fetched" in run().output
    listed(store, symbol="KO")
    assert "never fetched" not in run().output
