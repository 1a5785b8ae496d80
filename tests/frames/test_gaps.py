"""`marketfetch gaps`: sessions of the right calendar without a stored bar, told apart by why, as intervals."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from marketfetch.cli.main import marketfetch as command
from marketfetch.ops.gap_reasons import WHYS, Known, runs
from marketfetch.schemas.bars import BarColumns
from marketfetch.schemas.job_spec import JobSpec
from marketfetch.schemas.ledger import Batch, LedgerRow, Outcome
from marketfetch.schemas.page import Reject
from marketfetch.storage import open_store
from marketfetch.storage.store import Job
from marketfetch.vendors.times import day_start_ms, unix_ms
from tests.frames.conftest import kept

NEW_YORK = "America/New_York"
ASKED_MS = unix_ms(datetime(2024, 6, 1, tzinfo=UTC))


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, ["gaps", *arguments])


def weekdays(first: date, last: date, *without: str) -> list[date]:
    """Every day of New York's sessions in January and February 2024: all weekdays but two holidays."""
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    closed = {"2024-01-15", "2024-02-19", *without}
    return [day for day in days if day.weekday() < 5 and day.isoformat() not in closed]


def bars_of(days, zone=NEW_YORK, *, partial=()) -> BarColumns:
    ts = np.array([day_start_ms(day, zone) for day in days], dtype=np.int64)
    return BarColumns.build(
        ts, close=np.full(len(ts), 1.0), partial=np.array([str(day) in partial for day in days], dtype=bool)
    )


def keep_days(store, symbol: str, days, *, zone=NEW_YORK, partial=(), **more) -> None:
    kept(store, symbol, bars_of(days, zone, partial=partial), zone=zone, adjustment="raw", **more)


def covered(
    store, symbol: str, first: str, last: str, final_to: str | None, *, provider="polygon", timespan="1d", dataset="bars"
) -> None:
    time = store.database.spelling.time()
    sql = f"INSERT INTO coverage VALUES (?, ?, ?, ?, 'raw', ?, ?, ?, {time})"
    store.database.change(lambda do: do(sql, provider, dataset, symbol, timespan, first, last, final_to, ASKED_MS))


def ended(store, symbol: str, first: str, last: str, *, outcome: Outcome, reason: str = "", rejects=(), arguments=True) -> None:
    """One request of a job that is over; without `arguments` a job of an earlier release."""
    row = LedgerRow(
        f"{symbol}-{first}", f"{symbol}-{first}", 0, "polygon", symbol, outcome, reason, rejects=len(rejects), calls=1
    )
    spec = JobSpec(provider="polygon", symbols=(symbol,), start=first, end=last, as_of="2024-06-01T00:00Z", adjustment="raw")
    store.save_job(Job(id=spec.id, spec=spec.model_dump_json(), created_at_ms=ASKED_MS), [row.root])
    if arguments:
        asked = json.dumps({"symbol": symbol, "start": first, "end": last, "adjustment": "raw"})
        store.database.change(
            lambda do: do("UPDATE job_requests SET arguments = ?, position = 0 WHERE root = ?", asked, row.root)
        )
    store.store([Batch(row, (), tuple(rejects))])


def told(done: Result) -> list[tuple[str, str, str, int]]:
    return [(one["why"], one["first"], one["last"], one["sessions"]) for one in json.loads(done.stdout)["gaps"]]


