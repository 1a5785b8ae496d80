"""`marketfetch.bars(adjust=…)`, `show --adjust` and `export --adjust`: raw bars, adjusted by stored splits and dividends."""

from __future__ import annotations

import json
import warnings
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner

import marketfetch
from marketfetch.cli.main import marketfetch as command
from marketfetch.exceptions import AdjustmentWarning, BadRequestError
from marketfetch.frames import adjusted_bars
from marketfetch.frames.adjusted_bars import adjusted_columns
from marketfetch.frames.adjusting import Adjust, tell
from marketfetch.schemas.coverage import Covered
from marketfetch.schemas.ledger import Batch, LedgerRow
from marketfetch.schemas.record_kinds import Records
from marketfetch.storage.reading_back import bars as bars_of_store
from marketfetch.storage.store import Store
from marketfetch.storage.stored_series import StoredSeries, stored_series
from tests.frames.conftest import DAY_MS, JANUARY_2, columns_of
from tests.imported_later import Later

if TYPE_CHECKING:
    import polars as pl
else:
    pl = Later("polars")

#: Ten sessions from 2 January 2024 on.
DAYS = [JANUARY_2 + n * DAY_MS for n in (0, 1, 2, 3, 6, 7, 8, 9, 10, 13)]
SPLIT = ("AAPL", "2024-01-09", 4.0, 1.0, "")
CASH = ("AAPL", "2024-01-11", 0.5, "USD", "CD", 4, None, None, None, "")


def listed(store: Store, *rows: tuple[Any, ...], kind: str = "splits", symbol: str = "AAPL", day: str = "2024-02-01") -> None:
    """A whole list of a symbol, as it was on a day."""
    at = int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() * 1000)
    name = f"{kind}-{symbol}-{day}"
    row = LedgerRow(name, name, 0, "polygon", symbol, "stored" if rows else "empty", rows=len(rows), calls=1, called_at_ms=at)
    assert store.store([Batch(row, records=Records(kind, rows))]) == [True]


@pytest.fixture
def stored(keep: Any, store: Store, configured: str) -> Any:
    """Raw daily bars of AAPL, its split and its dividend. Returns the bars."""
    bars = keep("AAPL", columns_of(DAYS), adjustment="raw", zone="America/New_York")
    listed(store, SPLIT)
    listed(store, CASH, kind="dividends")
    return bars


def column(frame: pl.DataFrame, name: str = "close") -> list[float]:
    return frame[name].to_list()


#: By which the bars before the split, and those before the dividend, are multiplied.
SPLITS = np.array([0.25] * 5 + [1.0] * 5)


def cash_factor(bars: Any) -> np.ndarray:
    close = bars.close[7]
    return np.array([close / (close + 0.5)] * 7 + [1.0] * 3)


def test_prices_and_volumes_are_adjusted_for_splits_and_for_dividends_too(stored):
    ways: list[tuple[Any, Any, str]] = [("splits", SPLITS, "split"), ("all", SPLITS * cash_factor(stored), "split_dividend")]
    for adjust, factor, name in ways:
        frame = marketfetch.bars("AAPL", adjust=adjust, columns=[*marketfetch.bars("AAPL").columns, "adjustment"])
        for price in ("open", "high", "low", "close", "vwap"):
            np.testing.assert_allclose(column(frame, price), getattr(stored, price) * factor, rtol=1e-12)
        np.testing.assert_allclose(column(frame, "volume"), stored.volume / SPLITS, rtol=1e-12)
        assert column(frame, "trades") == stored.trades.tolist()
        assert set(frame["adjustment"]) == {name}
        assert frame["date"][0] == date(2024, 1, 2)
    assert column(marketfetch.bars("AAPL", adjust="none")) == stored.close.tolist()


def test_a_part_of_the_range_has_the_prices_of_the_whole(stored):
    whole = marketfetch.bars("AAPL", adjust="all")
    for start, end in (("2024-01-03", "2024-01-05"), (None, "2024-01-08"), ("2024-01-10", None), ("2024-01-11", "2024-01-11")):
        part = marketfetch.bars("AAPL", start=start, end=end, adjust="all")
        assert part.equals(whole.filter(pl.col("date").is_between(date.fromisoformat(start or "2000-01-01"),
                                                                  date.fromisoformat(end or "2100-01-01"))))  # fmt: skip
        assert len(part)


