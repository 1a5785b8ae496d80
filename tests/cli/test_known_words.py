"""Options that are written wrongly: every command that has them refuses them alike, with exit code 2."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from marketfetch.cli.main import marketfetch

#: The commands with --timespan, and those with --start and --end, with what else they need.
WITH_TIMESPAN = {
    "fetch": ["polygon", "AAPL"],
    "plan": ["polygon", "AAPL"],
    "update": ["polygon", "AAPL"],
    "show": ["AAPL"],
    "gaps": [],
    "export": ["out"],
}
WITH_RANGE = {name: words for name, words in WITH_TIMESPAN.items() if name != "update"} | {
    "compare": ["polygon", "nasdaq", "A"]
}
WITH_ADJUSTMENT = WITH_TIMESPAN | WITH_RANGE


def refused(folder: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    """The last line of a command that was written wrongly, and that has made no file."""
    monkeypatch.chdir(folder)
    done = CliRunner().invoke(marketfetch, arguments)
    assert (done.exit_code, done.stdout) == (2, ""), done.output
    assert list(folder.iterdir()) == []
    return done.stderr.splitlines()[-1]


@pytest.mark.parametrize("name", WITH_TIMESPAN)
def test_a_timespan_that_is_none_exits_with_2(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert refused(tmp_path, monkeypatch, name, *WITH_TIMESPAN[name], "--timespan", "1day") == (
        "Error: Invalid value for '--timespan': There is no timespan '1day'. Did you mean 1d? There are 1m, 5m, 15m, 30m, 1h, "
        "1d, 1w, 1mo."
    )


@pytest.mark.parametrize("name", WITH_ADJUSTMENT)
def test_an_adjustment_that_is_none_exits_with_2(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = refused(tmp_path, monkeypatch, name, *WITH_ADJUSTMENT[name], "--adjustment", "splits")
    assert "There is no adjustment 'splits'. Did you mean split? There are raw, split, split_dividend." in said


@pytest.mark.parametrize("name", WITH_RANGE)
@pytest.mark.parametrize("turned", [False, True])
def test_an_end_before_the_start_exits_with_2(name: str, turned: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    days = [["--start", "2024-02-01"], ["--end", "2024-01-01"]]
    first, second = reversed(days) if turned else days
    said = refused(tmp_path, monkeypatch, name, *WITH_RANGE[name], *first, *second)
    assert said.endswith("the end date 2024-01-01 is before the start date 2024-02-01: swap them.")


@pytest.mark.parametrize(("word", "meant"), [("1hour", "1h"), ("1week", "1w"), ("1month", "1mo"), ("5min", "5m")])
def test_the_usual_words_are_guessed(word: str, meant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert f"Did you mean {meant}?" in refused(tmp_path, monkeypatch, "fetch", "polygon", "AAPL", "--timespan", word)
