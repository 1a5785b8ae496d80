"""The pages of a request come to an end, whatever next page a vendor names; what they brought is remembered in few bytes."""

from __future__ import annotations

import itertools
import zlib
from datetime import date
from functools import partial

import numpy as np
import pytest

from marketfetch.schemas.bars import BarColumns, BarSeries
from marketfetch.schemas.page import Page
from marketfetch.schemas.record_kinds import Records
from marketfetch.schemas.request import Request
from marketfetch.vendors import page_chain
from marketfetch.vendors.errors import EndlessPages
from marketfetch.vendors.page_chain import MOST_KEYS, PageChain, decode, most_pages
from tests.vendors.worst_bodies import all_vendors

VENDORS = all_vendors()
EVERY = pytest.mark.parametrize("name", sorted(VENDORS))
DAY_MS = 86_400_000


def request_of(name: str, *, symbol: str = "IBM", years: int = 30) -> Request:
    return Request(provider=name, symbol=symbol, start=date(2026 - years, 1, 2), end=date(2026, 1, 1))


def page_of(days: np.ndarray | range | list[int], following: str | None, *, symbol: str = "IBM") -> Page:
    starts = np.array(list(days), dtype=np.int64) * DAY_MS
    prices = np.ones(len(starts))
    bars = BarColumns.build(starts, open=prices, high=prices, low=prices, close=prices)
    series = (BarSeries("acme", symbol, "1d", "raw", bars),) if len(starts) else ()
    return Page(series=series, next=following)


def walk(name: str, pages, *, most_idle: int = 5, rows_per_page: int = 100, request: Request | None = None) -> int:
    """Follows these pages as workers do, each in a process of its own; returns how many were followed."""
    known, request, kept, followed = VENDORS[name], request or request_of(name), None, 0
    for page in pages:
        chain = page_chain.extended(
            decode(kept, before=request.page),
            request,
            page,
            in_order=known.pages_in_order,
            most_idle=most_idle,
            rows_per_page=rows_per_page,
        )
        kept, request, followed = chain.encode(), request.next_page(page.next or ""), followed + 1
    return followed


@EVERY
def test_honest_pages_are_followed_to_the_end(name):
    assert walk(name, (page_of(range(n * 100, n * 100 + 100), f"c{n}") for n in range(100))) == 100


@EVERY
@pytest.mark.parametrize("length", [1, 2, 3, 7])
def test_a_next_page_that_was_named_before_is_a_circle(name, length):
    names = (f"c{n % length}" for n in itertools.count())
    days = itertools.count(step=100)  # with new rows on every page
    with pytest.raises(EndlessPages, match=rf"page {length + 1} names a next page that the vendor has named before") as found:
        walk(name, (page_of(range(at, at + 100), one) for at, one in zip(days, names, strict=False)))
    assert found.value.page is not None
    assert found.value.page.rows == 100, "what the last page brought is kept"


@EVERY
def test_a_page_that_names_itself_is_a_circle_even_where_the_chain_is_forgotten(name):
    request = Request(provider=name, symbol="IBM", page=3, cursor="abc")
    with pytest.raises(EndlessPages, match="page 4 names a next page"):
        walk(name, [page_of(range(10), "abc")], request=request)


@EVERY
@pytest.mark.parametrize("days", [range(100), []], ids=["the same rows", "no rows"])
def test_pages_that_bring_nothing_new_end_after_the_setting(name, days):
    with pytest.raises(EndlessPages, match=r"4 pages in a row bring no row") as found:
        walk(name, (page_of(days, f"c{n}") for n in itertools.count()), most_idle=3)
    assert "setting most_idle_pages" in str(found.value)


@EVERY
def test_pages_of_rows_that_earlier_pages_brought_in_other_sets_bring_nothing_new(name):
    good = [page_of(range(at, at + 100), f"c{at}") for at in (0, 100, 200)]
    mixed = (page_of(range(50 + n, 150 + n), f"d{n}") for n in itertools.count())
    with pytest.raises(EndlessPages, match="in a row"):
        walk(name, itertools.chain(good, mixed))


@EVERY
def test_some_empty_pages_between_full_ones_are_no_circle(name):
    pages = [page_of(range(n * 10, n * 10 + 10) if n % 3 == 0 else [], f"c{n}") for n in range(60)]
    assert walk(name, pages, most_idle=2) == 60


@EVERY
def test_a_row_a_page_for_ever_is_ended_by_the_length_of_the_range(name):
    request = request_of(name, years=1)
    most = most_pages(request, rows_per_page=100)
    assert most == 2 * 4 + 10
    with pytest.raises(EndlessPages, match=f"the range has at most {most} pages of 100 rows"):
        walk(name, (page_of([n], f"c{n}") for n in itertools.count()), request=request)


