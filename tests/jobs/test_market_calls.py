"""Calls with the whole market in place of calls by symbol: against a planner by brute force, on days. In this process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import combinations
from time import process_time
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from marketfetch import vendors
from marketfetch.configured import options
from marketfetch.jobs import shared_days
from marketfetch.jobs.planning import make_spec, plan
from marketfetch.jobs.shared_days import Wish, shared
from marketfetch.jobs.subtraction import Left
from marketfetch.jobs.to_ask import to_ask
from marketfetch.schemas.coverage import Covered, merged
from marketfetch.schemas.ledger import LedgerRow
from marketfetch.schemas.request import Request
from marketfetch.settings import override
from marketfetch.storage.sqlite.database import SPELLING
from marketfetch.vendors.covering import covered_by
from marketfetch.vendors.times import NEW_YORK, day_start_ms, local_date, unix_ms

POLYGON = vendors.vendor("polygon")
#: A Thursday evening in New York: the session of the Wednesday is final.
AT = datetime(2024, 2, 1, 23, 15, tzinfo=UTC)
#: Five sessions, Thursday to Wednesday.
WEEK = [date(2024, 1, 25), date(2024, 1, 26), date(2024, 1, 29), date(2024, 1, 30), date(2024, 1, 31)]
NAMES = ("A", "B", "C", "D", "E")


@pytest.fixture(scope="module", autouse=True)
def _settings() -> Iterator[None]:
    with settings():
        yield


def settings(**more: str) -> Any:
    options.cache_clear()
    return override({"MARKETFETCH_WHOLE_MARKET_FROM": "2", **more})


class Database:
    """Coverage, ledger and bars, and what a market has traded of each symbol."""

    #: Without any adjusted prices.
    database = SimpleNamespace(spelling=SPELLING, listing=list, read=lambda *_of: [])

    def __init__(self, *, lacking: frozenset[tuple[str, date]] = frozenset()) -> None:
        self.rows: dict[tuple[str, ...], list[Covered]] = {}
        self.ledger: dict[str, LedgerRow] = {}
        self.bars: set[tuple[str, int]] = set()
        self.lacking = lacking
        self.names: tuple[str, ...] = NAMES

    def covered(
        self, provider: str, dataset: str, timespan: str, adjustment: str, symbols: Sequence[str] | None, /
    ) -> list[Covered]:
        kinds = [(provider, dataset, symbol, timespan, adjustment) for symbol in (*(symbols or ()), "*")]
        return [row for kind in kinds for row in self.rows.get(kind, ())]

    def stored_starts(
        self, _provider: str, _timespan: str, _adjustment: str, symbols: Sequence[str], starts_ms: Sequence[int], /
    ) -> dict[str, frozenset[int]]:
        found = {symbol: frozenset(one for one in starts_ms if (symbol, one) in self.bars) for symbol in symbols}
        return {symbol: starts for symbol, starts in found.items() if starts}

    def outcomes(self, ids: Sequence[str]) -> dict[str, LedgerRow]:
        return {one: self.ledger[one] for one in ids if one in self.ledger}

    def ended_roots(self, roots: Sequence[str]) -> Mapping[str, bool]:
        return {one: self.ledger[one].outcome == "failed" for one in roots if one in self.ledger}

    def ask(self, symbols: Sequence[str], start: date, end: date, at: datetime = AT, **wish: Any) -> Left:
        spec = make_spec("polygon", symbols, **{"again": False, **wish}, at=at, start=str(start), end=str(end))
        return to_ask(spec, plan(spec), cast("Any", self))

    def end(self, request: Request, at: datetime = AT, *, fails: str = "") -> None:
        """A worker makes the call; a reply with the whole market has a bar of each symbol that was traded."""
        outcome: Any = "failed" if fails else "stored"
        self.ledger[request.root] = LedgerRow(request.root, request.root, 0, "polygon", request.symbol, outcome, fails)
        if fails or request.start is None or request.end is None:
            return
        for one in covered_by(request, POLYGON, options("polygon"), called_at_ms=unix_ms(at)):
            self.rows[one.series] = merged(self.rows.get(one.series, []), one)
        for symbol in self.names if request.symbol == "*" else (request.symbol,):
            for n in range((request.end - request.start).days + 1):
                day = request.start + timedelta(days=n)
                if day.weekday() < 5 and (symbol, day) not in self.lacking:
                    self.bars.add((symbol, day_start_ms(day, NEW_YORK)))


def asked(left: Left) -> list[str]:
    return [
        f"{one.symbol} {one.start}..{one.end}" if one.start != one.end else f"{one.symbol} {one.start}" for one in left.requests
    ]


def market_days(left: Left) -> set[date]:
    return {one.start for one in left.requests if one.symbol == "*" and one.start}


@given(
    stored=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 4)), max_size=8),
    lacking=st.frozensets(st.tuples(st.sampled_from(NAMES), st.sampled_from(WEEK)), max_size=4),
    market=st.lists(st.integers(0, 4), max_size=3),
    last=st.integers(1, 5),
)
def test_the_calls_are_the_fewest_and_every_missing_session_is_asked_for(
    stored: list[tuple[int, int, int]], lacking: frozenset[tuple[str, date]], market: list[int], last: int
) -> None:
    database = Database(lacking=lacking)
    for number, first, more in stored:
        one = Request(provider="polygon", symbol=NAMES[number], start=WEEK[first], end=WEEK[min(4, first + more)])
        database.end(one)
    for number in market:
        database.end(Request(provider="polygon", dataset="grouped", symbol="*", start=WEEK[number], end=WEEK[number]))
    wanted = WEEK[-last:]
    left = database.ask(NAMES, wanted[0], wanted[-1])

    # By brute force: a session is known if the symbol's own reply had it, or the market's reply and the bar is stored.
    def known(symbol: str, day: date) -> bool:
        own = any(
            one.first_day <= day <= one.last_day for one in database.rows.get(("polygon", "bars", symbol, "1d", "raw"), ())
        )
        of_all = any(
            one.first_day <= day <= one.last_day for one in database.rows.get(("polygon", "grouped", "*", "1d", "raw"), ())
        )
        return own or (of_all and (symbol, day_start_ms(day, NEW_YORK)) in database.bars)

    missing = {symbol: {day for day in wanted if not known(symbol, day)} for symbol in NAMES}
    called = {WEEK[number] for number in market}

    def price(days: Sequence[date]) -> tuple[int, int]:
        served = [symbol for symbol in NAMES if missing[symbol] and missing[symbol] <= set(days)]
        if days and len(served) < 2:
            return 99, 0
        return len(days) + sum(1 for symbol in NAMES if missing[symbol] and symbol not in served), len(days)

    open_days = [day for day in wanted if day not in called]
    best = min(price(days) for n in range(len(open_days) + 1) for days in combinations(open_days, n))
    assert (len(left.requests), len(market_days(left))) == best, asked(left)
    for symbol in NAMES:
        own = [one for one in left.requests if one.symbol == symbol]
        of_own = {day for one in own for day in wanted if one.start and one.end and one.start <= day <= one.end}
        assert missing[symbol] <= of_own or missing[symbol] <= market_days(left)
    for one in left.requests:
        database.end(one)
    then = database.ask(NAMES, wanted[0], wanted[-1])
    assert not market_days(then), "what a reply with the whole market lacks is asked for by itself"
    for one in then.requests:
        database.end(one)
    assert database.ask(NAMES, wanted[0], wanted[-1]).requests == [], "and then it is known, with a bar or without"


@given(st.lists(st.tuples(st.frozensets(st.integers(0, 5), min_size=1), st.integers(1, 4)), max_size=6))
@example([(frozenset({0, 2}), 1), (frozenset({0, 3}), 3)])  # the first has taken what only the second can use
@example([(frozenset({0, 1}), 1), (frozenset({1, 2}), 2), (frozenset({0, 2}), 2), (frozenset({1, 2, 3}), 3)])
def test_the_shared_days_save_the_most_calls(some: list[tuple[frozenset[int], int]]) -> None:
    wishes = [Wish(sorted(days), calls) for days, calls in some]

    def price(chosen: Sequence[int]) -> int:
        days = {day for n in chosen for day in wishes[n].days}
        return len(days) + sum(wish.calls for n, wish in enumerate(wishes) if n not in chosen)

    ways = (chosen for n in range(len(wishes) + 1) for chosen in combinations(range(len(wishes)), n))
    assert price(shared(wishes)) == min(map(price, ways))


def test_many_symbols_for_few_days_are_asked_for_with_the_whole_market() -> None:
    database = Database()
    left = database.ask(NAMES, WEEK[3], WEEK[4])
    assert asked(left) == ["* 2024-01-30", "* 2024-01-31"]
    assert {one.dataset for one in left.requests} == {"grouped"}
    assert left.market is not None
    assert (left.market.dataset, left.market.calls, left.market.symbols, left.market.instead_of) == ("grouped", 2, 5, 5)
    assert (database.ask(NAMES, WEEK[0], WEEK[4]).market, left.partly_stored) == (None, False), "five days are five calls too"
    for one in left.requests:
        database.end(one)
    again = database.ask(NAMES[:3], WEEK[2], WEEK[4])
    assert (asked(again), again.partly_stored) == (["* 2024-01-29"], True)


def test_other_markets_adjusted_bars_and_weeks_are_asked_for_by_symbol() -> None:
    database = Database()
    mixed = database.ask([*NAMES, "X:BTCUSD", "I:SPX", "O:SPY251219C00650000"], WEEK[4], WEEK[4])
    assert asked(mixed) == [f"{one} 2024-01-31" for one in ("*", "X:BTCUSD", "I:SPX", "O:SPY251219C00650000")]
    for wish in ({"adjustment": "split"}, {"timespan": "1w"}, {"timespan": "1m"}, {"by_symbol": True}):
        assert database.ask(NAMES, WEEK[4], WEEK[4], **wish).market is None, wish
    with settings(MARKETFETCH_WHOLE_MARKET_FROM="0"):
        assert database.ask(NAMES, WEEK[4], WEEK[4]).market is None
    with settings(MARKETFETCH_WHOLE_MARKET_FROM="6"):
        assert database.ask(NAMES, WEEK[4], WEEK[4]).market is None
    assert asked(database.ask(NAMES, WEEK[4], WEEK[4], again=True)) == ["* 2024-01-31"]


def test_a_session_is_asked_for_so_once_the_plan_has_its_reply() -> None:
    """The free plan has it at the end of the day, the others soon after the close: then a later wish asks once more."""
    database, thursday = Database(), date(2024, 2, 1)
    assert database.ask(NAMES, thursday, thursday, AT).market is None
    with settings(MARKETFETCH_PROVIDERS__POLYGON__PLAN="paid"):
        (early,) = database.ask(NAMES, thursday, thursday, AT).requests
        database.end(early)
        later = AT + timedelta(days=1)
        (again,) = database.ask(NAMES, thursday, thursday, later).requests
        assert (early.symbol, again.symbol, early.root != again.root, again.generation) == ("*", "*", True, "")
        database.end(again, later)
        assert database.ask(NAMES, thursday, thursday, later).requests == []
    noon = datetime(2024, 2, 1, 17, tzinfo=UTC)
    with settings(MARKETFETCH_PROVIDERS__POLYGON__PLAN="paid"):
        assert Database().ask(NAMES, thursday, thursday, noon).market is None, "a session that goes on"


def test_a_call_that_the_vendor_refuses_is_not_made_again_and_one_that_failed_otherwise_is() -> None:
    database = Database()
    (one,) = database.ask(NAMES, WEEK[4], WEEK[4]).requests
    database.end(one, fails="grouped of 2024-01-31: Unavailable: status 503 five times")
    (again,) = database.ask(NAMES, WEEK[4], WEEK[4]).requests
    assert (again.symbol, again.root != one.root) == ("*", True)
    database.end(one, fails="grouped of 2024-01-31: NotEntitled: your plan does not include this")
    assert asked(database.ask(NAMES, WEEK[4], WEEK[4])) == [f"{name} 2024-01-31" for name in NAMES]


def test_ten_thousand_symbols_are_planned_in_two_seconds_also_with_the_whole_market() -> None:
    symbols = tuple(f"{a}{b}{c}{d}" for a in "ABCDEFGHIJ" for b in "ABCDEFGHIJ" for c in "ABCDEFGHIJ" for d in "ABCDEFGHIJ")
    database = Database()
    for n, symbol in enumerate(symbols):
        end = date(2023, 10, 1) + timedelta(days=n % 120)
        row = Covered("polygon", "bars", symbol, "1d", "raw", date(2004, 1, 1), end, end, 1)
        database.rows[row.series] = [row]
    began = process_time()
    left = database.ask(symbols, date(2004, 1, 1), WEEK[4])
    took = process_time() - began
    assert left.market is not None
    assert (len(left.requests), left.market.instead_of) == (84, 10_000)
    assert took < 2 * 2, f"{took:.1f} s of CPU, where the bound is 2 s on an idle core"
    assert local_date(day_start_ms(WEEK[0], NEW_YORK), NEW_YORK) == WEEK[0]


def test_wishes_that_take_too_long_to_weigh_are_shared_as_a_whole_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_days, "_MOST_STEPS", 0)
    assert shared([Wish([1, 2], 2), Wish([1, 2], 2)]) == [0, 1]
    assert shared([Wish([1, 2], 1), Wish([3, 4], 2), Wish([5, 6], 2), Wish([7], 1)]) == []
