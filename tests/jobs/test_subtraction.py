"""Coverage decides what is asked: the planner and the algebra against a planner by brute force, on days. In this process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import combinations
from time import process_time
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketfetch import vendors
from marketfetch.configured import options
from marketfetch.jobs.asked_again import asked_again
from marketfetch.jobs.fewest_calls import fewest, widened
from marketfetch.jobs.planning import make_spec, plan
from marketfetch.jobs.shared_calls import Piece, packed
from marketfetch.jobs.subtraction import subtracted
from marketfetch.jobs.to_ask import to_ask
from marketfetch.schemas.coverage import Covered, Days, merged
from marketfetch.schemas.ledger import LedgerRow
from marketfetch.schemas.request import Request
from marketfetch.settings import override
from marketfetch.vendors.covering import covered_by, today
from marketfetch.vendors.finality import is_final
from marketfetch.vendors.times import unix_ms
from marketfetch.vendors.trading_days import close_ms

#: A call takes four days of minutes; a bar is final 90 minutes after the end of its session.
VARIABLES = {
    "MARKETFETCH_PROVIDERS__POLYGON__PAGE_LIMIT": "6000",
    "MARKETFETCH_PROVIDERS__POLYGON__FINAL_AFTER_MINUTES": "90",
    "MARKETFETCH_PROVIDERS__NASDAQ__SYMBOLS_PER_REQUEST": "100",
}
FIRST = datetime(2024, 3, 1, 15, 30, tzinfo=UTC)
POLYGON = vendors.vendor("polygon")


@pytest.fixture(scope="module", autouse=True)
def _settings() -> Iterator[None]:
    with override(VARIABLES):
        options.cache_clear()
        yield
    options.cache_clear()


class Database:
    """Coverage and ledger, and what each reply has really covered."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, ...], list[Covered]] = {}
        self.ledger: dict[str, bool] = {}
        self.calls: list[tuple[Request, datetime]] = []

    def covered(
        self, provider: str, dataset: str, timespan: str, adjustment: str, symbols: Sequence[str] | None, /
    ) -> list[Covered]:
        kinds = [(provider, dataset, symbol, timespan, adjustment) for symbol in (*(symbols or ()), "*")]
        return [row for kind in kinds for row in self.rows.get(kind, ())]

    def ended_roots(self, roots: Sequence[str]) -> Mapping[str, bool]:
        return {root: self.ledger[root] for root in roots if root in self.ledger}

    def stored_starts(self, *_of: object) -> dict[str, frozenset[int]]:
        return {}

    def outcomes(self, _ids: object) -> dict[str, LedgerRow]:
        return {}

    def ask(self, symbols: str, start: date, end: date, at: datetime, *, overlap: int = 0, **wish: Any) -> list[Request]:
        """The requests of a job that is submitted at this moment."""
        spec = make_spec("polygon", symbols.split(), again=False, at=at, start=str(start), end=str(end), **wish)
        return asked_again(spec, subtracted(spec, plan(spec), self, overlap=overlap).requests, self)

    def end(self, request: Request, at: datetime, *, fails: bool = False) -> None:
        """A worker makes the call, unless the ledger says that it is over."""
        if request.root in self.ledger:
            return
        self.ledger[request.root] = fails
        if not fails:
            self.calls.append((request, at))
            for one in covered_by(request, POLYGON, options("polygon"), called_at_ms=unix_ms(at)):
                self.rows[one.series] = merged(self.rows.get(one.series, []), one)


def days_of(requests: Sequence[Request]) -> set[date]:
    return {
        one.start + timedelta(days=n)
        for one in requests
        if one.start and one.end
        for n in range((one.end - one.start).days + 1)
    }


def ranges(requests: Sequence[Request]) -> list[str]:
    return [f"{one.symbol} {one.start}..{one.end}" for one in requests]


WISHES = st.tuples(
    st.integers(0, 70),  # hours until the wish
    st.integers(0, 40),  # days from its begin to its end
    st.integers(-4, 40),  # days from its end back to the day of the wish
    st.lists(st.booleans(), min_size=12, max_size=12),  # which calls fail
    st.booleans(),  # whether the calls are made a day later
)


