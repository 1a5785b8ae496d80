"""A universe where stored rows are read: what is not stored of it is left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import marketfetch
from marketfetch.cli.main import marketfetch as command
from tests.frames.conftest import DAY_MS, JANUARY_2, columns_of

DAYS = [JANUARY_2 + n * DAY_MS for n in range(3)]


@pytest.fixture
def watched(in_sqlite: Any, tmp_path: Path) -> Path:
    """AAPL and MSFT are stored, of two vendors; the universe has one more."""
    for provider in ("polygon", "alpha_vantage"):
        for symbol in ("AAPL", "MSFT"):
            in_sqlite(symbol, columns_of(DAYS), provider=provider, adjustment="raw", zone="America/New_York")
    (tmp_path / "watched.txt").write_text("MSFT\nAAPL\nNEWER\n")
    (tmp_path / "unknown.txt").write_text("NEWER\n")
    return tmp_path


def run(*words: str, code: int = 0) -> str:
    done = CliRunner().invoke(command, list(words))
    assert done.exit_code == code, done.output
    return done.stdout


def test_bars_of_a_universe_are_those_that_are_stored(watched: Path) -> None:
    table = marketfetch.bars(["@watched.txt"], provider="polygon", as_="arrow")
    assert set(table.column("symbol").to_pylist()) == {"AAPL", "MSFT"}
    assert table.num_rows == 6
    with pytest.raises(marketfetch.BadRequestError, match="NEWER"):
        marketfetch.bars(["@watched.txt", "NEWER"], provider="polygon", as_="arrow")
    with pytest.raises(marketfetch.BadRequestError, match="No bars of NEWER are stored"):
        marketfetch.bars(["@unknown.txt"], as_="arrow")
    with pytest.raises(marketfetch.BadRequestError, match="There is no universe @sp500"):
        marketfetch.bars("@sp500", as_="arrow")


def test_the_commands_take_universes(watched: Path) -> None:
    shown = run("show", "@watched.txt", "--provider", "polygon")
    assert "AAPL 1d raw from polygon: the latest 3 bars" in shown
    assert "MSFT 1d raw from polygon: the latest 3 bars" in shown
    documents = json.loads(run("show", "@watched.txt", "--provider", "polygon", "--json"))["series"]
    assert [one["symbol"] for one in documents] == ["AAPL", "MSFT"]
    assert json.loads(run("doctor", "@watched.txt", "--json"))["series"] == 4
    compared = json.loads(run("compare", "polygon", "alpha_vantage", "@watched.txt", "--json"))["comparisons"]
    assert sorted(one["symbol"] for one in compared) == ["AAPL", "MSFT"]
    run("compare", "polygon", "alpha_vantage", "@unknown.txt", code=1)
    assert json.loads(run("export", "out/", "--symbols", "@watched.txt", "--json"))["files"] == 4
    run("show", "@watched.txt", "--provider", "polygon", "--output", "x.png", code=2)