@pytest.mark.parametrize("recorded", [True, False], ids=["recorded requests", "a job of an earlier release"])
def test_the_reasons_are_told_apart(configured, store, recorded, monkeypatch):
    missing = ["2024-01-04", "2024-01-10", "2024-01-16", "2024-01-17", "2024-01-23", "2024-01-30"]
    keep_days(store, "AAPL", weekdays(date(2024, 1, 2), date(2024, 2, 2), *missing))
    covered(store, "AAPL", "2024-01-01", "2024-01-12", "2024-01-12")
    covered(store, "AAPL", "2024-01-29", "2024-01-31", "2024-01-29")
    refused = Reject(row=1, field="low", value="9", reason="low is above open", symbol="AAPL")
    ended(store, "AAPL", "2024-01-08", "2024-01-12", outcome="stored", rejects=[refused], arguments=recorded)
    ended(store, "AAPL", "2024-01-15", "2024-01-19", outcome="failed", reason="AAPL: Gone: no such page.", arguments=recorded)
    done = run("polygon", "AAPL", "--json")
    assert done.exit_code == 1, done.output
    assert told(done) == [
        ("vendor_has_none", "2024-01-04", "2024-01-04", 1),
        ("rejected", "2024-01-10", "2024-01-10", 1),
        ("failed", "2024-01-16", "2024-01-17", 2),  # the 15th is a holiday
        ("never_asked", "2024-01-23", "2024-01-23", 1),
        ("never_asked", "2024-01-30", "2024-01-30", 1),
    ]
    document = json.loads(done.stdout)
    assert document["missing"] == {"never_asked": 2, "failed": 2, "rejected": 1, "vendor_has_none": 1}
    assert (document["series"], document["sessions"]) == (1, 23)
    assert [one["reason"] for one in document["gaps"]] == [
        "", "low is above open", "AAPL: Gone: no such page.", "", "asked only before it was final",
    ]  # fmt: skip
    with monkeypatch.context() as terminal:
        terminal.setenv("FORCE_COLOR", "1")
        terminal.setenv("COLUMNS", "60")
        narrow = run("polygon", "AAPL")
    assert "AAPL    2024-01-16  2024-01-17  2         failed\n" in narrow.stdout, "a line a gap, with whole dates"
    assert max(map(len, narrow.stdout.splitlines()[1:])) <= 60
    assert "Without vendor, bars and more, for which the terminal is too narrow" in narrow.stderr
    assert document["gaps"][0]["at"] == "2024-06-01T00:00:00+00:00"
    text = run("AAPL").output
    assert "6 sessions missing among 23 sessions of 1 series: 2 never asked, 2 failed, 1 rejected, 1 vendor has none." in text
    assert "asked on 2024-06-01" in text


def test_what_the_vendor_has_confirmed_not_to_have_is_no_gap_for_a_monitor(configured, store):
    keep_days(store, "AAPL", weekdays(date(2024, 1, 8), date(2024, 1, 31), "2024-01-10"))
    covered(store, "AAPL", "2020-01-01", "2024-02-02", "2024-02-02")
    done = run("--json")
    assert done.exit_code == 0, done.output
    # Years before the first bar are before the listing began; the days behind the last one are a hole.
    assert told(done) == [
        ("vendor_has_none", "2024-01-10", "2024-01-10", 1),
        ("vendor_has_none", "2024-02-01", "2024-02-02", 2),
    ]


@pytest.mark.parametrize("symbol", ["AAPL", "*"])
def test_empty_replies_long_before_the_first_bar_do_not_extend_the_series(configured, store, symbol):
    """Of the symbol, or of the whole market."""
    keep_days(store, "AAPL", weekdays(date(2024, 1, 8), date(2024, 1, 12)))
    covered(store, symbol, "1850-01-01", "1851-01-01", "1851-01-01")
    done = run("--json")
    assert done.exit_code == 0, done.output
    assert told(done) == []
    assert json.loads(done.stdout)["sessions"] == 5
    # Who names the years asks for them.
    asked = told(run("AAPL", "--start", "2023-12-28", "--json"))
    assert asked == [("never_asked", "2023-12-28", "2024-01-05", 6)]
    # A failure may hide bars, so the days from there on count.
    ended(store, "AAPL", "2023-12-21", "2023-12-22", outcome="failed", reason="AAPL: Unavailable: 503.")
    assert told(run("--json")) == [("failed", "2023-12-21", "2023-12-22", 2), ("never_asked", "2023-12-26", "2024-01-05", 8)]


def test_of_a_series_without_a_bar_only_what_was_asked_counts(configured, store):
    covered(store, "AAPL", "1850-01-01", "1850-01-04", "1850-01-04")
    covered(store, "AAPL", "2024-01-02", "2024-01-03", "2024-01-03")
    done = run("--json")
    assert done.exit_code == 0, done.output
    assert told(done) == [
        ("vendor_has_none", "1850-01-01", "1850-01-04", 4), ("vendor_has_none", "2024-01-02", "2024-01-03", 2),
    ]  # fmt: skip