@given(
    symbol=st.sampled_from(["X:BTCUSD", "AAPL"]),
    wishes=st.lists(WISHES, min_size=1, max_size=7),
    overlap=st.sampled_from([0, 5]),
    failing=st.booleans(),
)
def test_any_sequence_of_wishes_leaves_every_wanted_session_covered_or_failed_with_the_fewest_calls(
    symbol: str, wishes: list[tuple[int, int, int, list[bool], bool]], overlap: int, *, failing: bool
) -> None:
    database, now = Database(), FIRST
    sample = Request(provider="polygon", symbol=symbol, timespan="1m", start=FIRST.date(), end=FIRST.date())
    finality = POLYGON.finality_of(sample, options("polygon"))

    def is_session(day: date) -> bool:
        return close_ms(finality.calendar, day, zone=finality.zone) is not None

    for hours, length, back, fails, late in wishes:
        now += timedelta(hours=hours)
        # By brute force: a day is known if a reply had it when it was final.
        known = {
            day for request, at in database.calls for day in days_of([request]) if is_final(finality, "1m", day, unix_ms(at))
        }
        here = today(finality, unix_ms(now))
        end = here - timedelta(days=back)
        start = min(end, here) - timedelta(days=length)
        wanted = {start + timedelta(days=n) for n in range((min(end, here) - start).days + 1)}
        missing = {day for day in wanted - known if is_session(day)}
        requests = database.ask(symbol, start, end, now, overlap=overlap, timespan="1m")
        assert missing <= days_of(requests), "every session that is wanted and not known is asked for"
        assert all(start <= day <= end for day in days_of(requests)), "and nothing that is not wanted"
        assert not any(database.ledger.get(one.root) for one in requests), "no request that has failed before is in the plan"
        if wanted & known:
            # Calls have fixed boundaries, so the fewest calls are the pieces that have a missing day.
            whole = make_spec(
                "polygon", [symbol], again=False, at=now, timespan="1m", start=str(start), end=str(min(end, here))
            )
            fewest_calls = sum(1 for piece in plan(whole) if days_of([piece]) & missing)
            assert len(requests) == fewest_calls, ranges(requests)
        called = now + timedelta(days=1 if late else 0)
        for n, request in enumerate(requests):
            database.end(request, called, fails=failing and fails[n % len(fails)])
        now = called


@given(
    st.lists(st.integers(0, 60), min_size=2, max_size=12, unique=True),
    st.integers(2, 9),
    st.integers(0, 3),
)
def test_the_ranges_are_the_fewest_calls_and_of_these_the_fewest_days(bounds: list[int], piece: int, extra: int) -> None:
    bounds = sorted(bounds)
    missing = [Days(first, last) for first, last in zip(bounds[::2], bounds[1::2], strict=False)]

    def cost(days: Days) -> int:
        return extra + days.last // piece - days.first // piece + 1

    def price(some: Sequence[Days]) -> tuple[int, int]:
        return sum(map(cost, some)), sum(one.last - one.first + 1 for one in some)

    cuts = [cut for n in range(len(missing)) for cut in combinations(range(1, len(missing)), n)]
    every_way = [
        [Days(missing[a].first, missing[b - 1].last) for a, b in zip((0, *cut), (*cut, len(missing)), strict=True)]
        for cut in cuts
    ]
    found = fewest(missing, cost)
    assert price(found) == min(map(price, every_way))
    wider = widened(found, [max(0, found[-1].last - 5), found[-1].last], cost)
    assert price(wider)[0] <= price(found)[0], "no overlap costs a call"
    assert all(any(one.first >= each.first and one.last <= each.last for each in wider) for one in found)


YEAR = (date(2023, 1, 1), date(2023, 12, 31))
AT = datetime(2024, 2, 1, 10, 15, tzinfo=UTC)


def filled(*days: tuple[date, date], at: datetime = AT, symbols: str = "KO", **wish: Any) -> Database:
    database = Database()
    for start, end in days:
        for one in database.ask(symbols, start, end, at, **wish):
            database.end(one, at)
    return database


def test_a_part_of_what_is_stored_takes_no_call_and_a_neighbouring_range_only_its_new_part() -> None:
    database = filled(YEAR)
    assert database.ask("KO", date(2023, 6, 1), date(2023, 6, 30), AT) == []
    assert ranges(database.ask("KO", date(2023, 6, 1), date(2024, 1, 12), AT)) == ["KO 2024-01-02..2024-01-12"]
    assert ranges(database.ask("KO", date(2022, 12, 1), date(2024, 1, 12), AT)) == ["KO 2022-12-01..2024-01-12"], "one call"
    both = database.ask("KO MSFT", *YEAR, AT)
    assert ranges(both) == ["MSFT 2023-01-01..2023-12-31"]


