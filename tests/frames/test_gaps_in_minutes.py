"""`marketfetch gaps` within sessions: stretches of missing minutes, by the exchange's hours, told apart by what was asked."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from marketfetch.cli.main import marketfetch as command
from marketfetch.ops.missing_minutes import lacking
from marketfetch.schemas.bars import BarColumns
from marketfetch.schemas.page import Reject
from marketfetch.vendors.trading_hours import TradingHours
from tests.frames.conftest import kept
from tests.frames.test_gaps import NEW_YORK, covered, ended

TUESDAY, WEDNESDAY, THURSDAY, HALF_DAY = "2024-01-09", "2024-01-10", "2024-01-11", "2024-11-29"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, ["gaps", *arguments])


def moment(day: str, clock: str, zone: str = NEW_YORK) -> int:
    return int(datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=ZoneInfo(zone)).timestamp()) * 1_000


def minutes(day: str, *parts: str, step: int = 1, zone: str = NEW_YORK) -> list[int]:
    """The starts of the bars of each part, such as "09:30-16:00"."""
    found: list[int] = []
    for part in parts:
        begin, _, end = part.partition("-")
        found += range(moment(day, begin, zone), moment(day, end, zone), step * 60_000)
    return found


def keep(store, symbol: str, *starts: list[int], timespan: Any = "1m", zone: str = NEW_YORK, **more: Any) -> None:
    ts = np.array(sorted(one for some in starts for one in some), dtype=np.int64)
    kept(store, symbol, BarColumns.build(ts, close=np.ones(len(ts))), timespan=timespan, adjustment="raw", zone=zone, **more)


def final(store, symbol: str, first: str, last: str, **more: Any) -> None:
    covered(store, symbol, first, last, last, timespan=more.pop("timespan", "1m"), **more)


def told(done: Result, zone: str = NEW_YORK) -> list[tuple[str, str, str, str, int, int]]:
    def clock(text: str) -> str:
        return f"{datetime.fromisoformat(text).astimezone(ZoneInfo(zone)):%H:%M}"

    return [
        (one["why"], one["session"], clock(one["start"]), clock(one["end"]), one["bars"], one["possible"])
        for one in json.loads(done.stdout)["stretches"]
    ]


def test_a_missing_minute_is_never_asked_only_where_no_final_reply_covered_it(configured, store):
    keep(
        store,
        "AAPL",
        minutes(TUESDAY, "09:30-11:00", "11:45-15:59"),
        minutes(WEDNESDAY, "09:30-12:10", "12:20-16:00"),
        minutes(THURSDAY, "09:30-13:00"),
    )
    final(store, "AAPL", TUESDAY, WEDNESDAY)
    covered(store, "AAPL", THURSDAY, THURSDAY, None, timespan="1m")
    done = run("--json")
    assert done.exit_code == 1, done.output
    assert told(done) == [
        ("vendor_has_none", TUESDAY, "11:00", "11:45", 45, 390),
        ("never_asked", THURSDAY, "13:00", "16:00", 180, 390),
    ]
    document = json.loads(done.stdout)
    assert (document["gaps"], document["sessions"], document["extended_sessions"]) == ([], 3, 1)
    assert [one["reason"] for one in document["stretches"]] == ["", "asked only before it was final"]
    text = run()
    assert "2 stretches of sessions that have bars lack 225 bars: 1 never asked, 1 vendor has none." in text.stdout
    assert f"polygon  AAPL    1m raw  {THURSDAY}  13:00  16:00  180 of 390  never asked" in text.stdout
    assert "Times of stretches are those of the exchange: America/New_York." in text.stderr
    assert "Outside of the regular hours 1 session may lack bars" in text.stderr
    # What the vendor has confirmed not to have is no gap for a monitor; nor is a stretch that is shorter than asked for.
    assert run("--end", WEDNESDAY).exit_code == 0
    assert run("--stretch", "181m").exit_code == 0
    assert [one[2] for one in told(run("--stretch", "10m", "--json"))] == ["11:00", "12:10", "13:00"]


def test_extended_hours_are_listed_apart(configured, store):
    keep(store, "AAPL", minutes(TUESDAY, "09:30-16:00"), minutes(WEDNESDAY, "04:10-04:20", "09:30-16:00", "18:00-18:05"))
    assert run().exit_code == 0
    done = run("--extended", "--json")
    assert done.exit_code == 1
    assert told(done) == [
        ("never_asked", TUESDAY, "04:00", "20:00", 570, 570),
        ("never_asked", WEDNESDAY, "04:20", "20:00", 545, 570),  # ten minutes before the first bar are too few to count
    ]
    assert {one["hours"] for one in json.loads(done.stdout)["stretches"]} == {"extended"}
    assert "570 of 570 extended" in run("--extended").stdout
    final(store, "AAPL", TUESDAY, WEDNESDAY)
    assert told(run("--extended", "--json")) == []


def test_early_closes_and_longer_bars_are_known(configured, store):
    keep(store, "AAPL", minutes(HALF_DAY, "09:30-13:00"))
    keep(store, "AAPL", minutes(HALF_DAY, "09:00-11:00", "12:00-13:00", step=60), timespan="1h")
    keep(store, "KO", minutes(TUESDAY, "09:30-16:00", step=60), timespan="1h")  # hours from the open on
    final(store, "AAPL", HALF_DAY, HALF_DAY)
    final(store, "AAPL", HALF_DAY, HALF_DAY, timespan="1h")
    final(store, "KO", TUESDAY, TUESDAY, timespan="1h")
    assert told(run("--json")) == [("vendor_has_none", HALF_DAY, "11:00", "12:00", 1, 4)]


def test_currencies_rest_from_friday_to_sunday_evening_and_crypto_never(in_sqlite, tmp_path):
    fridays = minutes("2024-01-12", "00:00-22:00", zone="UTC")
    sundays = minutes("2024-01-14", "22:00-23:59", zone="UTC")
    for symbol in ("C:EURUSD", "X:BTCUSD"):
        ts = np.array([*fridays, *sundays], dtype=np.int64)
        in_sqlite(symbol, BarColumns.build(ts, close=np.ones(len(ts))), timespan="1m", adjustment="raw", zone="UTC")
    done = run("--json")
    assert [one[1:] for one in told(done, "UTC")] == [
        ("2024-01-12", "22:00", "00:00", 120, 1_440), ("2024-01-14", "00:00", "22:00", 1_320, 1_440),
    ]  # fmt: skip
    assert {one["symbol"] for one in json.loads(done.stdout)["stretches"]} == {"X:BTCUSD"}
    assert [(one["symbol"], one["first"]) for one in json.loads(done.stdout)["gaps"]] == [("X:BTCUSD", "2024-01-13")]


def test_before_its_first_bar_a_listing_had_not_begun(configured, store):
    keep(store, "NEW", minutes(TUESDAY, "11:50-16:00"), minutes(WEDNESDAY, "10:30-16:00"))
    final(store, "NEW", TUESDAY, WEDNESDAY)
    assert told(run("--json")) == [("vendor_has_none", WEDNESDAY, "09:30", "10:30", 60, 390)]


def test_failures_and_rejects_are_named_and_few_rejects_explain_no_session(configured, store):
    keep(
        store,
        "AAPL",
        minutes(TUESDAY, "09:30-10:00", "10:35-16:00"),
        minutes(THURSDAY, "09:30-14:00"),
        minutes("2024-01-16", "09:30-16:00"),
    )
    final(store, "AAPL", TUESDAY, WEDNESDAY)
    refused = [Reject(row=n, field="low", value="9", reason="low is above open", symbol="AAPL") for n in range(36)]
    ended(store, "AAPL", TUESDAY, WEDNESDAY, outcome="stored", rejects=refused)
    ended(store, "AAPL", THURSDAY, "2024-01-12", outcome="failed", reason="AAPL: Unavailable: 503.")
    sql = 'UPDATE job_requests SET arguments = replace(arguments, \'"adjustment"\', \'"timespan": "1m", "adjustment"\')'
    store.database.change(lambda do: do(sql))
    done = run("--timespan", "1m", "--json")
    assert told(done) == [
        ("rejected", TUESDAY, "10:00", "10:35", 35, 390), ("failed", THURSDAY, "14:00", "16:00", 120, 390),
    ]  # fmt: skip
    assert [(one["why"], one["first"]) for one in json.loads(done.stdout)["gaps"]] == [
        ("vendor_has_none", WEDNESDAY), ("failed", "2024-01-12"),
    ]  # fmt: skip


STRETCHES = st.lists(st.tuples(st.integers(0, 6), st.integers(1, 12)), max_size=5)


@settings(deadline=None, max_examples=50)
@given(STRETCHES, st.sets(st.integers(0, 90)), st.sampled_from([1, 3, 5]))
def test_runs_of_missing_bars_are_those_of_a_look_at_each_minute(stretches, starts, step):
    at, found = 0, []
    for pause, length in stretches:
        begin = -(-(at + pause) // step) * step  # no bar belongs to two of them
        at = begin + length
        found.append((begin, at))
    begins, ends = (np.array([one[place] for one in found], dtype=np.int64) for place in (0, 1))
    hours = TradingHours(np.arange(len(found)), begins, ends, np.zeros(len(found), dtype=np.bool_))
    stored = {one // step for one in starts}
    expected = set()
    for day, (begin, end) in enumerate(found):
        expected |= {(day, bar) for bar in range(begin // step, -(-end // step)) if bar not in stored}
    runs = lacking(np.array(sorted(stored), dtype=np.int64), hours, step)
    listed = [(day, bar) for day, a, b in zip(*(one.tolist() for one in runs), strict=True) for bar in range(a, b)]
    assert len(listed) == len(set(listed))
    assert set(listed) == expected
    assert all((day, a - 1) not in expected and (day, b) not in expected for day, a, b in zip(*runs, strict=True))


def test_a_session_that_is_not_over_lacks_nothing(configured, store, monkeypatch):
    keep(store, "AAPL", minutes(TUESDAY, "09:30-12:00"))
    now = datetime(2024, 1, 9, 17, tzinfo=UTC)
    monkeypatch.setattr("time.time_ns", lambda: int(now.timestamp()) * 1_000_000_000)
    assert told(run("--json")) == []
    assert date.fromisoformat(TUESDAY) == now.date()


@pytest.mark.parametrize("length", ["0s", "x"])
def test_a_stretch_is_a_length_of_time(length):
    assert run("--stretch", length).exit_code == 2