def test_each_listing_has_its_own_calendar(in_sqlite):
    days = [day for n in range(16) if (day := date(2024, 1, 1) + timedelta(days=n)).weekday() < 5]
    for symbol in ("C:EURUSD", "X:BTCUSD"):
        in_sqlite(symbol, bars_of(days, "UTC"), zone="UTC")
    london = bars_of([day for day in days if day.day not in (1, 15)], "Europe/London")
    in_sqlite("TSCO.LON", london, zone="Europe/London", provider="alpha_vantage")
    in_sqlite("GDP", bars_of([date(2023, 1, 1), date(2024, 1, 1)], "UTC"), zone="UTC", provider="nasdaq")
    done = run("--json")
    found = {(one["symbol"], one["first"]) for one in json.loads(done.stdout)["gaps"]}
    weekend = {("X:BTCUSD", "2024-01-06"), ("X:BTCUSD", "2024-01-13")}
    sundays = {("C:EURUSD", "2024-01-07"), ("C:EURUSD", "2024-01-14")}
    assert found == weekend | sundays | {("TSCO.LON", "2024-01-15")}  # no holiday in London
    assert "1 series of nasdaq (GDP) follow no calendar that is known here" in " ".join(json.loads(done.stdout)["notes"])


def test_a_vendors_table_of_stocks_has_the_calendar_of_its_exchange(in_sqlite):
    in_sqlite(
        "EOD/AAPL", bars_of(weekdays(date(2024, 1, 2), date(2024, 1, 31), "2024-01-10")), zone=NEW_YORK, provider="nasdaq"
    )
    document = json.loads(run("--json").stdout)
    assert [(one["provider"], one["symbol"], one["first"], one["last"]) for one in document["gaps"]] == [
        ("nasdaq", "EOD/AAPL", "2024-01-10", "2024-01-10")  # and 15 January is a holiday
    ]
    assert document["notes"] == []


def test_weeks_and_months_are_periods(configured, store):
    kept(store, "A", bars_of([date(2024, 1, 1), date(2024, 1, 22)]), timespan="1w", adjustment="raw", zone=NEW_YORK)
    kept(store, "A", bars_of([date(2024, 1, 1), date(2024, 4, 1)]), timespan="1mo", adjustment="raw", zone=NEW_YORK)
    covered(store, "A", "2024-01-01", "2024-02-11", "2024-01-31", timespan="1w")
    assert told(run("--timespan", "1mo", "--json")) == [("never_asked", "2024-02-01", "2024-03-01", 2)]
    assert told(run("--timespan", "1w", "--json")) == [
        ("vendor_has_none", "2024-01-08", "2024-01-15", 2), ("vendor_has_none", "2024-01-29", "2024-01-29", 1),
        ("never_asked", "2024-02-05", "2024-02-05", 1),
    ]  # fmt: skip


def test_a_partial_bar_does_not_stand_for_its_session(configured, store):
    keep_days(store, "AAPL", weekdays(date(2024, 1, 2), date(2024, 1, 5)), partial=["2024-01-04"])
    assert told(run("--json")) == [("never_asked", "2024-01-04", "2024-01-04", 1)]


def test_start_and_end_widen_or_narrow_the_days(configured, store):
    keep_days(store, "AAPL", weekdays(date(2024, 1, 8), date(2024, 1, 31), "2024-01-10", "2024-01-24"))
    assert [one[1:3] for one in told(run("AAPL", "--start", "2024-01-11", "--end", "2024-02-02", "--json"))] == [
        ("2024-01-24", "2024-01-24"), ("2024-02-01", "2024-02-02"),
    ]  # fmt: skip
    assert run("AAPL", "--start", "2024-01-25", "--end", "2024-01-31").exit_code == 0
    assert told(run("AAPL", "--end", "2100-01-01", "--json"))[-1][0] == "never_asked"


