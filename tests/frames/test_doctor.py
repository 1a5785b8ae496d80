"""`marketfetch doctor`: each kind of finding on made-up series with one defect, quiet on a sound one, and at scale."""

from __future__ import annotations

import dataclasses
import json
from datetime import date, timedelta
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from marketfetch.cli.main import marketfetch as command
from marketfetch.frames import data_doctor
from marketfetch.frames.data_doctor import _days_of, _each, _fetch_splits, _of_splits, _outdated, _stale
from marketfetch.frames.series_checks import Bounds, Calendar, DailyBars, SeriesFinding, check, contradicting, stopped
from marketfetch.schemas.bars import BarColumns
from marketfetch.storage import open_store
from marketfetch.storage.store import Store
from marketfetch.storage.stored_series import StoredSeries
from marketfetch.storage.vendor_adjusted import StaleSeries
from marketfetch.vendors.times import day_start_ms
from tests.frames.conftest import DAY_MS, JANUARY_2, columns_of
from tests.frames.test_gaps import bars_of, covered
from tests.storage.test_stores_note_changed_columns import bars as reply_of_bars
from tests.storage.test_stores_note_changed_columns import sight

#: 2 January 2024, a Tuesday, in days since 1970.
FIRST = (date(2024, 1, 2) - date(1970, 1, 1)).days


def series(close: np.ndarray | list[float], **columns: np.ndarray) -> DailyBars:
    values = np.array(close, dtype=np.float64)
    of = {"open": values, "high": values * 1.01, "low": values * 0.99, "vwap": values}
    volume = np.arange(1.0, len(values) + 1)
    return DailyBars(**{"days": FIRST + np.arange(len(values)), "close": values, "volume": volume, **of, **columns})


def walk(n: int = 300) -> np.ndarray:
    return 100 * np.exp(np.random.default_rng(7).normal(0, 0.02, n).cumsum())


def found(bars: DailyBars, *, adjusted: bool = False, splits: dict[int, float] | None = None, **more) -> list[SeriesFinding]:
    calendar = more.get("calendar", Calendar())
    return list(check(bars, adjusted=adjusted, splits=splits or {}, calendar=calendar, bounds=more.get("bounds", Bounds())))


def kinds(*arguments, **more) -> list[tuple[str, str]]:
    return [(one.level, one.kind) for one in found(*arguments, **more)]


def every(*days: int) -> Calendar:
    """A calendar of these sessions, on each of which every vendor has a bar."""
    sessions = np.array(days, dtype=np.int64)
    return Calendar(sessions, sessions)


def test_a_sound_series_has_no_finding():
    assert found(series(walk())) == []
    assert found(series([])) == found(series([1.0])) == []


@pytest.mark.parametrize("ratio", [4.0, 1.5, 0.1, 20.0])
def test_a_stored_split_explains_the_jump_of_raw_prices(ratio):
    close = walk()
    close[100:] /= ratio
    assert kinds(series(close), splits={FIRST + 100: ratio}) == [("note", "split")]


def test_a_jump_of_a_small_ratio_looks_like_a_split_that_is_not_stored():
    close = walk()
    close[100:] /= 4
    close[100] = close[99] / 4.02
    (one,) = found(series(close))
    assert (one.level, one.kind) == ("warning", "jump like a split")
    assert "as a split of 4-for-1 that is not stored" in one.sentence
    (one,) = found(series(close), adjusted=True)
    assert one.level == "error"
    assert "not applied" in one.sentence


def test_a_jump_that_nothing_explains_is_an_error():
    close = walk()
    close[100:] /= 2.23
    close[100] = close[99] / 2.23
    (one,) = found(series(close))
    assert (one.level, one.kind, one.first) == ("error", "jump", date(2024, 4, 11))
    assert "no split explains it" in one.sentence
    assert kinds(series(close), bounds=Bounds(jump=3.0)) == []


def test_five_months_at_half_the_price_are_one_finding_with_both_dates():
    close = walk()
    close[100:205] /= 2
    (one,) = found(series(close))
    assert (one.level, one.kind) == ("error", "excursion")
    assert "(105 bars) prices are about 0.5 times" in one.sentence
    assert (one.first, one.last) == (date(2024, 4, 11), date(2024, 7, 24))


def test_a_day_at_a_hundred_times_the_price_is_one_too():
    close = walk()
    close[50] *= 100
    assert kinds(series(close)) == [("error", "excursion")]


