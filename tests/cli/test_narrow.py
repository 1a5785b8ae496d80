"""Tables on a narrow terminal: cut words, then fewer columns, and never a part of a price, a date or an id."""

from __future__ import annotations

import pytest

from marketfetch.cli import screen
from marketfetch.cli.narrow import fitted

ROWS = [("date", "close", "change", "more"), ("2024-01-02", "185.64", "+0.25%", "asked on 2024-01-03")]


@pytest.mark.parametrize(
    ("width", "line", "gone"),
    [
        (None, "2024-01-02  185.64  +0.25%  asked on 2024-01-03", []),
        (47, "2024-01-02  185.64  +0.25%  asked on 2024-01-03", []),
        (44, "2024-01-02 185.64 +0.25% asked on 2024-01-03", []),
        (40, "2024-01-02 185.64 +0.25% asked on 2024-…", []),
        (35, "2024-01-02 185.64 +0.25% asked on …", []),
        (34, "2024-01-02  185.64  +0.25%", [3]),
        (25, "2024-01-02 185.64 +0.25%", [3]),
        (20, "2024-01-02  185.64", [3, 2]),
        (5, "2024-01-02 185.64", [3, 2]),
    ],
)
def test_words_are_cut_first_then_columns_go(width: int | None, line: str, gone: list[int]) -> None:
    lines, went = fitted(ROWS, width, elastic={3: 10}, go=(3, 2))
    assert (lines[1], went) == (line, gone)


def test_rows_of_different_lengths_and_none_at_all_are_tables_too() -> None:
    assert fitted([("a", "b"), ("c",)], 80, elastic={}, go=()) == (["a  b", "c"], [])
    assert fitted([], 80, elastic={}, go=()) == ([], [])


@pytest.mark.parametrize("width", [30, 60])
def test_a_terminal_is_told_which_columns_it_does_not_see(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", f"{width}")
    screen.table(ROWS, elastic={"more": 10}, go=("more", "change"))
    printed = capsys.readouterr()
    assert ("asked on 2024-01-03" in printed.out) == (width == 60)
    assert printed.err == ("" if width == 60 else "Without more, for which the terminal is too narrow: --json has all.\n")