def test_a_session_that_failed_in_the_middle_is_asked_for_again_by_itself_and_in_its_own_request() -> None:
    database = Database()
    requests = database.ask("X:BTCUSD", date(2024, 1, 1), date(2024, 1, 20), AT, timespan="1m")
    for n, one in enumerate(requests):
        database.end(one, AT, fails=n == 2)
    (again,) = database.ask("X:BTCUSD", date(2024, 1, 1), date(2024, 1, 20), AT, timespan="1m")
    assert (again.start, again.end) == (requests[2].start, requests[2].end)
    assert (again.root != requests[2].root, again.generation) == (True, "2024-02-01T10:15Z")
    database.end(again, AT, fails=True)
    (third,) = database.ask("X:BTCUSD", date(2024, 1, 1), date(2024, 1, 20), AT, timespan="1m")
    assert third.root not in database.ledger, "also in the same minute"
    database.end(third, AT)
    assert database.ask("X:BTCUSD", date(2024, 1, 1), date(2024, 1, 20), AT, timespan="1m") == []


def test_a_partial_end_is_asked_for_alone_and_its_overlap_makes_no_call() -> None:
    noon = datetime(2024, 1, 31, 17, tzinfo=UTC)
    database = filled((date(2023, 1, 1), date(2024, 1, 31)), at=noon)
    later = noon + timedelta(hours=1)
    assert ranges(database.ask("KO", *(date(2023, 1, 1), date(2024, 1, 31)), later)) == ["KO 2024-01-31..2024-01-31"]
    (one,) = database.ask("KO", date(2023, 1, 1), date(2024, 1, 31), later, overlap=5)
    assert (one.start, one.end, one.generation) == (date(2024, 1, 24), date(2024, 1, 31), "2024-01-31T18:00Z")
    database.end(one, night := datetime(2024, 2, 1, 5, tzinfo=UTC))
    for days in range(4):  # the 3rd is a Saturday
        asked = database.ask("KO", date(2023, 1, 1), date(2024, 1, 31), night + timedelta(days=days), overlap=5)
        assert asked == [], "nothing is new: no call, whatever the overlap"
    saturday, sunday = datetime(2024, 2, 3, 12, tzinfo=UTC), datetime(2024, 2, 4, 12, tzinfo=UTC)
    for one in database.ask("KO", date(2023, 1, 1), saturday.date(), saturday, overlap=5):
        database.end(one, saturday)
    assert database.ask("KO", date(2023, 1, 1), sunday.date(), sunday, overlap=5) == [], "a day without a session is not new"


def test_weeks_and_months_are_asked_for_as_a_whole() -> None:
    database = filled((date(2023, 1, 1), date(2023, 6, 14)), timespan="1mo")
    assert ranges(database.ask("KO", date(2023, 1, 1), date(2023, 6, 20), AT, timespan="1mo")) == ["KO 2023-06-01..2023-06-30"]


def test_what_a_reply_with_every_symbol_has_covered_is_not_asked_for() -> None:
    database = filled((date(2023, 1, 1), date(2023, 12, 28)))
    one = database.rows["polygon", "bars", "KO", "1d", "raw"][0]
    day = Covered("polygon", "bars", "*", "1d", "raw", date(2023, 12, 29), date(2023, 12, 29), date(2023, 12, 29), 1)
    assert one.last_day == date(2023, 12, 28)
    database.rows[day.series] = [day]
    assert database.ask("KO", *YEAR, AT) == []
    assert ranges(database.ask("MSFT", date(2023, 12, 28), date(2023, 12, 29), AT)) == ["MSFT 2023-12-28..2023-12-28"]


def test_again_ignores_coverage() -> None:
    database = filled(YEAR)
    spec = make_spec("polygon", ["KO"], again=True, at=AT, start="2023-01-01", end="2023-12-31")
    with override({**VARIABLES, "MARKETFETCH_OVERLAP_SESSIONS": "5"}):
        assert ranges(to_ask(spec, plan(spec), cast("Any", database)).requests) == ["KO 2023-01-01..2023-12-31"]


def test_symbols_that_miss_the_same_share_the_requests_of_several_symbols() -> None:
    database = Database()
    vendor, ours = vendors.vendor("nasdaq"), options("nasdaq")
    days: dict[str, Any] = {"dataset": "WIKI/PRICES", "start": "2015-01-01", "end": "2015-12-31"}
    spec = make_spec("nasdaq", ["A", "AA", "AAPL"], again=False, at=AT, **days)
    assert ranges(subtracted(spec, plan(spec), database, overlap=0).requests) == ["A,AA,AAPL 2015-01-01..2015-12-31"]
    for symbol, end in (("A", date(2015, 6, 30)), ("AAPL", date(2015, 6, 30))):
        first = plan(spec)[0].model_copy(update={"symbol": symbol, "end": end})
        for one in covered_by(first, vendor, ours, called_at_ms=unix_ms(AT)):
            database.rows[one.series] = [one]
    found = ranges(subtracted(spec, plan(spec), database, overlap=0).requests)
    assert found == ["A,AA,AAPL 2015-01-01..2015-12-31"], "half a year of two symbols comes along in the one call"