def test_a_split_that_adjusted_prices_show_is_not_applied():
    close = walk()
    assert kinds(series(close), adjusted=True, splits={FIRST + 100: 4.0}) == []
    close[100:] /= 4
    assert kinds(series(close), adjusted=True, splits={FIRST + 100: 4.0}) == [("error", "split not applied")]


def test_a_split_off_by_one_day_and_one_that_raw_prices_do_not_show():
    close = walk()
    (one,) = found(series(close), splits={FIRST + 100: 4.0})
    assert (one.level, one.kind) == ("error", "split not shown")
    close[101:] /= 4
    (one,) = found(series(close), splits={FIRST + 100: 4.0})
    assert "the prices show the split of 4-for-1 on 2024-04-11 on 2024-04-12" in one.sentence
    assert kinds(series(walk()), splits={FIRST + 100: 1.046}) == [], "a spin-off's factor is no jump"


def test_a_flat_run_counts_only_where_there_is_volume():
    close = walk()
    close[20:32] = close[20]
    (one,) = found(series(close))
    assert one.kind == "flat run"
    assert one.sentence.startswith("12 sessions in a row")
    assert kinds(series(close), bounds=Bounds(flat=13)) == []
    assert found(series(close, volume=np.zeros(300))) == []


def test_bars_on_days_without_a_session_are_counted_and_named():
    (one,) = found(series(walk(7)), calendar=every(FIRST + 1, FIRST + 2, FIRST + 3, FIRST + 6))
    assert one.sentence == "3 bars are on days without a session (2024-01-02, 2024-01-06, 2024-01-07)"


def test_a_share_of_vwaps_outside_their_bars():
    close = walk()
    vwap = np.where(np.arange(300) < 90, close * 4, close)
    assert kinds(series(close, vwap=vwap)) == [("warning", "vwap")]
    assert found(series(close, vwap=np.where(np.arange(300) < 30, close * 4, close))) == [], "a tenth is usual"


def test_rates_that_go_through_zero_have_no_jumps():
    assert found(series(np.tile([0.5, -0.5, 0.0, 3.0], 5), vwap=np.full(20, np.nan))) == []


def test_a_series_that_stops_and_two_splits_of_a_date():
    assert "11 sessions before" in stopped(FIRST, FIRST + 15, 11).sentence
    assert "(4-for-1, 1-for-4)" in contradicting(date(2024, 1, 2), [4.0, 0.25]).sentence


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(allow_nan=True, allow_infinity=False, width=32), max_size=40), st.booleans())
def test_no_series_breaks_the_checks_or_floods_the_list(close, adjusted):
    days = {FIRST + n: 2.0 for n in range(0, 40, 7)}
    assert len(found(series(close), adjusted=adjusted, splits=days, calendar=every(*range(FIRST, FIRST + 40, 3)))) <= 20


def with_a_gap(close: np.ndarray, *, at: int, sessions: int) -> tuple[DailyBars, Calendar]:
    """A series without the bars of so many sessions before the one at this position, and the calendar that has them."""
    n = len(close)
    days = FIRST + np.arange(n) + np.where(np.arange(n) >= at, sessions, 0)
    return series(close, days=days), every(*range(FIRST, FIRST + n + sessions))


@pytest.mark.parametrize(
    ("sessions", "words"), [(1, "after 1 session that is not"), (1473, "after 1,473 sessions that are not")]
)
@pytest.mark.parametrize("ratio", [4.0, 0.37])
@pytest.mark.parametrize("adjusted", [False, True])
def test_over_sessions_that_are_not_stored_a_price_may_go_anywhere(sessions, words, ratio, adjusted):
    close = walk()
    close[100:] /= ratio
    bars, calendar = with_a_gap(close, at=100, sessions=sessions)
    for splits in ({}, {FIRST + 100: ratio}, {FIRST + 100 + sessions: ratio}, {FIRST + 100 + sessions: 30.0}):
        (one,) = found(bars, calendar=calendar, adjusted=adjusted, splits=splits)
        assert (one.level, one.kind) == ("note", "jump over a gap")
        assert f"{words} stored" in one.sentence
        assert "gaps" in one.todo
    assert kinds(bars, adjusted=adjusted) != [("note", "jump over a gap")], "without a calendar bars are neighbours"


