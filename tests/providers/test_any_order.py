"""Any permutation, duplication and interleaving of a good reply reads as the good reply, for every vendor and format."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketfetch.schemas.page import Page
from marketfetch.schemas.request import Request
from marketfetch.vendors import vendor
from marketfetch.vendors.http import HttpReply
from marketfetch.vendors.reading import read

#: Sessions on both sides of a clock change, with two symbols each for the tables.
DAYS = [date(2024, 3, 4) + timedelta(days=n) for n in range(12) if (date(2024, 3, 4) + timedelta(days=n)).weekday() < 5]
Rows = Sequence[int]


def _price(n: int) -> tuple[float, float, float, float, float]:
    return 10.0 + n, 11.5 + n, 9.5 + n, 11.0 + n, 1_000.0 + n


def _ms(day: date) -> int:
    zone = 4 if day >= date(2024, 3, 10) else 5
    return int(datetime(day.year, day.month, day.day, zone, tzinfo=UTC).timestamp() * 1000)


def polygon(rows: Rows) -> bytes:
    bars = [dict(zip("ohlcv", _price(n), strict=True), t=_ms(DAYS[n])) for n in rows]
    return json.dumps({"status": "OK", "adjusted": True, "resultsCount": len(bars), "results": bars}).encode()


def polygon_csv(rows: Rows) -> bytes:
    lines = [",".join(map(str, (*_price(n), _ms(DAYS[n])))) for n in rows]
    return ("o,h,l,c,v,t\n" + "".join(f"{line}\n" for line in lines)).encode()


def alpha_vantage(rows: Rows) -> bytes:
    names = ("1. open", "2. high", "3. low", "4. close", "5. volume")
    pairs = ",".join(f'"{DAYS[n]}":{json.dumps(dict(zip(names, map(str, _price(n)), strict=True)))}' for n in rows)
    return b'{"Meta Data":{},"Time Series (Daily)":{%s}}' % pairs.encode()


def alpha_vantage_adjusted_csv(rows: Rows) -> bytes:
    head = "timestamp,open,high,low,close,adjusted_close,volume\r\n"
    return (head + "".join(f"{DAYS[n]},{_csv(n)}\r\n" for n in rows)).encode()


def _csv(n: int) -> str:
    o, h, low, c, v = _price(n)
    return f"{o},{h},{low},{c},{c / 2},{v}"


def alpha_vantage_minutes(rows: Rows) -> bytes:
    names = ("1. open", "2. high", "3. low", "4. close", "5. volume")
    pairs = ",".join(
        f'"2024-03-08 {9 + n // 2:02}:{30 * (n % 2):02}:00":{json.dumps(dict(zip(names, map(str, _price(n)), strict=True)))}'
        for n in rows
    )
    return b'{"Meta Data":{"6. Time Zone":"US/Eastern"},"Time Series (30min)":{%s}}' % pairs.encode()


def nasdaq_table(rows: Rows) -> bytes:
    names = ["ticker", "date", "open", "high", "low", "close", "volume"]
    data = [["A" if n % 2 else "B", str(DAYS[n]), *_price(n)] for n in rows]
    columns = [{"name": name} for name in names]
    return json.dumps({"datatable": {"columns": columns, "data": data}, "meta": {"next_cursor_id": None}}).encode()


def nasdaq_dataset(rows: Rows) -> bytes:
    data = [[str(DAYS[n]), *_price(n)] for n in rows]
    names = ["Date", "Open", "High", "Low", "Settle", "Volume"]
    return json.dumps({"dataset_data": {"column_names": names, "data": data, "frequency": "daily"}}).encode()


REPLIES: dict[str, tuple[str, str, Callable[[Rows], bytes]]] = {
    one.__name__: (provider, dataset, one)
    for provider, dataset, one in (
        ("polygon", "bars", polygon),
        ("polygon", "bars", polygon_csv),
        ("alpha_vantage", "bars", alpha_vantage),
        ("alpha_vantage", "bars", alpha_vantage_adjusted_csv),
        ("alpha_vantage", "bars", alpha_vantage_minutes),
        ("nasdaq", "ACME/PRICES", nasdaq_table),
        ("nasdaq", "datasets", nasdaq_dataset),
    )
}


def bars(provider: str, dataset: str, body: bytes) -> Any:
    request = Request(provider=provider, dataset=dataset, symbol="DB/CODE" if dataset == "datasets" else "ABC")
    options = vendor(provider).options(base_url="http://vendor.test")
    page: Page = read(request, HttpReply(200, {}, body), options, max_reject_share=0)
    assert page.rejects == ()
    return {
        (one.symbol, one.timespan, one.adjustment): np.array([one.bars.ts, one.bars.open, one.bars.close, one.bars.volume])
        for one in page.series
    }


@pytest.mark.parametrize("name", REPLIES)
@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_rows_in_any_order_and_any_number_read_as_the_good_reply(name, data):
    provider, dataset, body_of = REPLIES[name]
    rows = list(range(len(DAYS)))
    expected = bars(provider, dataset, body_of(rows))
    assert sum(one.shape[1] for one in expected.values()) >= len(DAYS)
    twice = data.draw(st.lists(st.sampled_from(rows), max_size=20))
    found = bars(provider, dataset, body_of(data.draw(st.permutations([*rows, *twice]))))
    assert sorted(found) == sorted(expected)
    for series, values in expected.items():
        assert np.array_equal(found[series], values)
