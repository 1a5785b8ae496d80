"""Which texts are symbols; of every other the error names it and says in words what is wrong."""

from __future__ import annotations

import string
from datetime import date

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from marketfetch.schemas.job_spec import JobSpec
from marketfetch.schemas.symbol_text import LONGEST, WHOLE_MARKET, problem

SIGNS = "&'~$#@^=+_-/.:!*()%?"


@pytest.mark.parametrize(
    "symbol",
    ["M&M.BSE", "J&KBANK.NSE", "^GSPC", "ES=F", "ES1!", "C:EURUSD", "BRK/B", "BAC$L", "AB~T", "005930.KS", "A" * LONGEST],
)  # fmt: skip
def test_a_real_symbol_is_one(symbol):
    assert problem(symbol) is None


@given(text=st.text(string.ascii_letters + string.digits + SIGNS, min_size=1, max_size=LONGEST))
@example(text="*")
def test_letters_digits_and_signs_make_a_symbol_unless_a_url_would_leave_its_place(text):
    named = text == WHOLE_MARKET or any(one.isalnum() for one in text)
    assert (problem(text) is None) == (named and not {".", ".."} & set(text.split("/")))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "a symbol is empty"),
        ("  ", "a symbol is empty"),
        ("AA PL", "the symbol 'AA PL' has a blank: name each symbol by itself"),
        ("AAPL,MSFT", "'AAPL,MSFT' has a comma"),
        ('"AAPL"', "has a quotation mark: leave it out"),
        ("AAPL\n", r"'AAPL\n' has a line break"),
        ("AA\x1b[31mPL", r"'AA\x1b[31mPL' has a character that can't be seen (\x1b): write it anew"),
        ("AAPL\u200b", r"'AAPL\u200b' has a character that can't be seen (\u200b)"),
        ("ÄAPL", "'ÄAPL' has 'Ä', and symbols are written in ASCII"),
        ("A[B]", "'A[B]' has '[', which no vendor's symbols have"),
        ("A\\B", "which no vendor's symbols have"),
        ("A" * (LONGEST + 6), f"has {LONGEST + 6} characters, and the longest ones have {LONGEST}"),
        ("--", "'--' has neither a letter nor a digit"),
        ("../A", "'../A' has a part of dots alone"),
        ("DB/./A", "has a part of dots alone"),
    ],
)
def test_what_is_no_symbol_is_named_with_what_is_wrong(text, says):
    assert says in str(problem(text))


def test_the_error_of_a_spec_is_that_sentence_alone():
    with pytest.raises(ValidationError) as caught:
        JobSpec(provider="acme", symbols=("A", "B C"), start=date(2024, 1, 1), end=date(2024, 1, 2), as_of="2024-02-01")
    (error,) = caught.value.errors()
    assert error["msg"] == "the symbol 'B C' has a blank: name each symbol by itself"