def test_a_split_after_the_last_fetch_needs_no_second_one(stored, store):
    listed(store, SPLIT, ("AAPL", "2024-01-15", 2.0, 1.0, ""), day="2024-02-02")
    after = column(marketfetch.bars("AAPL", adjust="splits"))
    np.testing.assert_allclose(after, stored.close * SPLITS * np.array([0.5] * 9 + [1]), rtol=1e-12)


def test_as_of_a_day_counts_what_was_seen_by_then_and_bars_until_then(stored, store):
    listed(store, ("AAPL", "2024-01-09", 5.0, 1.0, ""), day="2024-02-10")  # a correction: the first one is gone
    now, then = marketfetch.bars("AAPL", adjust="splits"), marketfetch.bars("AAPL", adjust="splits", as_of="2024-02-09")
    assert column(now)[0] == pytest.approx(stored.close[0] / 5)
    assert column(then)[0] == pytest.approx(stored.close[0] / 4)
    with pytest.raises(
        BadRequestError, match="splits of AAPL are known here since 2024-02-01, so what was known on 2024-01-31"
    ):
        marketfetch.bars("AAPL", adjust="splits", as_of="2024-01-31")
    cut = marketfetch.bars("AAPL", adjust="splits", as_of="2024-01-04")
    assert column(cut) == stored.close[:3].tolist(), "the split had not happened, and no list could have it"


def test_a_list_of_all_symbols_counts_for_one_that_has_none_of_its_own(keep, store, configured):
    bars = keep("AAPL", columns_of(DAYS), adjustment="raw", zone="America/New_York")
    view = "SELECT close FROM bars_adjusted WHERE adjustment = 'split' ORDER BY ts"
    assert store.database.read(view) == []
    listed(store, SPLIT, ("KO", "2024-01-05", 2.0, 1.0, ""), symbol="*")
    np.testing.assert_allclose(column(marketfetch.bars("AAPL", adjust="splits")), bars.close * SPLITS, rtol=1e-12)
    np.testing.assert_allclose([close for (close,) in store.database.read(view)], bars.close * SPLITS, rtol=1e-12)
    listed(store, SPLIT, day="2024-02-02")
    assert len(store.database.read(view)) == len(DAYS), "two lists are no two bars"
    with pytest.raises(BadRequestError, match="dividends of AAPL were never fetched"):
        marketfetch.bars("AAPL", adjust="all")


def test_days_of_all_symbols_behind_the_list_keep_it_current(keep, store, configured):
    keep("AAPL", columns_of(DAYS), adjustment="raw", zone="America/New_York")
    listed(store, SPLIT, day="2024-01-10")
    with pytest.warns(AdjustmentWarning, match="were fetched on 2024-01-10, before its last bar of 2024-01-15"):
        marketfetch.bars("AAPL", adjust="splits")
    of_all = ("polygon", "splits", "*", "1d", "raw")
    store.cover([Covered(*of_all, date(2024, 1, 12), date(2024, 1, 16), date(2024, 1, 16), 1)])
    with pytest.warns(AdjustmentWarning, match="were fetched on 2024-01-10"):
        marketfetch.bars("AAPL", adjust="splits")
    store.cover([Covered(*of_all, date(2024, 1, 11), date(2024, 1, 11), date(2024, 1, 11), 1)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        marketfetch.bars("AAPL", adjust="splits")


def test_an_announced_split_moves_no_price_before_its_day(stored, store):
    listed(store, SPLIT, ("AAPL", "2199-01-02", 10.0, 1.0, ""), day="2024-02-02")
    assert column(marketfetch.bars("AAPL", adjust="splits"))[-1] == stored.close[-1]


@pytest.mark.parametrize(
    ("adjust", "says"),
    [
        ("splits", r"The splits of AAPL were never fetched.*`marketfetch fetch polygon AAPL --dataset splits`\."),
        (
            "all",
            r"The splits and dividends of AAPL were never fetched.*--dataset splits`, then the same with --dataset dividends",
        ),
    ],
)
def test_actions_that_were_never_fetched_are_an_error_with_the_command_that_fetches_them(keep, configured, adjust, says):
    keep("AAPL", columns_of(DAYS), adjustment="raw", zone="America/New_York")
    with pytest.raises(BadRequestError, match=says):
        marketfetch.bars("AAPL", adjust=adjust)


def test_a_list_without_splits_is_knowledge_too(keep, store, configured):
    bars = keep("AAPL", columns_of(DAYS), adjustment="raw", zone="America/New_York")
    listed(store)
    assert column(marketfetch.bars("AAPL", adjust="splits")) == bars.close.tolist()


def test_a_vendor_without_lists_has_those_of_another_one_with_a_warning(keep, store, configured):
    bars = keep("AAPL", columns_of(DAYS), adjustment="raw", provider="nasdaq", zone="America/New_York")
    listed(store, SPLIT)
    with pytest.warns(AdjustmentWarning, match="AAPL: nasdaq has no list of splits here, so those of polygon are used"):
        frame = marketfetch.bars("AAPL", adjust="splits")
    np.testing.assert_allclose(column(frame), bars.close * SPLITS)


def test_what_is_doubtful_is_warned_of(keep, store, configured):
    keep("AAPL", columns_of(DAYS), adjustment="raw", zone="America/New_York")
    listed(store, SPLIT, ("AAPL", "2024-01-09", 1.001, 1.0, ""), day="2024-01-10")
    with pytest.warns(AdjustmentWarning) as told:
        marketfetch.bars("AAPL", adjust="splits")
    said = [str(one.message) for one in told]
    assert "AAPL 2024-01-09: the vendor has splits of 1.001 for 1 and 4 for 1 on one day: 1.001 for 1 counts" in said[0]
    assert "were fetched on 2024-01-10, before its last bar of 2024-01-15" in said[1]
    for arguments in (("show", "AAPL"), ("export", "--symbols", "AAPL", "out")):
        done = CliRunner().invoke(command, [*arguments, "--adjust", "splits"])
        assert (done.exit_code, done.stderr.splitlines()) == (0, said), (
            "the commands print the sentences alone, no warning of Python"
        )


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"adjust": "split"}, "There is no adjust 'split'. Did you mean 'splits'"),
        ({"adjust": "splits", "adjustment": "split"}, "leave one out"),
        ({"as_of": "2024-01-02"}, "name adjust too"),
        ({"adjust": "all", "as_of": "2199-01-02"}, "will be known on 2199-01-02 is not known today"),
        ({"adjust": "all", "as_of": "soon"}, "The as_of 'soon' is no day"),
    ],
)
def test_wrong_arguments_are_refused_with_what_to_write(in_sqlite, wrong, says):
    in_sqlite("AAPL", columns_of(DAYS), adjustment="raw")
    with pytest.raises(BadRequestError, match=says):
        marketfetch.bars("AAPL", **wrong)


