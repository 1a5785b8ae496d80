"""Spellings that are in use among vendors: only what is sure to be one is read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketfetch.vendors.errors import PlanError
from marketfetch.vendors.spellings import Spelling, object_to, read


@pytest.mark.parametrize(
    ("symbol", "meant"),
    [
        ("BRK.B", Spelling("class", ".", "BRK", "B")),
        ("brk-b", Spelling("class", "-", "BRK", "B")),
        ("BRK_A", Spelling("class", "_", "BRK", "A")),
        ("BRK/B", Spelling("class", "/", "BRK", "B")),
        ("BAC.PRL", Spelling("preferred", ".", "BAC", "L")),
        ("bac-pr-l", Spelling("preferred", "-", "BAC", "L")),
        ("EUR/USD", Spelling("fx", "/", "EUR", "USD")),
        ("eur-usd", Spelling("fx", "-", "EUR", "USD")),
        ("EURUSD", Spelling("fx", "", "EUR", "USD")),
        ("C:EURUSD", Spelling("fx", "C:", "EUR", "USD")),
        ("C:XYZ", Spelling("fx", "C:", "", "")),
        ("EURUSD=X", Spelling("fx", "=X", "EUR", "USD")),
        ("EUR=X", Spelling("fx", "=X", "USD", "EUR")),
        ("BTC/EUR", Spelling("crypto", "/", "BTC", "EUR")),
        ("BTC-USD", Spelling("crypto", "-", "BTC", "USD")),
        ("X:BTCUSD", Spelling("crypto", "X:", "BTC", "USD")),
        ("DOGEUSDT", Spelling("crypto", "", "DOGE", "USDT")),
        ("^GSPC", Spelling("index", "^", "GSPC")),
        ("I:NDX", Spelling("index", "I:", "NDX")),
        ("ES=F", Spelling("future", "=F", "ES")),
        ("O:SPY251219C00650000", Spelling("option", "O:", "SPY251219C00650000")),
    ],
)
def test_a_spelling_is_read(symbol, meant):
    assert read(symbol) == meant


@pytest.mark.parametrize(
    "symbol",
    [
        "AAPL", "GOOGL", "BAC-PL", "BRK.WS", "TSCO.LON", "M&M.BSE", "SHOP.TRT", "AAA/BBB", "WIKI/AAPL", "ABC-USD", "ETH-U.TO",
        "BACpL", "XYZ=X1", "A=B", "^", "USDX", "USD", "BTC", "NASDAQ:AAPL", "MULTPL/SP500_PE_RATIO_MONTH", "",
    ],
)  # fmt: skip
def test_what_may_be_a_symbol_of_some_vendor_is_none(symbol):
    assert read(symbol) is None


@given(text=st.text(st.sampled_from("ABCEUSDRT"), max_size=5))
def test_five_letters_without_a_sign_are_never_one(text):
    assert read(text) is None


def test_many_sentences_are_three_and_a_number():
    object_to([])
    with pytest.raises(PlanError) as caught:
        object_to(f"No {number}." for number in range(1, 2_004))
    assert str(caught.value) == "No 1. No 2. No 3. The same is true of 2,000 more symbols."
