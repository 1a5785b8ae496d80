"""Symbols as people write and export them: separators, quotes, comments, a table's column, a byte order mark, line ends."""

from __future__ import annotations

import io

import click
import pytest

from marketfetch.cli.symbol_list import symbols_of, with_universes
from marketfetch.exceptions import BadRequestError


def of(*words: str, data: bytes | str | None = None) -> list[str]:
    file = None if data is None else io.BytesIO(data.encode() if isinstance(data, str) else data)
    return list(symbols_of(words, file))


@pytest.mark.parametrize(
    ("words", "symbols"),
    [
        (("AAPL", "MSFT"), ["AAPL", "MSFT"]),
        (("AAPL,MSFT", "TSLA"), ["AAPL", "MSFT", "TSLA"]),
        (("AAPL, MSFT;TSLA",), ["AAPL", "MSFT", "TSLA"]),
        (("AAPL MSFT",), ["AAPL", "MSFT"]),
        (("'AAPL'", '"MSFT"', "“TSLA”"), ["AAPL", "MSFT", "TSLA"]),
        (("AAPL", "MSFT", "AAPL,TSLA"), ["AAPL", "MSFT", "TSLA"]),
        (("M&M.BSE", "S'PX", "AB#", "^GSPC"), ["M&M.BSE", "S'PX", "AB#", "^GSPC"]),
        (("aapl", "AAPL"), ["aapl", "AAPL"]),
        # No symbols: they stay as they are, for the error that names them.
        (("", "A[B]"), ["", "A[B]"]),
        (("AA\x1bPL",), ["AA\x1bPL"]),
    ],
)
def test_words_of_a_command(words, symbols):
    assert of(*words) == symbols


@pytest.mark.parametrize(
    ("data", "symbols"),
    [
        ("AAPL\nMSFT\n", ["AAPL", "MSFT"]),
        ("AAPL\r\nMSFT\r\n", ["AAPL", "MSFT"]),
        ("AAPL\rMSFT", ["AAPL", "MSFT"]),
        ("\ufeffAAPL\nMSFT", ["AAPL", "MSFT"]),
        ("AAPL\nMSFT".encode("utf-16"), ["AAPL", "MSFT"]),
        ("# the big ones\n\n  AAPL  # Apple\nMSFT\n", ["AAPL", "MSFT"]),
        ("AB#\nCD #EF\n", ["AB#", "CD"]),
        ("AAPL,MSFT\nTSLA, AAPL,\n", ["AAPL", "MSFT", "TSLA"]),
        ("\"AAPL\"\n'MSFT'\n", ["AAPL", "MSFT"]),
        ("Symbol\nAAPL\nMSFT\n", ["AAPL", "MSFT"]),
        ("ticker # of the exchange\nAAPL, MSFT\n", ["AAPL", "MSFT"]),
        ('Symbol,Name,Last Sale\nAAPL,"Apple, Inc. # 1",$1\n# a comment\nM&M.BSE,Mahindra,$2\n', ["AAPL", "M&M.BSE"]),
        ('name;"Ticker"\r\n"Apple; Inc";"AAPL"\r\nMicrosoft;MSFT\r\n', ["AAPL", "MSFT"]),
        ("name\tsymbol\nApple\tAAPL\n\nshort\n", ["AAPL"]),
        ("Symbol|Name\nAAPL|Apple\n", ["AAPL"]),
        ("\ufeffsymbol,name\nAAPL,Apple\n", ["AAPL"]),
        ("", []),
        ("# nothing\n\n", []),
        ("symbol,name\n", []),
    ],
)
def test_a_file(data, symbols):
    assert of(data=data) == symbols


@pytest.mark.parametrize(
    ("word", "says"),
    [
        (
            "2024-01-31",
            "is a date and no symbol: the days of a range are its start and its end (`--start 2024-01-31`).",
        ),
        ("lists/sp500.txt", "write @lists/sp500.txt for the symbols in that file."),
        ("mine.csv", "write @mine.csv for the symbols in that file."),
    ],
)
def test_a_date_or_a_file_is_no_symbol(word, says):
    with pytest.raises(BadRequestError) as caught:
        with_universes(["AAPL", word])
    assert str(caught.value).endswith(says)


def test_symbols_that_look_a_little_like_dates_and_files_are_symbols():
    symbols = ("600104.SHH", "BRK.B", "AAPL.CSV", "ZACKS/FC?date=2024-01-31", "O:SPY251219C00650000", "^TXT")
    assert with_universes(symbols) == symbols


def test_words_come_before_the_file_and_each_symbol_once():
    assert of("MSFT", data="AAPL\nMSFT\nAAPL\n") == ["MSFT", "AAPL"]


def test_a_file_that_is_no_text_is_refused_with_the_line():
    with pytest.raises(click.BadParameter, match=r"no text in UTF-8 \(look at line 2\): save it as UTF-8"):
        of(data=b"AAPL\nM\xfcNCHEN\n")


def test_ten_thousand_symbols_are_read_at_once():
    names = [f"S{number}" for number in range(10_000)]
    assert of(data="\n".join(names)) == names