def test_symbols_that_miss_different_days_share_a_call_where_that_is_fewer_calls() -> None:
    vendor, ours = vendors.vendor("nasdaq"), options("nasdaq")
    days: dict[str, Any] = {"dataset": "WIKI/PRICES", "start": "2000-01-01", "end": "2015-12-31"}
    names = ["A", "AA", "AAPL", "B", "C"]
    spec = make_spec("nasdaq", names, again=False, at=AT, **days)
    database = Database()
    stored = {"A": date(2015, 6, 30), "AA": date(2015, 9, 30), "AAPL": date(2015, 12, 30), "B": date(1999, 12, 31)}
    for symbol, end in stored.items():
        asked = plan(spec)[0].model_copy(update={"symbol": symbol, "start": date(1999, 1, 1), "end": end})
        for one in covered_by(asked, vendor, ours, called_at_ms=unix_ms(AT)):
            database.rows[one.series] = [one]
    found = ranges(subtracted(spec, plan(spec), database, overlap=0).requests)
    # Sixteen years of two symbols are 8,000 of 10,000 rows of a page: a third symbol of so many years is another page.
    assert found == ["A,AA,AAPL 2015-07-01..2015-12-31", "B,C 2000-01-01..2015-12-31"]


@given(
    st.lists(st.tuples(st.integers(0, 30), st.sampled_from([1, 1, 1, 1, 1, 1, 2, 7])), min_size=1, max_size=6),
    st.integers(2, 9),
    st.integers(10, 200),
)
def test_packed_pieces_have_all_days_of_all_symbols_for_the_fewest_calls(
    some: list[tuple[int, int]], size: int, page: int
) -> None:
    pieces = [
        Piece(Days(first, 30), tuple(f"{n}-{symbol}" for symbol in range(symbols))) for n, (first, symbols) in enumerate(some)
    ]

    def calls(symbols: int, days: Days) -> int:
        return max(1, -(-symbols * (days.last - days.first + 1) // page))

    def price(found: Sequence[Piece]) -> int:
        return sum(calls(min(size, len(one.symbols) - n), one.days) for one in found for n in range(0, len(one.symbols), size))

    found = packed(pieces, size, calls)
    asked = {symbol: one.days for one in found for symbol in one.symbols}
    assert all(asked[symbol].first <= one.days.first and asked[symbol].last >= 30 for one in pieces for symbol in one.symbols)
    assert price(found) <= price(pieces)
    if all(len(one.symbols) == 1 for one in pieces):
        # By brute force, over every way to put them together.
        ways = (parts for parts in _partitions(pieces) if all(len(part) <= size for part in parts))
        assert price(found) == min(price([_joined(part) for part in parts]) for parts in ways)


def _joined(part: Sequence[Piece]) -> Piece:
    return Piece(Days(min(one.days.first for one in part), 30), tuple(symbol for one in part for symbol in one.symbols))


def _partitions(pieces: Sequence[Piece]) -> Iterator[list[list[Piece]]]:
    if not pieces:
        yield []
        return
    first, *rest = pieces
    for parts in _partitions(rest):
        yield [[first], *parts]
        for n in range(len(parts)):
            yield [*parts[:n], [first, *parts[n]], *parts[n + 1 :]]


def test_ten_thousand_symbols_of_twenty_years_take_two_seconds() -> None:
    symbols = [f"{a}{b}{c}{d}" for a in "ABCDEFGHIJ" for b in "ABCDEFGHIJ" for c in "ABCDEFGHIJ" for d in "ABCDEFGHIJ"]
    database = Database()
    for n, symbol in enumerate(symbols):
        end = date(2023, 1, 1) + timedelta(days=n % 250)
        rows = [Covered("polygon", "bars", symbol, "1d", "raw", date(2004, 1, 1), end, end, 1)]
        if n % 3 == 0:
            hole = date(2010, 1, 4) + timedelta(days=n % 100)
            rows = [
                Covered("polygon", "bars", symbol, "1d", "raw", date(2004, 1, 1), hole, hole, 1),
                Covered("polygon", "bars", symbol, "1d", "raw", hole + timedelta(days=9), end, end, 1),
            ]
        database.rows["polygon", "bars", symbol, "1d", "raw"] = rows
    began = process_time()
    found = database.ask(" ".join(symbols), date(2004, 1, 1), date(2024, 1, 31), AT, overlap=5, by_symbol=True)
    took = process_time() - began
    assert len(found) == 10_000
    assert took < 2 * 2, f"{took:.1f} s of CPU, where the bound is 2 s on an idle core"