def test_the_weeks_of_a_vendor_are_not_adjusted(in_sqlite):
    in_sqlite("AAPL", columns_of(DAYS[:1]), adjustment="raw", timespan="1w")
    with pytest.raises(BadRequestError, match="A bar of 1w may hold days before and after a split"):
        marketfetch.bars("AAPL", timespan="1w", adjust="splits")


def test_intraday_bars_take_the_closes_of_their_days(stored, keep, store):
    hours = [day + hour * 3_600_000 for day in DAYS for hour in (10, 15)]
    bars = keep("AAPL", columns_of(hours, seed=3), adjustment="raw", timespan="1h", zone="America/New_York")
    frame = marketfetch.bars("AAPL", timespan="1h", adjust="all", end="2024-01-10")
    factor = np.repeat(SPLITS * cash_factor(stored), 2)[: len(frame)]
    np.testing.assert_allclose(column(frame), bars.close[: len(frame)] * factor, rtol=1e-12)


def test_intraday_bars_without_daily_ones_are_adjusted_for_splits_alone(keep, store, configured):
    hours = [day + 10 * 3_600_000 for day in DAYS]
    bars = keep("AAPL", columns_of(hours), adjustment="raw", timespan="1h", zone="America/New_York")
    listed(store, SPLIT)
    listed(store, CASH, kind="dividends")
    np.testing.assert_allclose(column(marketfetch.bars("AAPL", timespan="1h", adjust="splits")), bars.close * SPLITS)
    with pytest.raises(
        BadRequestError, match=r"no daily raw bars of AAPL are stored: run `marketfetch fetch polygon AAPL --tim"
    ):
        marketfetch.bars("AAPL", timespan="1h", adjust="all")


def run(*arguments: str) -> Any:
    done = CliRunner().invoke(command, [*arguments])
    assert done.exit_code == 0, done.output
    return done


def test_show_and_export_say_what_is_doubtful_beside_their_result(keep, store, configured):
    keep("AAPL", columns_of(DAYS), adjustment="raw", zone="America/New_York")
    listed(store, SPLIT, day="2024-01-10")
    for arguments in (("show", "AAPL", "--json"), ("export", "files", "--json")):
        done = run(*arguments, "--adjust", "splits")
        assert done.stderr.startswith("AAPL: its actions were fetched on 2024-01-10, before its last bar of 2024-01-15")
        assert "Warning" not in done.stderr
        assert json.loads(done.stdout)