def test_what_failed_without_a_bar_is_a_gap_too(configured, store):
    ended(store, "APPL", "2024-01-01", "2024-01-12", outcome="failed", reason="APPL: UnknownSymbol: no\x1b[31m such symbol.")
    done = run("APPL")
    assert done.exit_code == 0, "the same call would be refused again: no monitor stays red for a misspelt symbol"
    assert "No call brings sessions whose request the vendor has refused" in done.output
    assert "with --repair asks for what a call may bring" not in done.output
    assert "APPL    1d raw  2024-01-02  2024-01-12  9         failed  APPL: UnknownSymbol: no" in done.output
    assert "\x1b[31m" not in done.output


def test_the_exit_code_counts_what_repair_asks_for(configured, store):
    ended(store, "APPL", "2024-01-01", "2024-01-12", outcome="failed", reason="APPL: UnknownSymbol: no such symbol.")
    ended(store, "KO", "2024-01-01", "2024-01-12", outcome="failed", reason="KO: Unavailable: 503.")
    done = run()
    assert done.exit_code == 1
    assert "with --repair asks for what a call may bring" in done.output
    assert (run("APPL").exit_code, run("KO").exit_code) == (0, 1)


def test_a_symbol_that_is_nowhere_is_one_sentence(in_sqlite):
    in_sqlite("AAPL", bars_of([date(2024, 1, 2)]))
    done = run("APPL")
    assert done.exit_code == 1
    assert "Did you mean AAPL?" in done.output
    assert run("--timespan", "1x").exit_code == 2


def test_a_zone_that_the_machine_lacks_stops_no_other_series(in_sqlite, tmp_path):
    days = bars_of(weekdays(date(2024, 1, 2), date(2024, 1, 12), "2024-01-09"))
    in_sqlite("AAPL", days, adjustment="raw", zone=NEW_YORK)
    in_sqlite("MSFT", days, adjustment="raw", zone=NEW_YORK)
    with closing(open_store(f"sqlite:///{tmp_path}/bars.db")) as store:
        store.database.change(lambda do: do("UPDATE series_zones SET zone = 'Mars/Base' WHERE series_id = 1"))
    done = run("--json")
    assert [one["symbol"] for one in json.loads(done.stdout)["gaps"]] == ["MSFT"]
    (note,) = json.loads(done.stdout)["notes"]
    assert note.startswith("1 series of polygon (AAPL) were not checked: there is no time zone 'Mars/Base'.")


DAYS = st.integers(0, 40)
KNOWN = st.builds(Known, DAYS, DAYS, st.sampled_from(WHYS), at_ms=st.integers(0, 9))
DIFFERENT = st.lists(KNOWN, max_size=6, unique_by=lambda one: (one.why, one.at_ms))


@settings(deadline=None)
@given(st.sets(DAYS), st.sets(DAYS), st.none() | DAYS, DIFFERENT)
def test_runs_say_of_each_session_what_is_known_of_it(expected, stored, first_bar, known):
    """Against a look at one session after the other."""
    found: dict[int, object] = {}
    for one in runs(
        np.array(sorted(expected), dtype=np.int64), np.array(sorted(stored), dtype=np.int64), known, first_bar=first_bar
    ):
        among = [day for day in sorted(expected) if one.first <= day <= one.last]
        assert len(among) == one.sessions
        assert not found.keys() & set(among)
        found |= dict.fromkeys(among, one.known and (one.known.why, one.known.at_ms))
    for day in expected | stored:
        of_day = [one for one in known if one.first <= day <= one.last]
        best = max(of_day, key=lambda one: (WHYS.index(one.why), one.at_ms), default=None)
        early = first_bar is not None and day < first_bar and best is not None and best.why == "vendor has none"
        if day in stored or day not in expected or early:
            assert day not in found
        else:
            assert found[day] == (best and (best.why, best.at_ms))


def test_rejects_explain_no_more_sessions_than_they_are():
    ten, one = np.arange(10, dtype=np.int64), Known(0, 9, "rejected", "low is above open", most=1)
    none = Known(0, 9, "vendor has none")
    assert [gap.known for gap in runs(ten, ten[1:], [none, one], first_bar=0)] == [one]
    assert [gap.known for gap in runs(ten, ten[2:], [none, one], first_bar=0)] == [none]