def test_the_ceiling_has_room_for_every_range_and_page_size():
    minutes = Request(provider="polygon", symbol="X:BTCUSD", timespan="1h", start=date(2006, 1, 1), end=date(2026, 1, 1))
    # An hour is built from sixty minutes, of which a page of 50,000 covers 833 hours.
    assert most_pages(minutes, rows_per_page=50_000) > 20 * 365 * 24 / 833
    table = request_of("nasdaq", symbol=",".join(f"S{n}" for n in range(100)))
    assert most_pages(table, rows_per_page=1) > 100 * 30 * 253
    assert most_pages(Request(provider="nasdaq", symbol="IBM"), rows_per_page=10_000) > 10


def test_rows_in_no_order_are_known_again_and_those_of_a_vendor_in_order_must_be_later():
    pages = [page_of(days, f"c{n}") for n, days in enumerate(([5, 6], [1, 2], [3, 4], [0], [7]))]
    assert walk("nasdaq", pages, most_idle=1) == 5
    with pytest.raises(EndlessPages, match="2 pages in a row"):
        walk("polygon", pages, most_idle=1)


def test_records_are_their_own_keys():
    def page(n: int, at: int) -> Page:
        return Page(records=Records("symbols", ((f"S{at}", "x", "stocks", True),)), next=f"c{n}")

    assert walk("nasdaq", (page(n, n) for n in range(20)), most_idle=1) == 20
    with pytest.raises(EndlessPages):
        walk("nasdaq", (page(n, 0) for n in range(20)), most_idle=1)


def test_a_page_that_is_fetched_again_is_no_repetition():
    """A worker was killed behind its finish, or a failed page is retried: the chain of then goes on from before that page."""
    request = request_of("nasdaq")
    extended = partial(page_chain.extended, in_order=False, most_idle=1, rows_per_page=100)
    first = extended(PageChain(), request, page_of([1], "a"))
    second = request.next_page("a")
    kept = extended(decode(first.encode(), before=1), second, page_of([2], "b")).encode()
    assert decode(kept, before=2).names
    assert not decode(kept, before=1).names, "it came further: nothing is known of the pages before"
    assert not decode(kept, before=0).names, "a first page begins a chain"
    extended(decode(kept, before=1), second, page_of([2], "b"))


@pytest.mark.parametrize(
    "data", [b"", b"x", zlib.compress(b""), zlib.compress(b"\0\0\0\2[]"), zlib.compress(b"\0\0\0\x05[2,3]")]
)
def test_what_is_no_chain_begins_a_new_one(data):
    assert decode(data, before=3).page == -1


def test_a_long_chain_is_remembered_in_few_bytes():
    trading = np.array([day for day in range(40 * 365) if day % 7 < 5])
    series = [page_of(trading, None, symbol=f"S{n}").series[0] for n in range(100)]
    chain = page_chain.extended(
        PageChain(),
        request_of("nasdaq"),
        Page(series=tuple(series), next="c"),
        in_order=False,
        most_idle=1,
        rows_per_page=10_000,
    )
    data = chain.encode()
    assert sum(one.count for one in chain.keys.values()) == 100 * len(trading) > 1_000_000
    assert len(data) < 100_000
    again = decode(data, before=1)
    assert again.names == chain.names
    assert all(np.array_equal(again.keys[name].starts, chain.keys[name].starts) for name in chain.keys)


def test_a_chain_of_too_many_keys_remembers_no_more_and_goes_on(monkeypatch):
    monkeypatch.setattr(page_chain, "MOST_KEYS", 150)
    assert walk("nasdaq", (page_of(range(n * 100, n * 100 + 100), f"c{n}") for n in range(20)), most_idle=1) == 20


def test_damaged_keys_of_a_series_are_forgotten_and_the_chain_goes_on():
    data = page_chain.extended(
        PageChain(), request_of("nasdaq"), page_of(range(100), "c"), in_order=False, most_idle=1, rows_per_page=100
    ).encode()
    again = decode(data[:-20] + bytes(20), before=1)
    assert [len(one.starts) for one in again.keys.values()] == [0]
    assert again.names


def test_what_a_writer_to_redis_left_in_a_chain_unpacks_to_no_more_than_a_chain_has():
    bomb = zlib.compress(bytes(8 * MOST_KEYS * 4), level=9)
    assert len(bomb) < 200_000
    assert len(page_chain.Keys(1, bomb).starts) <= MOST_KEYS