def test_show_and_export_give_the_numbers_of_the_frame(stored, tmp_path):
    frame = marketfetch.bars("AAPL", adjust="all")
    document = json.loads(run("show", "AAPL", "--adjust", "all", "--json").stdout)
    assert document["adjustment"] == "split_dividend"
    np.testing.assert_allclose([one["close"] for one in document["bars"]], column(frame), rtol=1e-12)
    part = json.loads(run("show", "AAPL", "--adjust", "all", "--last", "2", "--end", "2024-01-05", "--json").stdout)
    np.testing.assert_allclose([one["close"] for one in part["bars"]], column(frame)[2:4], rtol=1e-12)
    run("export", "files", "--adjust", "all")
    (file,) = tmp_path.glob("files/**/*.parquet")
    assert "adjustment=split_dividend" in str(file)
    assert pl.read_parquet(file)["close"].to_list() == column(frame)
    manifest = json.loads((tmp_path / "files" / "_manifest.json").read_text())
    assert manifest["adjust"] == "all"


def test_single_bars_of_minutes_are_adjusted_as_a_frame_of_them_is(stored, store, keep):
    minutes = [one + (9 * 60 + 30 + n) * 60_000 for one in DAYS for n in range(3)]
    keep("AAPL", columns_of(minutes, seed=3), adjustment="raw", timespan="1m", zone="America/New_York")
    (series,) = [one for one in stored_series(store, ["AAPL"]) if one.timespan == "1m"]
    found = bars_of_store(store, "polygon", "AAPL", "1m", adjustment="raw")
    ways: tuple[Literal["splits", "all"], ...] = ("splits", "all")
    for way in ways:
        by = Adjust(way, date(2024, 3, 1))
        ours = adjusted_columns(store, series, found, by)
        frame = marketfetch.bars("AAPL", timespan="1m", adjust=way)
        np.testing.assert_allclose(ours.close, column(frame), rtol=1e-12)
        np.testing.assert_allclose(ours.volume, column(frame, "volume"), rtol=1e-12)
        assert not np.allclose(ours.close[:3], found.close[:3])
        none = adjusted_columns(store, series, found.take(np.array([], dtype=np.int64)), by)
        assert len(none) == 0


def test_bars_whose_days_are_in_no_known_zone_are_not_adjusted():
    known, unknown = (StoredSeries(1, "polygon", "AAPL", "1m", "raw", zone) for zone in ("America/New_York", None))
    ts = np.array(DAYS) + 10 * 3_600_000
    columns: dict[str, Any] = {"n": np.zeros(10, dtype=np.int32), "ts": ts, "close": np.ones(10)}
    batch = pa.RecordBatch.from_pydict(columns)
    days = adjusted_bars._bars(batch, [known]).day
    assert np.array_equal(days, adjusted_bars._of_columns(columns_of(ts), known).day)
    for refused in (
        lambda: adjusted_bars._bars(batch, [unknown]),
        lambda: adjusted_bars._of_columns(columns_of(ts), unknown),
    ):
        with pytest.raises(BadRequestError, match="AAPL"):
            refused()


def test_a_range_without_bars_is_an_empty_frame(stored):
    frame = marketfetch.bars("AAPL", adjust="all", start="2023-01-02", end="2023-01-05")
    assert (frame.height, "close" in frame.columns) == (0, True)


def test_two_symbols_of_a_vendor_are_adjusted_each_by_its_own_list(stored, store, keep):
    other = keep("KO", columns_of(DAYS, seed=5), adjustment="raw", zone="America/New_York")
    listed(store, ("KO", "2024-01-11", 2.0, 1.0, ""), symbol="KO")
    frame = marketfetch.bars(["AAPL", "KO"], adjust="splits")
    factor = {"AAPL": SPLITS * stored.close, "KO": np.array([0.5] * 7 + [1.0] * 3) * other.close}
    for symbol, expected in factor.items():
        np.testing.assert_allclose(column(frame.filter(frame["symbol"] == symbol)), expected, rtol=1e-12)


def test_many_doubts_are_named_up_to_five_and_then_counted():
    with pytest.warns(AdjustmentWarning) as told:
        tell(f"doubt {n % 7}" for n in range(20))
    assert [str(one.message) for one in told] == [
        *(f"doubt {n}" for n in range(5)),
        "2 more doubts about adjusted prices.",
    ]