def test_an_excursion_and_a_flat_run_reach_over_no_years_that_are_not_stored():
    close = walk()
    close[90:105] /= 2
    assert kinds(*with_a_gap(close, at=100, sessions=1)[:1], calendar=with_a_gap(close, at=100, sessions=1)[1]) == [
        ("error", "excursion")
    ]
    bars, calendar = with_a_gap(close, at=100, sessions=500)
    assert "excursion" not in {kind for _, kind in kinds(bars, calendar=calendar)}
    close = walk()
    close[90:106] = close[90]
    bars, calendar = with_a_gap(close, at=98, sessions=1)
    assert kinds(bars, calendar=calendar) == []
    assert kinds(bars) == [("warning", "flat run")]


def test_a_currency_without_bars_on_sunday_lacks_none():
    monday = FIRST + 6
    week = _days_of("24/5", FIRST, FIRST + 13)
    assert week.skipped(np.array([monday - 3, monday, monday + 1, monday + 3])).tolist() == [0, 0, 1]
    with_sunday = np.array([monday - 3, monday - 1, monday])
    assert week.skipped(with_sunday).tolist() == [0, 0]
    assert kinds(series(walk(3), days=with_sunday), calendar=week) == [], "and a bar on Sunday is on a session"


def test_sessions_are_counted_by_the_calendar_as_gaps_and_freshness_do(configured, keep):
    """Two years that were never fetched lie between the bars of GAPPY; OLD ends before them."""
    before = [date(2024, 1, 2) + timedelta(days=n) for n in (0, 1, 2)]
    after = [date(2025, 12, 22), date(2025, 12, 23)]
    to_ms = [day_start_ms(day, "America/New_York") for day in before + after]
    rising = {name: np.array([1.0, 1.0, 1.0, 3.2, 3.2]) for name in ("open", "high", "low", "close")}
    bars = dataclasses.replace(columns_of(to_ms), **rising)
    keep("GAPPY", bars, adjustment="raw", zone="America/New_York")
    keep("OLD", columns_of(to_ms[:3]), adjustment="raw", zone="America/New_York")
    document = json.loads(run("GAPPY", "--json", "--notes").stdout)
    assert [(one["kind"], one["level"]) for one in document["findings"]] == [("jump over a gap", "note")]
    lacked = json.loads(CliRunner().invoke(command, ["gaps", "GAPPY", "--json"]).stdout)["missing"]["never_asked"]
    assert f"after {lacked} sessions that are not stored" in document["findings"][0]["sentence"]
    done = run("GAPPY")
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[0].endswith("0 errors, 0 warnings, 1 jump over sessions that are not stored.")
    (ended,) = [one for one in json.loads(run("--json").stdout)["findings"] if one["kind"] == "stopped"]
    assert f", {lacked + 2} sessions before the vendor's latest bar" in ended["sentence"], "holidays are none"


def test_the_calendar_is_that_of_the_dataset_that_was_asked(configured, store, keep):
    """BTC as a coin has bars on Sundays; as a share it would have none."""
    days = [date(2024, 1, 2) + timedelta(days=n) for n in range(20)]
    keep("BTC", bars_of(days, "UTC"), provider="alpha_vantage", adjustment="raw", zone="UTC")
    assert "no session" in run("BTC").stdout
    covered(store, "BTC", "2024-01-02", "2024-01-21", "2024-01-21", provider="alpha_vantage", dataset="crypto")
    assert "no session" not in run("BTC").stdout


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, ["doctor", *arguments])


def test_the_command_counts_first_and_exits_with_1_for_an_error(configured, keep):
    weekdays = [JANUARY_2 + n * DAY_MS for n in range(60) if (n + 1) % 7 not in (5, 6)]
    sound = dataclasses.replace(columns_of(weekdays), volume=np.arange(1.0, len(weekdays) + 1))
    keep("SOUND", sound, adjustment="raw")
    half = {name: np.where(np.arange(len(weekdays)) == 20, 0.5, 1) for name in ("open", "high", "low", "close", "vwap")}
    values = {name: getattr(sound, name) * factor for name, factor in half.items()}
    keep("HALF", dataclasses.replace(sound, **values), adjustment="raw")
    done = run()
    assert done.exit_code == 1, done.output
    assert run("SOUND").exit_code == 0
    assert done.stdout.splitlines()[0] == f"{2 * len(weekdays)} daily bars in 2 series: 1 error, 2 warnings."
    assert "error: polygon HALF raw: from 2024-01-30 to 2024-01-30 (1 bars)" in done.stdout
    document = json.loads(run("HALF", "--json").stdout)
    assert document["counts"] == {"error": 1, "warning": 1, "note": 0}
    assert document["findings"][0]["symbol"] == "HALF"
    # New Year's Day is in no range here; Martin Luther King Day and Washington's Birthday are.
    assert "2 bars are on days without a session (2024-01-15, 2024-02-19)" in run("HALF").stdout


