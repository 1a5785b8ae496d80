"""The market: the same numbers whatever is asked, plausible bars, and the recordings in their place."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketfetch.sandbox import recorded
from marketfetch.sandbox.intraday import MINUTE_MS, minutes
from marketfetch.sandbox.market import Market
from marketfetch.sandbox.resampling import group
from marketfetch.sandbox.sessions import DAY_MS, all_days, holidays, midnight_ms
from marketfetch.sandbox.symbols import Symbol, pair, stock, ticker

MARKET = Market(seed=3, today=date(2026, 5, 15))
NAMES = ["IBM", "AAPL", "MSFT", "TSLA", "ZEN", "BRK_A", "QQQQ", "ABCD", "F", "C:EURUSD", "C:USDJPY", "X:BTCEUR", "X:ETHUSD"]
names = st.sampled_from(NAMES)
days = st.dates(date(2000, 1, 1), date(2026, 5, 15))


def known(name: str) -> Symbol:
    symbol = ticker(name)
    assert symbol is not None
    return symbol


@given(name=names, first=days, length=st.integers(0, 4000))
@settings(deadline=None, max_examples=60)
def test_a_range_is_a_cut_of_the_whole_history(name: str, first: date, length: int) -> None:
    last = first + timedelta(days=length)
    whole, cut = MARKET.daily(known(name)), MARKET.daily(known(name)).between(first, last)
    inside = (whole.day >= np.datetime64(first)) & (whole.day <= np.datetime64(last))
    for column in ("day", "open", "high", "low", "close", "volume", "vwap", "trades", "split", "dividend"):
        assert np.array_equal(getattr(whole, column)[inside], getattr(cut, column))


@given(name=names, today=days)
@settings(deadline=None, max_examples=40)
def test_yesterdays_bars_do_not_depend_on_today(name: str, today: date) -> None:
    early, late = Market(3, today).daily(known(name)), MARKET.daily(known(name)).between(date(1999, 1, 1), today)
    assert np.array_equal(early.day, late.day)
    assert np.array_equal(early.close, late.close)


@given(name=names, first=days, length=st.integers(0, 9), offset=st.integers(0, 9))
@settings(deadline=None, max_examples=40)
def test_minutes_of_a_range_are_a_cut_of_the_minutes_of_a_longer_one(name: str, first: date, length: int, offset: int) -> None:
    last = first + timedelta(days=length)
    short = minutes(MARKET, known(name), first=first, last=last)
    long = minutes(MARKET, known(name), first=first - timedelta(days=offset), last=last + timedelta(days=offset))
    if not len(short):
        return
    inside = (long.ts >= short.ts[0]) & (long.ts <= short.ts[-1])
    assert np.array_equal(long.ts[inside], short.ts)
    assert np.array_equal(long.close[inside], short.close)


@pytest.mark.parametrize("name", NAMES)
def test_every_bar_is_consistent_and_plausible(name: str) -> None:
    days = MARKET.daily(known(name))
    assert len(days) > 1500
    for bars in (days, minutes(MARKET, known(name), first=date(2024, 3, 1), last=date(2024, 3, 29))):
        assert (bars.low > 0).all()
        assert (bars.low <= np.minimum(bars.open, bars.close)).all()
        assert (bars.high >= np.maximum(bars.open, bars.close)).all()
        assert (bars.volume >= 0).all()
        assert (bars.trades >= 1).all()
    moves = np.abs(np.diff(np.log(days.close / days.split)))
    assert moves.max() < 0.25


@pytest.mark.parametrize("name", ["QQQQ", "ABCD", "C:USDJPY", "X:ETHUSD", "BRK_A"])
def test_a_days_minutes_add_up_to_the_day(name: str) -> None:
    symbol, first, last = known(name), date(2014, 3, 3), date(2014, 4, 30)
    if symbol.listed > first:
        first, last = date(2022, 3, 7), date(2022, 4, 29)
    days, short = MARKET.daily(symbol).between(first, last), minutes(MARKET, symbol, first=first, last=last)
    midnights = midnight_ms(days.day, symbol.kind)
    at = np.searchsorted(midnights, short.ts, "right") - 1
    whole = group(short, at, midnights[at])
    assert np.array_equal(whole.ts, midnights)
    for column in ("open", "high", "low", "close"):
        assert np.array_equal(getattr(whole, column), getattr(days, column)), column
    np.testing.assert_allclose(whole.volume, days.volume, rtol=1e-6)


@pytest.mark.parametrize(("symbol", "rows"), sorted(recorded.daily().items()))
def test_recorded_days_are_served_as_recorded(symbol: str, rows: dict[str, recorded.Row]) -> None:
    daily = MARKET.daily(known(symbol))
    at = {str(day): i for i, day in enumerate(daily.day)}
    served = [when for when in rows if when in at]
    # Recordings know a bar on New Year's Eve of a currency, and today's began after the end of this market.
    assert len(served) >= len(rows) - 2
    for when in served:
        i, row = at[when], rows[when]
        assert (daily.open[i], daily.high[i], daily.low[i], daily.close[i], daily.volume[i]) == row[:5]


def test_the_recorded_minutes_stand_among_drawn_ones() -> None:
    bars = minutes(MARKET, known("MSFT"), first=date(2017, 12, 18), last=date(2017, 12, 18))
    start = int(midnight_ms(np.array(["2017-12-18"], dtype="datetime64[D]"), "stock")[0])
    at = (13 * 60 + 17) * MINUTE_MS + start
    i = int(np.searchsorted(bars.ts, at))
    assert bars.ts[i] == at
    assert (bars.open[i], bars.high[i], bars.low[i], bars.close[i], bars.volume[i]) == (86.8101, 86.82, 86.79, 86.8, 31172)


def test_another_seed_is_another_market_and_the_same_seed_the_same() -> None:
    symbol = known("ABCD")
    assert np.array_equal(Market(3, MARKET.today).daily(symbol).close, MARKET.daily(symbol).close)
    assert not np.array_equal(Market(4, MARKET.today).daily(symbol).close, MARKET.daily(symbol).close)


def test_sessions_keep_the_exchanges_holidays() -> None:
    assert holidays(2024) == [
        date(2024, 1, 1), date(2024, 1, 15), date(2024, 2, 19), date(2024, 3, 29), date(2024, 5, 27),
        date(2024, 6, 19), date(2024, 7, 4), date(2024, 9, 2), date(2024, 11, 28), date(2024, 12, 25),
    ]  # fmt: skip
    assert date(2021, 12, 31) not in holidays(2021)
    assert date(2022, 1, 1) not in holidays(2022)
    counts = {
        year: int(np.count_nonzero(all_days("stock").astype("datetime64[Y]") == np.datetime64(str(year))))
        for year in (2014, 2020, 2023, 2024)
    }
    assert counts == {2014: 252, 2020: 253, 2023: 250, 2024: 252}


def test_sessions_match_every_recorded_session_of_2014() -> None:
    recorded_days = sorted(row["date"] for row in recorded.wiki_prices() if row["ticker"] == "AAPL")
    ours = [str(day) for day in all_days("stock") if str(day)[:4] == "2014"]
    assert ours == recorded_days


def test_a_stocks_day_begins_at_new_yorks_midnight_on_both_sides_of_a_clock_change() -> None:
    days = np.array(["2005-04-01", "2005-04-04", "2023-01-03"], dtype="datetime64[D]")
    # The vendor's own sample and a recording say when these days began.
    assert midnight_ms(days, "stock").tolist() == [1112331600000, 1112587200000, 1672722000000]
    assert (midnight_ms(days, "fx") % DAY_MS == 0).all()


def test_unknown_symbols_are_unknown() -> None:
    assert stock("ZZZZ") is None
    assert stock("ZZZZQ") is None
    assert stock("toolong") is None
    assert stock("R1") is None
    assert stock("ES=1") is not None
    assert pair("EUR", "EUR") is None
    assert pair("QQQ", "USD") is None
    assert ticker("X:EURUSD") is None
    found = pair("BTC", "USD")
    assert found is not None
    assert found.name == "X:BTCUSD"


def test_the_exchange_keeps_a_holiday_from_the_year_in_which_it_began_to() -> None:
    def third_monday_of_january(year: int) -> bool:
        return any(day.month == 1 and 15 <= day.day <= 21 and day.weekday() == 0 for day in holidays(year))

    assert [third_monday_of_january(year) for year in (1997, 1998)] == [False, True]
    assert [any(day.month == 6 for day in holidays(year)) for year in (2021, 2022)] == [False, True]
