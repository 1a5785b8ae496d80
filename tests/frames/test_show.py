"""`marketfetch show`: the latest bars as a table that fits a terminal of 80 columns, or as JSON."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from click.testing import CliRunner, Result

import marketfetch
from marketfetch.cli.main import marketfetch as command
from marketfetch.schemas.bars import BarColumns
from tests.frames.conftest import DAY_MS, JANUARY_2, columns_of


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, ["show", *arguments])


def test_the_latest_bars_stand_in_a_table_with_their_session_dates(configured, keep):
    bars = keep("AAPL", columns_of([JANUARY_2 + n * DAY_MS for n in range(40)], nulls=39))
    done = run("AAPL", "--last", "3")
    first, spark, _blank, titles, *rows, note = done.stdout.splitlines()
    assert first == "AAPL 1d split from polygon: the latest 3 bars"
    assert spark.startswith("close ")
    assert set(spark.split()[1]) <= set("▁▂▃▄▅▆▇█")
    assert len(spark.split()[1]) == 3
    assert titles.split() == ["date", "open", "high", "low", "close", "change", "volume"]
    assert [row.split()[0] for row in rows] == ["2024-02-08", "2024-02-09", "2024-02-10"]
    assert f"{bars.close[-1]:.2f}" in rows[-1]
    assert rows[-1].endswith("*")
    assert note == "* could still change when it was fetched"


@pytest.mark.parametrize("price", [0.00001234, 0.5, 187.5, 741_000.0, 12_345_678.9, 1e15])
@pytest.mark.parametrize("timespan", ["1d", "1m"])
def test_it_fits_eighty_columns(in_sqlite, price, timespan):
    ts = np.array([JANUARY_2 + n * DAY_MS for n in range(100)], dtype=np.int64)
    close = price * np.linspace(1, 9, 100)
    values = dict.fromkeys(("open", "high", "low", "close"), close)
    partial = np.ones(100, dtype=np.bool_)
    in_sqlite("AAPL", BarColumns.build(ts, partial=partial, volume=close * 1e9, **values), timespan=timespan)
    done = run("AAPL", "--timespan", timespan, "--last", "100")
    assert done.exit_code == 0, done.output
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert len(done.stdout.splitlines()) == 105


@pytest.mark.parametrize("width", [40, 60, 70])
def test_a_narrow_terminal_has_whole_dates_and_prices(in_sqlite, monkeypatch, width):
    bars = columns_of([JANUARY_2 + n * DAY_MS for n in range(3)])
    in_sqlite("AAPL", bars)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", f"{width}")
    done = run("AAPL", "--last", "3")
    titles, *rows, note = done.stdout.splitlines()[3:]
    prices = [[f"{value:.2f}" for value in one] for one in zip(bars.open, bars.high, bars.low, bars.close, strict=True)]
    assert [row.split()[:5] for row in rows] == [[f"2024-01-0{n + 2}", *one] for n, one in enumerate(prices)]
    more = {40: [], 60: ["volume"], 70: ["change", "volume"]}[width]
    assert titles.split() == ["date", "open", "high", "low", "close", *more]
    assert note == f"{'The last one' if width == 40 else '*'} could still change when it was fetched"
    assert ("Without change" in done.stderr) == (width < 70)
    if width > 40:
        assert max(map(len, [titles, *rows])) <= width


def test_json_has_the_stored_numbers(configured, keep):
    keep("AAPL", columns_of([JANUARY_2 + n * DAY_MS for n in range(4)], nulls=3))
    document = json.loads(run("AAPL", "--last", "2", "--json").stdout)
    frame = marketfetch.bars("AAPL").tail(2)
    assert {name: document[name] for name in document if name != "bars"} == {
        "provider": "polygon", "symbol": "AAPL", "timespan": "1d", "adjustment": "split", "zone": "America/New_York",
    }  # fmt: skip
    assert [one["close"] for one in document["bars"]] == frame["close"].to_list()
    assert [one["open"] for one in document["bars"]] == frame["open"].to_list()
    assert [one["ts"] for one in document["bars"]] == frame["ts"].dt.epoch("ms").to_list()
    assert document["bars"][-1]["at"] == "2024-01-05T05:00:00Z"
    assert [one["date"] for one in document["bars"]] == ["2024-01-04", "2024-01-05"] == frame["date"].cast(str).to_list()


def test_the_times_of_an_intraday_bar_are_those_of_the_exchange(in_sqlite):
    in_sqlite("AAPL", columns_of([JANUARY_2 + 20 * 3_600_000]), timespan="1h", zone="America/New_York")
    first, *_, row = run("AAPL", "--timespan", "1h").stdout.splitlines()[:5]
    assert first.endswith("the latest 1 bar, times in America/New_York")
    assert row.startswith("2024-01-02 20:00 ")


@pytest.mark.parametrize(("symbol", "name"), [("BRK/A$x$", "BRK%2FA%24x%24-1d-split.png"), ("AAPL", "chart.svg")])
def test_a_picture_has_price_and_volume_and_says_whose_bars_they_are(in_sqlite, tmp_path, monkeypatch, symbol, name):
    in_sqlite(symbol, columns_of([JANUARY_2 + n * DAY_MS for n in range(40)], nulls=3), zone="America/New_York")
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    more = ("--output", name, "--open") if name.endswith("svg") else ("--plot",)
    done = run(symbol, "--last", "20", *more)
    assert (done.exit_code, done.stdout) == (0, f"{name}\n"), done.output
    assert [path.name for path in tmp_path.iterdir() if "chart" in path.name or "BRK" in path.name] == [name]
    picture = (tmp_path / name).read_bytes()
    if name.endswith("png"):
        assert (picture[:8], opened) == (b"\x89PNG\r\n\x1a\n", [])
        return
    assert opened == [(tmp_path / name).as_uri()]
    words = re.findall(r"<!-- (.*?) -->", picture.decode())
    assert (
        "from polygon · split prices · 1d bars · 2024-01-22 to 2024-02-10 · America/New_York · 1 could still change when"
        in (" ".join(words))
    )
    assert {"AAPL", "price", "volume", "2024-01-22", "2024-02-10"} <= set(words)


def test_bars_without_volume_or_only_with_a_close_are_drawn_too(in_sqlite, tmp_path):
    ts = np.array([JANUARY_2 + n * DAY_MS for n in range(500)], dtype=np.int64)
    in_sqlite("RATE", BarColumns.build(ts, close=np.linspace(1, 2, 500)))
    in_sqlite("ONE", columns_of([JANUARY_2]), timespan="1m")
    for symbol, timespan in (("RATE", "1d"), ("ONE", "1m")):
        assert run(symbol, "--timespan", timespan, "--last", "500", "--plot").exit_code == 0
    assert (tmp_path / "ONE-1m-split.png").stat().st_size > 5_000


def test_a_picture_that_can_not_be_drawn_is_one_sentence(in_sqlite):
    in_sqlite("AAPL", columns_of([JANUARY_2]))
    for name, says in (("chart.exe", "let its name end in .png"), ("nowhere/chart.png", "can't be written (No such file")):
        done = run("AAPL", "--output", name)
        assert (done.exit_code, len(done.output.splitlines())) == (1, 1)
        assert says in done.output


def test_what_is_not_stored_names_what_is_and_the_command(in_sqlite):
    assert "begin with `marketfetch fetch`" in run("AAPL").output
    in_sqlite("AAPL", columns_of([JANUARY_2]), provider="nasdaq", adjustment="raw")
    in_sqlite("AAPL", columns_of([JANUARY_2]))
    unknown = run("APPL")
    assert unknown.exit_code == 1
    assert "Did you mean AAPL? Stored are AAPL. `marketfetch fetch PROVIDER APPL`" in unknown.output
    assert "such as --provider nasdaq --adjustment raw" in run("AAPL").output
    assert "Write --timespan 1d" in run("AAPL", "--timespan", "1h").output
    assert run("AAPL", "--provider", "nasdaq").stdout.startswith("AAPL 1d raw from nasdaq: the latest 1 bar\n")
