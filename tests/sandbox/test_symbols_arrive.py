"""Every symbol that may be asked for arrives at each vendor as it was written: in a path, a parameter, a cursor, a list."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from pydantic import SecretStr

from marketfetch import vendors
from marketfetch.local.sandbox_process import Control, Sandbox, start_sandbox
from marketfetch.schemas.job_spec import JobSpec
from marketfetch.schemas.page import Page
from marketfetch.schemas.request import Request
from marketfetch.schemas.symbol_text import problem
from marketfetch.vendors import reading, transport

#: Each sign that a symbol may have, where real symbols have it or where a URL would take it for something else.
SYMBOLS = (
    "M&M.BSE", "S'PX", "AB~T", "BAC$L", "AB#", "A@B", "^GSPC", "ES=F", "AB+", "BRK_B", "BF-B", "BRK/B", "BRK.A", "ES1!", "AB*",
    "(AB)", "AB%", "AB%2F", "AB%26B", "AB?", "C:EURUSD", "X:BTCUSD", "I:NDX", "O:SPY251219C00650000", "AB+B", "AB&C=D",
    "A" * 64,
)  # fmt: skip
#: Those that the sandbox knows as stocks, so that their bars come back in pages.
KNOWN = ("M&M.BSE", "S'PX", "BAC$L", "AB#", "A@B", "^GSPC", "ES=F", "AB+", "BRK/B", "ES!", "AB*", "(AB)", "AB%", "AB%26", "AB?")


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with start_sandbox(seed=7) as one:
        yield one


@pytest.fixture
def control(running: Sandbox) -> Control:
    running.control.reset()
    return running.control


def fetched(running: Sandbox, request: Request, **options: Any) -> Page | Exception:
    """One page, called and read as a worker does it."""
    vendor = vendors.vendor(request.provider)
    ours = vendor.options(base_url=running.base_urls[request.provider], **options)
    call = vendor.build_request(request, ours)
    reply = transport.send(
        call, base_url=ours.base_url, provider=request.provider, key_label="main", key=SecretStr("k-of-the-test")
    )
    try:
        return reading.read(request, reply, ours, max_reject_share=0)
    except Exception as error:
        return error


def planned(provider: str, *symbols: str, options: dict[str, Any] | None = None, **wish: Any) -> list[Request]:
    wish = {"start": date(2017, 1, 3), "end": date(2017, 3, 31), "as_of": "2026-05-16", **wish}
    vendor = vendors.vendor(provider)
    spec = JobSpec(provider=provider, symbols=symbols, **wish)
    return vendor.plan(spec, vendor.options(**(options or {})))


def arrived(control: Control, provider: str) -> list[str]:
    (log,) = control.log(full=True)["providers"][provider].values()
    return [symbol for _, symbol in log["arrivals"]]


@pytest.mark.parametrize("provider", ["polygon", "alpha_vantage", "nasdaq"])
def test_each_symbol_arrives_as_it_is(running: Sandbox, control: Control, provider: str) -> None:
    # Of a stock that it knows, the sandbox's Alpha Vantage makes decades of prices.
    symbols = [f"ZZZZ{symbol}"[:64] for symbol in SYMBOLS] if provider == "alpha_vantage" else list(SYMBOLS)
    for symbol in symbols:
        assert problem(symbol) is None
        for request in planned(provider, symbol):
            fetched(running, request)
    # Nasdaq Data Link takes what has a slash for a time series: database and code, and the sandbox logs the code.
    sent = [symbol.rpartition("/")[2] for symbol in symbols] if provider == "nasdaq" else symbols
    assert arrived(control, provider) == sent


def test_codes_of_time_series_arrive_with_their_database(running: Sandbox, control: Control) -> None:
    codes = [f"EOD/{symbol}" for symbol in KNOWN if "/" not in symbol]
    pages = [fetched(running, request) for request in planned("nasdaq", *codes)]
    assert arrived(control, "nasdaq") == [code.removeprefix("EOD/") for code in codes]
    assert [page.series[0].symbol for page in pages if isinstance(page, Page)] == codes


def test_tickers_of_one_call_arrive_each_as_it_is(running: Sandbox, control: Control) -> None:
    symbols = sorted(symbol for symbol in KNOWN if "/" not in symbol)
    options = {"symbols_per_request": 100}
    (request,) = planned("nasdaq", *symbols, options=options)
    assert request.symbol == ",".join(symbols)
    page = fetched(running, request, page_limit=10_000, **options)
    assert isinstance(page, Page)
    assert sorted({one.symbol for one in page.series}) == symbols
    assert arrived(control, "nasdaq") == [request.symbol]


@pytest.mark.parametrize("symbol", KNOWN)
def test_the_pages_of_a_symbol_are_its_own(running: Sandbox, control: Control, symbol: str) -> None:
    (request,) = planned("polygon", symbol)
    pages = 0
    while True:
        page = fetched(running, request, page_limit=40)
        assert isinstance(page, Page), page
        assert [one.symbol for one in page.series] == [symbol]
        pages += 1
        if page.next is None:
            break
        request = request.next_page(page.next)
    assert pages > 1
    assert set(arrived(control, "polygon")) == {symbol}


def test_the_question_whether_a_symbol_exists_names_it_as_it_is(running: Sandbox, control: Control) -> None:
    for symbol in ("ZZZZ&Z", "ZZZZ/Z", "ZZZZ?Z", "ZZZZ%2F", "ZZZZ#"):
        (request,) = planned("polygon", symbol)
        page = fetched(running, request)
        assert isinstance(page, Page)
        assert page.check is not None
        checked = request.check(page.check)
        assert checked is not None
        error = fetched(running, checked)
        assert (type(error).__name__, symbol in str(error)) == ("UnknownSymbol", True)
    assert arrived(control, "polygon")[1::2] == ["ZZZZ&Z", "ZZZZ/Z", "ZZZZ?Z", "ZZZZ%2F", "ZZZZ#"]


def test_the_logged_address_names_it_as_it_was_sent() -> None:
    (request,) = planned("alpha_vantage", "M&M.BSE")
    call = vendors.vendor("alpha_vantage").build_request(request, vendors.vendor("alpha_vantage").options())
    assert "symbol=M%26M.BSE&" in transport.redacted_url(call, "https://vendor.test")
