"""`marketfetch.bars`: what is stored comes back, typed the same from both databases; each mistake ends in what to write."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner

import marketfetch
from marketfetch import BadRequestError, UnavailableError, settings
from marketfetch.cli.main import marketfetch as command
from marketfetch.frames import stored_bars
from marketfetch.schemas.columns_of_bars import FLOAT_COLUMNS
from marketfetch.storage import arrow_reading, open_store
from marketfetch.storage.arrow_reading import failures
from marketfetch.storage.store_errors import StoreUnavailable
from tests.frames.conftest import DAY_MS, JANUARY_2, columns_of, kept
from tests.imported_later import Later

if TYPE_CHECKING:
    import polars as pl
else:
    pl = Later("polars")

WITHOUT_TYPES: Any = marketfetch


def types() -> dict[str, Any]:
    """Of each column of a frame of bars."""
    floats = dict.fromkeys(FLOAT_COLUMNS, pl.Float64())
    first = {"symbol": pl.String(), "ts": pl.Datetime("ms", "UTC")}
    return {**first, **floats, "partial": pl.Boolean(), "date": pl.Date()}


def days(count: int, first: int = JANUARY_2) -> list[int]:
    return [first + n * DAY_MS for n in range(count)]


def same(frame: pl.DataFrame, bars: Any) -> bool:
    """Whether the frame has exactly these bars; NaN of a bar is null in a frame."""
    numbers = all(np.array_equal(frame[name].to_numpy(), getattr(bars, name), equal_nan=True) for name in FLOAT_COLUMNS)
    times = frame["ts"].dt.epoch("ms").to_list() == bars.ts.tolist()
    return numbers and times and frame["partial"].to_list() == bars.partial.tolist()


def test_what_was_stored_comes_back_by_symbol_and_time_with_the_same_types(configured, keep):
    # SQLite's driver takes the types of the first rows: here it sees thousands of nulls, also where a batch ends.
    long = keep("MSFT", columns_of(days(3_000), nulls=2_500, seed=1))
    short = keep("AAPL", columns_of(days(3), seed=2))
    keep("IBM", columns_of(days(3)))
    frame = marketfetch.bars(["MSFT", "AAPL", "MSFT"])
    assert dict(frame.schema) == types()
    assert frame["symbol"].unique(maintain_order=True).to_list() == ["AAPL", "MSFT"]
    assert same(frame.filter(symbol="AAPL"), short)
    assert same(frame.filter(symbol="MSFT"), long)
    assert frame["open"].null_count() == 2_500
    assert not frame["open"].is_nan().any()


def test_more_series_than_fit_into_a_statement_stay_in_order(configured, keep, monkeypatch):
    monkeypatch.setattr(arrow_reading, "_MOST_SERIES", 3)
    monkeypatch.setattr(arrow_reading, "_SQLITE_ROWS", 2)
    stored = {f"S{n}": keep(f"S{n}", columns_of(days(4), nulls=n % 5, seed=n)) for n in reversed(range(8))}
    frame = marketfetch.bars(list(stored))
    assert frame.select("symbol", "ts").equals(frame.select("symbol", "ts").sort("symbol", "ts"))
    assert all(same(frame.filter(symbol=name), bars) for name, bars in stored.items())


def test_an_arrow_table_and_a_frame_of_pandas_have_the_same_rows(configured, keep):
    keep("AAPL", columns_of(days(3)))
    table = marketfetch.bars("AAPL", as_="arrow")
    assert isinstance(table, pa.Table)
    assert table.schema.field("ts").type == pa.timestamp("ms", tz="UTC")
    of_pandas = marketfetch.bars("AAPL", as_="pandas")
    assert str(of_pandas["ts"].dtype) == "datetime64[ms, UTC]"
    assert of_pandas["close"].tolist() == table["close"].to_pylist() == marketfetch.bars("AAPL")["close"].to_list()


def test_columns_come_in_the_asked_order_and_alone(configured, keep):
    keep("AAPL", columns_of(days(2)))
    frame = marketfetch.bars("AAPL", columns=["close", "provider", "ts", "adjustment", "timespan"])
    assert frame.columns == ["close", "provider", "ts", "adjustment", "timespan"]
    assert frame.row(0)[1:] == ("polygon", datetime(2024, 1, 2, 5, tzinfo=UTC), "split", "1d")
    assert marketfetch.bars("AAPL", columns=["symbol"])["symbol"].to_list() == ["AAPL", "AAPL"]


def test_a_range_without_bars_is_an_empty_frame_with_the_same_types(configured, keep):
    keep("AAPL", columns_of(days(3)))
    frame = marketfetch.bars("AAPL", start="2030-01-01")
    assert (len(frame), dict(frame.schema)) == (0, types())


# --- the range --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("zone", ["America/New_York", "UTC", "Asia/Tokyo", "Pacific/Auckland"])
def test_both_dates_are_sessions_of_the_exchange_and_inclusive(in_sqlite, zone):
    midnight = int(datetime(2024, 1, 2, tzinfo=ZoneInfo(zone)).timestamp()) * 1000
    in_sqlite("AAPL", columns_of(days(10, midnight)), zone=zone)
    frame = marketfetch.bars("AAPL", start=date(2024, 1, 3), end="2024-01-05")
    assert frame["ts"].dt.epoch("ms").to_list() == [midnight + n * DAY_MS for n in (1, 2, 3)]
    assert frame["date"].to_list() == [date(2024, 1, day) for day in (3, 4, 5)]


def test_the_dates_of_a_frame_are_those_of_the_view(configured, keep, store):
    """Three series in a batch: across changes of the clocks, before 1970, and of a vendor that is gone and left no zone."""
    hours = [JANUARY_2 + n * 3_600_000 for n in range(366 * 24)]
    keep("AAPL", columns_of([-1, *hours]), timespan="1h", zone="America/New_York")
    keep("KIWI", columns_of([*hours, hours[-1] + 1]), timespan="1h", zone="Pacific/Auckland")
    keep("GONE", columns_of(hours[:5]), timespan="1h", provider="gone")
    keep("DAYS", columns_of(days(366)), zone="America/New_York")
    sql = "SELECT symbol, date, zone FROM bars WHERE timespan = ? ORDER BY symbol, ts"
    for timespan, symbols in (("1h", ["AAPL", "KIWI", "GONE"]), ("1d", ["DAYS"])):
        frame = marketfetch.bars(symbols, timespan=timespan, columns=["symbol", "date", "zone"])
        rows = [(symbol, day and str(day), zone) for symbol, day, zone in store.database.read(sql, timespan)]
        assert [(symbol, day and str(day), zone) for symbol, day, zone in frame.rows()] == rows
    assert frame["date"].to_list()[-1] == date(2025, 1, 1)


def test_a_series_of_the_release_before_has_the_zone_that_its_vendor_gives_it(in_sqlite):
    in_sqlite("AAPL", columns_of([JANUARY_2 + 20 * 3_600_000]), timespan="1h")
    frame = marketfetch.bars("AAPL", timespan="1h", columns=["date", "zone"])
    assert frame.rows() == [(date(2024, 1, 2), "America/New_York")]


def test_an_intraday_date_is_a_day_in_the_exchanges_zone(in_sqlite):
    evening = JANUARY_2 + 19 * 3_600_000  # 19:00 in New York is the next day in UTC
    in_sqlite("AAPL", columns_of([JANUARY_2 - 60_000, JANUARY_2, evening, JANUARY_2 + DAY_MS]), timespan="1m")
    in_sqlite("X:BTCUSD", columns_of([JANUARY_2, evening]), timespan="1m")
    assert marketfetch.bars("AAPL", timespan="1m", start="2024-01-02", end="2024-01-02").height == 2
    assert marketfetch.bars("X:BTCUSD", timespan="1m", start="2024-01-02", end="2024-01-02").height == 1


def test_a_week_counts_if_a_day_of_it_lies_in_the_range(in_sqlite):
    monday = JANUARY_2 - DAY_MS
    in_sqlite("AAPL", columns_of([monday, monday + 7 * DAY_MS, monday + 14 * DAY_MS]), timespan="1w")
    frame = marketfetch.bars("AAPL", timespan="1w", start=date(2024, 1, 3), end=date(2024, 1, 8))
    assert frame["ts"].dt.day().to_list() == [1, 8]


def test_a_moment_with_a_zone_is_exact(in_sqlite):
    in_sqlite("AAPL", columns_of(days(3)))
    at = datetime(2024, 1, 3, 5, tzinfo=UTC)
    assert marketfetch.bars("AAPL", start=at, end=at)["ts"].to_list() == [at]


def test_days_relative_to_now_are_those_of_a_fetch(in_sqlite, tmp_path):
    """In Python, `show` and `export` alike."""
    today = datetime.now(UTC).replace(hour=5, minute=0, second=0, microsecond=0)
    in_sqlite("AAPL", columns_of([int((today - timedelta(days=n)).timestamp()) * 1000 for n in (40, 9, 3, 2)]))
    first = str((today - timedelta(days=9)).date())
    asked = {"start": "-2w", "end": "-3d"}
    frame = marketfetch.bars("AAPL", start=asked["start"], end=asked["end"])
    assert (len(frame), str(frame["date"][0])) == (2, first)
    options = [word for name, day in asked.items() for word in (f"--{name}", day)]
    shown = CliRunner().invoke(command, ["show", "AAPL", "--json", *options])
    assert [one["date"] for one in json.loads(shown.stdout)["bars"]] == [str(day) for day in frame["date"]]
    shown = CliRunner().invoke(command, ["show", "AAPL", "--start", "-9d"])
    assert shown.stdout.startswith("AAPL 1d split from polygon: the latest 3 bars")
    done = CliRunner().invoke(command, ["export", str(tmp_path / "out.csv"), "--to", "csv", *options])
    assert done.exit_code == 0, done.output
    assert pl.read_csv(tmp_path / "out.csv")["date"].to_list() == [str(day) for day in frame["date"]]
    done = CliRunner().invoke(command, ["show", "AAPL", "--start", "yesterday"])
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr.startswith("No bars of AAPL are stored in this range")


@pytest.mark.parametrize(
    ("dates", "says"),
    [
        ({"start": "01/02/2024"}, "write a date such as 2024-01-31, today"),
        ({"end": datetime(2024, 1, 2)}, "has no time zone"),  # noqa: DTZ001
        ({"start": 5}, "The start is no day"),
        ({"start": "2024-02-01", "end": "2024-01-01"}, "swap them"),
        ({"end": "0001-01-01"}, "outside of the years"),
    ],
)
def test_a_wrong_range_is_a_bad_request(in_sqlite, dates, says):
    in_sqlite("AAPL", columns_of(days(3)))
    with pytest.raises(BadRequestError, match=says):
        WITHOUT_TYPES.bars("AAPL", **dates)


def test_a_wrong_day_is_named_before_the_series_is_looked_for(in_sqlite):
    with pytest.raises(BadRequestError, match="The start '-5' is no day"):
        marketfetch.bars("NEVER", start="-5")


# --- which series -----------------------------------------------------------------------------------------------------


def test_several_vendors_of_a_symbol_are_named_with_what_to_write(in_sqlite):
    first = in_sqlite("AAPL", columns_of(days(3), seed=1), provider="nasdaq", adjustment="raw")
    in_sqlite("AAPL", columns_of(days(3), seed=2), provider="polygon", adjustment="raw")
    last = in_sqlite("AAPL", columns_of(days(3), seed=3), provider="polygon", adjustment="split")
    with pytest.raises(BadRequestError) as caught:
        marketfetch.bars("AAPL")
    assert "nasdaq raw, polygon raw and polygon split" in str(caught.value)
    assert "provider='nasdaq', adjustment='raw'" in str(caught.value)
    with pytest.raises(BadRequestError, match=r"polygon raw and polygon split\. .* such as adjustment='raw'"):
        marketfetch.bars("AAPL", provider="polygon")
    assert same(marketfetch.bars("AAPL", provider="nasdaq"), first)
    assert same(marketfetch.bars("AAPL", adjustment="split"), last)


@pytest.mark.parametrize(
    ("symbols", "says"),
    [
        ("AAPLE", "No bars of AAPLE are stored. Did you mean AAPL?"),
        ("aapl", "Did you mean AAPL?"),
        (["AAPL", "ZZZZ", "YYYY"], "No bars of ZZZZ and YYYY are stored."),
        ("QQQ", "Stored are AAPL and MSFT. `marketfetch fetch PROVIDER QQQ` fetches"),
    ],
)
def test_an_unknown_symbol_is_an_error_with_near_ones_and_the_command(in_sqlite, symbols, says):
    in_sqlite("AAPL", columns_of(days(3)))
    in_sqlite("MSFT", columns_of(days(3)))
    with pytest.raises(BadRequestError) as caught:
        marketfetch.bars(symbols)
    assert says in str(caught.value)


def test_an_empty_database_says_how_to_begin(in_sqlite):
    with pytest.raises(BadRequestError, match="nor of any other symbol: begin with `marketfetch fetch`"):
        marketfetch.bars("AAPL")


def test_a_symbol_that_is_stored_otherwise_names_how(in_sqlite):
    in_sqlite("AAPL", columns_of(days(3)))
    with pytest.raises(BadRequestError) as caught:
        marketfetch.bars("AAPL", timespan="1h")
    assert "No 1h bars of AAPL are stored; stored are polygon 1d split. Write timespan='1d'" in str(caught.value)
    assert "`marketfetch fetch polygon AAPL --timespan 1h`" in str(caught.value)


# --- a database that is not there -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql://user:S3CR3T@127.0.0.1:1/x", "can't be reached"),
        ("postgresql://user:S3CR3T@127.0.0.1:port/x", "can't be read"),
        ("mysql://user:S3CR3T@host/x", "no store for the database URL"),
    ],
)
def test_a_database_that_is_away_is_unavailable_and_names_no_password(tmp_path, monkeypatch, url, says):
    monkeypatch.chdir(tmp_path)
    with settings.override({"MARKETFETCH_DATABASE_URL": url}), pytest.raises(UnavailableError) as caught:
        marketfetch.bars("AAPL")
    assert says in str(caught.value)
    assert "S3CR3T" not in str(caught.value)


def test_a_database_of_another_schema_is_unavailable_with_what_to_do(configured, keep, store):
    keep("AAPL", columns_of(days(3)))
    store.database.change(lambda execute: execute("UPDATE schema_version SET version = 99"))
    with pytest.raises(UnavailableError, match=r"has tables of schema 99.*: install the marketfetch that made it"):
        marketfetch.bars("AAPL")


def test_a_locked_database_file_is_unavailable(tmp_path, monkeypatch):
    url = f"sqlite:///{tmp_path}/bars.db"
    with closing(open_store(url)) as made:
        made.create()
        kept(made, "AAPL", columns_of(days(3)))
    monkeypatch.setattr(stored_bars, "_BUSY_MS", 50)
    with (
        closing(sqlite3.connect(tmp_path / "bars.db", isolation_level=None)) as other,
        settings.override({"MARKETFETCH_DATABASE_URL": url}),
    ):
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(UnavailableError, match="locked by another program"):
            marketfetch.bars("AAPL")
        other.execute("ROLLBACK")
        other.close()
        assert marketfetch.bars("AAPL").height == 3


def test_an_error_of_a_driver_is_cut(tmp_path):
    with pytest.raises(StoreUnavailable) as caught, failures("the database x", "S3CR3T"):
        raise OSError("no way to u:S3CR3T@host\nand more")
    assert str(caught.value) == "the database x could not be read (no way to u:***@host): `marketfetch check` says what to do"