@pytest.mark.parametrize(
    ("provider", "adjustment", "todo"),
    [
        ("polygon", "raw", "`marketfetch fetch polygon HALF --dataset splits`."),
        (
            "polygon",
            "split",
            "--dataset splits`, then `marketfetch fetch polygon HALF --adjustment split --again`.",
        ),
        ("nasdaq", "raw", "nasdaq has no splits, and those of alpha_vantage count too. `marketfetch fetch alpha_vantage "),
    ],
)
def test_a_jump_like_a_split_comes_with_the_command_that_fetches_the_splits(in_sqlite, provider, adjustment, todo):
    bars = columns_of([JANUARY_2 + n * DAY_MS for n in range(20)])
    for name in ("open", "high", "low", "close", "vwap"):
        getattr(bars, name).flags.writeable = True
        getattr(bars, name)[10:] /= 2
    in_sqlite("HALF", bars, provider=provider, adjustment=adjustment)
    assert todo in run("HALF").stdout


def test_splits_that_are_stored_are_read(configured, keep, store):
    """Twice the same date, and adjusted prices that were fetched before."""
    columns = "provider text, symbol text, ex_date date, new_shares float, old_shares float, vendor_id text, ledger_id bigint"
    moment = "bigint" if store.database.spelling.folder == "sqlite" else "timestamptz"
    times = ", ".join(f"{name} {moment}" for name in ("first_seen", "fetched_at", "gone_at"))
    store.database.change(lambda execute: execute(f"CREATE TABLE IF NOT EXISTS splits ({columns}, {times})"))
    days = [JANUARY_2 + n * DAY_MS for n in range(20)]
    keep("KO", columns_of(days), adjustment="split")
    names = "provider, symbol, ex_date, new_shares, old_shares, vendor_id, first_seen, fetched_at, ledger_id"
    at = store.database.spelling.time("1")
    rows = [f"('polygon', 'KO', '2024-01-10', {new}, {old}, '', {at}, {at}, 1)" for new, old in ((4, 1), (1, 4))]
    store.database.change(lambda execute: execute(f"INSERT INTO splits ({names}) VALUES {', '.join(rows)}"))
    kinds = {one["kind"] for one in json.loads(run("KO", "--json").stdout)["findings"]}
    assert {"duplicate split", "older than an action"} <= kinds


def test_a_table_that_lacks_a_column_is_a_warning_also_where_no_bar_is_stored(configured, store):
    store.store([sight(10, "ticker", "eps"), sight(86_400_000, "ticker", "eps_mean")])
    store.store([dataclasses.replace(reply_of_bars(86_400_001, "o", "c", "vol"), series=())])
    told = CliRunner().invoke(command, ["doctor"])
    assert told.exit_code == 0, told.output
    assert "warning: polygon ZACKS/FC: the column 'eps' is gone since 1970-01-02, and 'eps_mean' is new." in told.output
    assert "warning: polygon bars of stocks: the column 'v' is gone since 1970-01-02, and 'vol' is new." in told.output
    assert CliRunner().invoke(command, ["doctor", "--provider", "nasdaq"]).exit_code == 1, "no bar of it is stored"
    told = CliRunner().invoke(command, ["gaps"])
    assert told.exit_code == 0, told.output
    assert "polygon ZACKS/FC: the column 'eps' is gone" in told.output
    assert "polygon bars of stocks: the column 'v' is gone" in told.output


def test_a_symbol_that_is_not_stored_is_named(configured, keep):
    keep("AAPL", columns_of([JANUARY_2]))
    done = run("AAPX")
    assert done.exit_code == 1
    assert "AAPX" in done.output


