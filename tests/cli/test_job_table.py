"""The list of jobs as a table: 80 columns, whole ids, and lengths of time in words."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from marketfetch import Counts, JobSummary
from marketfetch.cli.job_table import HEADER, cells, fitted
from marketfetch.lengths import in_a_table, in_words, per_minute

NOW = datetime(2024, 2, 1, 12, tzinfo=UTC)
JOB = JobSummary(
    job_id="0123456789abcdef",
    provider="nasdaq",
    symbols=500,
    timespan="1d",
    start=date(2020, 1, 1),
    end=date(2024, 1, 1),
    created_at=NOW,
    first_symbol="A_VERY_LONG_SYMBOL",
    dataset="SHARADAR/SEP",
    requests=Counts(total=1_234_567, stored=999_999, parked=234_568),
    rate_per_minute=3000.0,
    eta_seconds=4561,
    owner="ann",
)


def test_a_job_is_a_line_of_words() -> None:
    small = replace(JOB, provider="polygon", dataset="bars", first_symbol="AAPL", requests=Counts(total=500, stored=120))
    assert cells(small, now=NOW) == (
        "0123456789abcdef",
        "running",
        "120/500",
        "50/s",
        "in 1h16m",
        "AAPL +499",
        "polygon 1d",
        "ann",
    )
    over = replace(small, state="done", symbols=1, rate_per_minute=None, eta_seconds=0, ended_at=NOW - timedelta(hours=3))
    assert cells(over, now=NOW) == ("0123456789abcdef", "done", "120/500", "", "3h ago", "AAPL", "polygon 1d", "ann")
    assert cells(replace(small, eta_seconds=None), now=NOW)[4] == "?"
    half = replace(small, state="cancelled", requests=Counts(total=1440, stored=150, failed=6, cancelled=1284))
    assert cells(half, now=NOW)[2] == "156/1440", "what was cancelled was not done"
    assert cells(JOB, now=NOW)[2] == "999k/1.2M", "a job that is not over does not look as if it were"


def test_the_usual_line_has_80_columns_at_most_and_nothing_is_cut() -> None:
    usual = replace(JOB, provider="polygon", dataset="bars", first_symbol="AAPL", state="cancelled", rate_per_minute=300.0)
    line = fitted([HEADER, cells(usual, now=NOW)], 80)[1]
    assert len(line) <= 80
    assert tuple(" ".join(line.split()).split(" ")) == tuple(" ".join(cells(usual, now=NOW)).split(" "))


@pytest.mark.parametrize("width", [30, 40, 60, 80])
def test_a_narrow_terminal_loses_columns_and_never_a_part_of_an_id(width: int) -> None:
    head, line = fitted([HEADER, cells(JOB, now=NOW)], width)
    assert line.split()[:2] == ["0123456789abcdef", "running"]
    assert head.startswith("job")
    if width >= 40:
        assert len(line) <= width
    if width == 80:
        assert head.split() == list(HEADER)
        assert "A_VERY_L" in line


def test_sixty_columns_have_the_whole_dataset() -> None:
    usual = replace(JOB, provider="polygon", dataset="bars", first_symbol="AAPL", symbols=1, requests=Counts(total=1, stored=1))
    head, line = fitted([HEADER, cells(usual, now=NOW)], 60)
    assert head.split() == ["job", "state", "done", "end", "symbols", "dataset"]
    assert line.endswith("AAPL    polygon 1d")


def test_a_whole_list_has_no_length_of_bars() -> None:
    splits = replace(JOB, provider="polygon", dataset="splits", start=None, end=None)
    assert cells(splits, now=NOW)[6] == "polygon splits"


@pytest.mark.parametrize(
    ("seconds", "words", "short"),
    [
        (0, "0 s", "0s"),
        (37.4, "37 s", "37s"),
        (89, "89 s", "89s"),
        (90, "2 min", "2m"),
        (3_590, "1 h", "1h"),
        (4_561, "1 h 16 min", "1h16m"),
        (86_399, "1 d", "1d"),
        (100_000, "1 d 4 h", "1d4h"),
        (19.4 * 86_400, "19 d", "19d"),
        (36_000 + 900, "10 h", "10h"),
    ],
)
def test_lengths_of_time_are_in_two_units_at_most(seconds: float, words: str, short: str) -> None:
    assert (in_words(seconds), in_a_table(seconds)) == (words, short)


def test_rates_are_in_the_unit_that_keeps_them_short() -> None:
    assert [per_minute(rate) for rate in (None, 0, 0.4, 5.2, 599, 3000)] == ["", "0/min", "<1/min", "5/min", "599/min", "50/s"]
