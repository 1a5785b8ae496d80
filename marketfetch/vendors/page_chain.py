"""Ends a chain of pages that leads nowhere: the calls of a vendor's paging error would otherwise never end.

A chain is the pages of one request. No page names a next page that the chain has named before; each page brings a natural key
(symbol, timespan, start of the bar) that no earlier page brought, with few exceptions in a row; and the chain is no longer than
its range can be. What a chain has brought travels as bytes from page to page, in the gate.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

import numpy as np

from marketfetch.schemas.bars import Ints
from marketfetch.schemas.page import Page
from marketfetch.schemas.request import Request
from marketfetch.schemas.symbol_text import WHOLE_MARKET
from marketfetch.schemas.timespans import is_intraday
from marketfetch.vendors.errors import EndlessPages

_VERSION: Final = 1
#: The keys that a chain remembers: more than a table of a hundred symbols has in a century of days. A chain without order that
#: brings more is ended by its length alone.
MOST_KEYS: Final = 4_000_000
#: A list, such as a vendor's tickers, has no range that bounds it.
MOST_PAGES_OF_A_LIST: Final = 1_000
#: A range's pages may be half empty, and a short range may still be cut into some pages.
_SPARE: Final = 10
_MINUTES_A_DAY: Final = 1_440
_CENTURY_DAYS: Final = 36_525
#: More than any market lists.
_MOST_SYMBOLS: Final = 50_000


@dataclass(frozen=True, slots=True)
class Keys:
    """The natural keys of one series: how many starts of bars, and their steps, ascending, compressed."""

    count: int
    packed: bytes

    @classmethod
    def of(cls, starts: Ints) -> Keys:
        return cls(len(starts), zlib.compress(np.diff(starts, prepend=0).astype("<i8").tobytes(), level=1))

    @property
    def starts(self) -> Ints:
        """Empty where the bytes are damaged: then the chain remembers the series from here on."""
        try:
            # Bounded, as a writer to Redis could have left anything.
            return np.cumsum(np.frombuffer(zlib.decompressobj().decompress(self.packed, 8 * MOST_KEYS), dtype="<i8"))
        except (zlib.error, ValueError):
            return np.array([], dtype=np.int64)


_NONE: Final[Mapping[str, Keys]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, eq=False)
class PageChain:
    """What the pages of a chain have brought, up to the page number `page`.

    `idle`: the pages in a row, up to this one, without a new key. `names`: digests of the cursors. `keys`: the bars by series;
    of a vendor whose pages are in order only the latest. A page unpacks the series that it has, however many the chain has.
    """

    page: int = -1
    idle: int = 0
    names: tuple[str, ...] = ()
    keys: Mapping[str, Keys] = field(default_factory=lambda: _NONE)

    def encode(self) -> bytes:
        """The bytes that the gate keeps until the next page is read: regular bars take about a bit each."""
        sizes = {name: [one.count, len(one.packed)] for name, one in self.keys.items()}
        head = json.dumps([_VERSION, self.page, self.idle, self.names, sizes]).encode()
        return b"".join((struct.pack(">I", len(head)), head, *(one.packed for one in self.keys.values())))


def decode(data: bytes | None, *, before: int) -> PageChain:
    """The inverse of `encode`, for reading page `before`.

    A new chain for the first page, without data, for data that is of another release, and of a chain that came further: its
    earlier pages are fetched again.
    """
    if not data or not before:
        return PageChain()
    try:
        (length,) = struct.unpack_from(">I", data)
        version, page, idle, names, sizes = json.loads(data[4 : 4 + length])
        if version != _VERSION or page >= before:
            return PageChain()
        at, keys = 4 + length, {}
        for name, (count, size) in sizes.items():
            keys[name] = Keys(count, data[at : at + size])
            at += size
    except (struct.error, ValueError, TypeError, AttributeError):
        return PageChain()
    return PageChain(page, idle, tuple(names), keys)


def extended(
    chain: PageChain, request: Request, page: Page, *, in_order: bool, most_idle: int, rows_per_page: int
) -> PageChain:
    """The chain with this page of `request`, which names a next page. Raises EndlessPages with the page.

    `in_order`: the vendor's next page begins behind the last bar of this one. `most_idle`: the pages in a row that may bring no
    new key. `rows_per_page` bounds the length of the chain, together with the request's range.
    """
    where = f"{request.provider}: the pages of {request.symbol} go in a circle"
    kept = "what is good of them is kept"
    named, following = _digest(request.cursor), _digest(page.next)
    if following in (named, *chain.names):
        raise EndlessPages(
            f"{where}: page {request.page + 1} names a next page that the vendor has named before; {kept}", page=page
        )
    most = most_pages(request, rows_per_page=rows_per_page)
    if request.page + 1 >= most:
        raise EndlessPages(
            f"{where}: the range has at most {most:,} pages of {rows_per_page:,} rows, and page {request.page + 1:,} names a "
            f"next one; {kept}",
            page=page,
        )
    keys, new = _joined(chain.keys, page, in_order=in_order)
    idle = 0 if new else chain.idle + 1
    if idle > most_idle:
        raise EndlessPages(
            f"{where}: {idle} pages in a row bring no row that an earlier page has not brought, and the last one names a next "
            f"one; {kept}. If the vendor does send so many empty pages, raise the setting most_idle_pages",
            page=page,
        )
    names = chain.names if chain.names else (named,) if request.cursor else ()
    return replace(chain, page=request.page, idle=idle, names=(*names, following), keys=keys)


def most_pages(request: Request, *, rows_per_page: int) -> int:
    """The most pages that a chain can have: twice what its range needs, and ten."""
    # How many rows the lists of a whole market have in a range, its days do not tell.
    if request.records or (request.generation and not request.start):
        return MOST_PAGES_OF_A_LIST
    days = (request.end - request.start).days + 1 if request.start and request.end else _CENTURY_DAYS
    # Pages of intraday bars are cut by minutes where a vendor builds longer bars from them.
    symbols = _MOST_SYMBOLS if request.symbol == WHOLE_MARKET else len(request.symbol.split(","))
    rows = days * (_MINUTES_A_DAY if is_intraday(request.timespan) else 1) * symbols
    return 2 * math.ceil(rows / rows_per_page) + _SPARE


def _digest(cursor: str | None) -> str:
    return hashlib.sha256(cursor.encode()).hexdigest()[:16] if cursor else ""


def _joined(known: Mapping[str, Keys], page: Page, *, in_order: bool) -> tuple[Mapping[str, Keys], bool]:
    """The known keys with the page's, and whether there is a new one among them."""
    keys, new, count = dict(known), False, sum(one.count for one in known.values())
    for name, starts in _keys_of(page):
        before = keys[name].starts if name in keys else starts[:0]
        if in_order and name:
            fresh = after = starts[-1:] if not len(before) or starts[-1] > before[-1] else starts[:0]
        else:
            fresh = starts[~np.isin(starts, before, assume_unique=True)] if _overlap(starts, before) else starts
            after = np.sort(np.concatenate((before, fresh)), kind="stable")
        if len(fresh) and ((in_order and name) or count + len(fresh) <= MOST_KEYS):
            keys[name] = Keys.of(after)
            count += len(fresh)
        new = new or bool(len(fresh))
    return keys, new


def _overlap(starts: Ints, before: Ints) -> bool:
    return bool(len(before)) and bool(starts[0] <= before[-1] and before[0] <= starts[-1])


def _keys_of(page: Page) -> Iterator[tuple[str, Ints]]:
    """The natural keys by series, ascending. A bar of another adjustment is the same row; records, "", are their own keys."""
    for one in page.series:
        if len(one.bars):
            yield f"{one.symbol} {one.timespan}", one.bars.ts
    if len(page.records):
        texts = (repr(one).encode() for one in page.records.rows)
        found = {int.from_bytes(hashlib.sha256(text).digest()[:7], "big") for text in texts}
        yield "", np.array(sorted(found), dtype=np.int64)