def test_series_that_lie_across_batches_are_seen_whole(in_sqlite, tmp_path):
    bars = BarColumns.build(JANUARY_2 + np.arange(250) * DAY_MS, close=walk(250), volume=np.ones(250))
    store = open_store(f"sqlite:///{tmp_path}/bars.db")
    from tests.frames.conftest import kept

    for n in range(100):
        kept(store, f"S{n:03}", bars, adjustment="raw")
    store.close()
    document = json.loads(run("--json").stdout)
    assert (document["series"], document["bars"]) == (100, 25_000)


def test_a_series_that_is_cut_between_two_batches_is_one_and_none_is_nothing():
    series = [StoredSeries(n + 1, "polygon", symbol, "1d", "raw", "UTC") for n, symbol in enumerate("AB")]
    ts = np.arange(4) * DAY_MS

    def batch(numbers: list[int], ts: np.ndarray) -> pa.RecordBatch:
        close = ts / DAY_MS + 1.0
        values = dict.fromkeys(("open", "high", "low", "close", "volume", "vwap"), close)
        return pa.RecordBatch.from_pydict({"n": np.array(numbers), "ts": ts, **values})

    def each(*batches: pa.RecordBatch) -> list[tuple[str, list[float]]]:
        source: Any = SimpleNamespace(batches=lambda *_: iter(batches))
        return [(one.symbol, bars.close.tolist()) for one, bars in _each(source, series)]

    assert each(batch([0, 0], ts[:2]), batch([0, 1], ts[2:])) == [("A", [1.0, 2.0, 3.0]), ("B", [4.0])]
    assert each() == []


def test_without_a_vendor_of_splits_no_command_is_named(monkeypatch):
    one = StoredSeries(1, "polygon", "KO", "1d", "raw")
    assert "`marketfetch fetch polygon KO --dataset splits`" in _fetch_splits(one)
    monkeypatch.setattr(data_doctor, "vendors_with", lambda _: ())
    assert _fetch_splits(one) == "No installed vendor has splits: look at the day at another source"


def test_splits_of_a_date_are_a_finding_only_where_they_contradict_and_the_symbol_is_asked_for():
    day = date(2024, 1, 10)
    known = {("polygon", "KO"): [(day, 4.0), (day, 0.25), (date(2024, 2, 10), 2.0)], ("polygon", "X"): [(day, 2.0), (day, 3.0)]}
    assert [(one.symbol, one.finding.first) for one in _of_splits(known, {("polygon", "KO")})] == [("KO", day)]


def test_stale_days_are_a_finding_of_each_series_that_is_looked_at(in_sqlite, monkeypatch):
    day = date(2024, 1, 10)

    def stale(symbol: str, of: str) -> StaleSeries:
        return StaleSeries("polygon", symbol, "1d", "split", day, day, day, "splits", day, of=of)

    monkeypatch.setattr(
        data_doctor, "stale_series", lambda *_: [stale(*one) for one in (("A", "bars"), ("B", "x"), ("C", "bars"))]
    )
    series = [StoredSeries(n, "polygon", symbol, "1d", "split") for n, symbol in enumerate("AB")]
    found = {one.symbol: one.finding for one in _stale(cast("Store", None), series, None, 0)}
    assert [*found] == ["A", "B"]
    assert found["A"].todo == "`marketfetch update polygon A --adjustment split` asks for the stale days again"
    assert found["B"].todo.startswith("The next update of it asks for the stale days again")
    assert {one.kind for one in found.values()} == {"older than an action"}


def test_prices_that_were_fetched_after_the_latest_split_before_them_are_as_new_as_it(monkeypatch):
    before, after = date(2024, 1, 10), date(2024, 3, 10)
    fetched = {day_start_ms(before, "UTC"): day_start_ms(after, "UTC"), day_start_ms(after, "UTC"): None}
    monkeypatch.setattr(data_doctor, "fetched_before", lambda _store, _number, before_ms: fetched[before_ms])
    one, store = StoredSeries(1, "polygon", "KO", "1d", "split", "UTC"), cast("Store", None)
    assert list(_outdated(store, one, splits := [(before, 4.0), (after, 2.0)])) == [], (
        "the later split is before every bar, and the earlier one was known"
    )
    fetched[day_start_ms(before, "UTC")] = day_start_ms(before, "UTC") - 1
    assert [finding.first for finding in _outdated(store, one, splits)] == [before]
    assert list(_outdated(store, dataclasses.replace(one, adjustment="raw"), splits)) == []
