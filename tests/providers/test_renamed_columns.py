"""A column of bars that a vendor renames: each reader says which columns came, so that its loss is noted with the new name."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest

from marketfetch.schemas.page import Page
from marketfetch.schemas.request import Request
from marketfetch.schemas.table_columns import TableColumns
from marketfetch.vendors import vendor
from marketfetch.vendors.errors import BadRequest, TooManyRejects, Unavailable
from marketfetch.vendors.http import HttpReply
from marketfetch.vendors.reading import read

DAYS = [date(2024, 1, day) for day in range(2, 27)]
ASKED = {"symbol": "IBM", "start": DAYS[0], "end": DAYS[-1], "adjustment": "raw"}
POLYGON = ("o", "h", "l", "c", "v", "vw", "n")
T = 1_704_171_600_000


def page_of(provider: str, dataset: str, body: Any, *, share: float = 1.0, secrets: tuple[str, ...] = (), **wish: Any) -> Page:
    known = vendor(provider)
    request = Request.model_validate({"provider": provider, "dataset": dataset, **ASKED, **wish})
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    options = known.options(base_url="http://vendor.test")
    return read(request, HttpReply(200, {}, data), options, max_reject_share=share, secrets=secrets)


def told(page: Page) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """The table, the columns that are read and came, and the others that came."""
    found = page.columns
    assert found is not None
    read_ones = tuple(one for one in found.names if one in found.reads)
    return found.table, read_ones, tuple(one for one in found.names if one not in found.reads)


def alpha_vantage(volume: str = "5. volume", *, days: int = 2, odd: bool = False, key: str = "Time Series (Daily)") -> Any:
    names = ("1. open", "2. high", "3. low", "4. close", volume)
    rows: dict[str, Any] = {str(day): dict.fromkeys(names, "7.0") for day in DAYS[:days]}
    if odd:  # so that it is read text by text
        rows["2024-01-02"] = {**rows["2024-01-02"], "8. split coefficient": "1.0"}
    return {"Meta Data": {"2. Symbol": "IBM", "5. Time Zone": "US/Eastern"}, key: rows}


@pytest.mark.parametrize("odd", [False, True], ids=["at once", "text by text"])
def test_a_series_of_alpha_vantage_names_its_function_and_its_columns(odd: bool) -> None:
    prices = ("open", "high", "low", "close")
    page = page_of("alpha_vantage", "bars", alpha_vantage(odd=odd))
    assert told(page) == ("TIME_SERIES_DAILY", (*prices, "volume"), ())
    page = page_of("alpha_vantage", "bars", alpha_vantage("5. vol", odd=odd))
    assert page.rows == 2
    assert told(page) == ("TIME_SERIES_DAILY", prices, ("5. vol",))
    with pytest.raises(Unavailable, match=r"no adjusted close for IBM, but 1\. open, .*, 5\. vol alone"):
        page_of("alpha_vantage", "TIME_SERIES_DAILY_ADJUSTED", alpha_vantage("5. vol", odd=odd))
    body = alpha_vantage(odd=odd, key="Time Series FX (Daily)")
    fx = page_of("alpha_vantage", "fx", body | {"Meta Data": {}}, symbol="EUR/USD")
    assert told(fx)[:2] == ("FX_DAILY", prices)


def test_a_csv_of_alpha_vantage_tells_as_much() -> None:
    page = page_of("alpha_vantage", "bars", b"timestamp,open,high,low,close,Traded\n2024-01-02,7,7,7,7,5\n")
    assert told(page) == ("TIME_SERIES_DAILY", ("open", "high", "low", "close"), ("Traded",))
    page = page_of("alpha_vantage", "weekly adjusted",
                   b"timestamp,open,high,low,close,adjusted close,volume,dividend amount\n2024-01-05,7,7,7,7,7,5,0\n",
                   timespan="1w")  # fmt: skip
    assert told(page)[2] == ()


def polygon(*names: str, rows: int = 2, **more: Any) -> dict[str, Any]:
    every = [{"t": T + 86_400_000 * n, **dict.fromkeys(names, 7), **more} for n in range(rows)]
    return {"status": "OK", "adjusted": False, "results": every, "resultsCount": rows}


def test_bars_of_polygon_name_the_fields_of_their_rows() -> None:
    assert told(page_of("polygon", "bars", polygon(*POLYGON, otc=True))) == ("bars of stocks", POLYGON, ())
    found = told(page_of("polygon", "bars", polygon("o", "h", "l", "c", "vol", "vw", "n")))
    assert found == ("bars of stocks", ("o", "h", "l", "c", "vw", "n"), ("vol",))
    indices = page_of("polygon", "bars", polygon("o", "h", "l", "c"), symbol="I:NDX")
    assert told(indices) == ("bars of indices", ("o", "h", "l", "c"), ())


def test_few_rows_that_leave_out_a_value_prove_nothing_and_many_do() -> None:
    without = ("o", "h", "l", "c", "v", "n")
    assert page_of("polygon", "bars", polygon(*without)).columns is None
    assert page_of("polygon", "bars", polygon(*without, vw=None)).columns is not None, "the field is there, without a value"
    assert told(page_of("polygon", "bars", polygon(*without, rows=20))) == ("bars of stocks", without, ())


def test_the_whole_market_names_the_fields_of_its_rows() -> None:
    body = polygon("o", "h", "l", "c", "volume", "vw", "n", rows=1, T="IBM")
    page = page_of("polygon", "grouped", body, symbol="*", end=DAYS[0])
    assert page.rows == 1
    assert told(page) == ("grouped", ("o", "h", "l", "c", "vw", "n"), ("volume",))


def test_a_price_that_is_renamed_is_told_with_the_rejects_of_its_rows() -> None:
    with pytest.raises(TooManyRejects) as refused:
        page_of("polygon", "bars", polygon("o", "h", "l", "last", "v", "vw", "n"), share=0.5)
    assert refused.value.page is not None
    assert told(refused.value.page) == ("bars of stocks", ("o", "h", "l", "v", "vw", "n"), ("last",))


def nasdaq(*columns: str) -> dict[str, Any]:
    row = ["IBM", "2024-01-02", *[7.0] * (len(columns) - 2)]
    named = [{"name": one, "type": "double"} for one in columns]
    return {"datatable": {"data": [row], "columns": named}, "meta": {"next_cursor_id": None}}


def test_a_table_of_nasdaq_that_is_known_by_its_columns_names_all_of_them_as_its_values_do() -> None:
    page = page_of("nasdaq", "ACME/QUOTES", nasdaq("ticker", "date", "close", "vol"))
    assert page.rows == 1
    assert page.columns == TableColumns("ACME/QUOTES", ("ticker", "date", "close", "vol"))
    series = {"dataset_data": {"column_names": ["Date", "Value"], "frequency": "daily", "data": [["2024-01-02", 1.0]]}}
    page = page_of("nasdaq", "datasets", series, symbol="FRED/DFF")
    assert page.columns == TableColumns("datasets/FRED/DFF", ("Date", "Value"))


def test_a_table_whose_mapping_is_stated_is_refused_with_the_columns_that_there_are() -> None:
    prices = ("open", "high", "low", "close")
    body = nasdaq("ticker", "date", *prices, "vol", *(f"adj_{one}" for one in prices), "adj_volume")
    with pytest.raises(BadRequest, match=r"has no column 'volume'; it has ticker, date, .*, vol, "):
        page_of("nasdaq", "WIKI/PRICES", body)


def test_a_name_of_a_column_holds_no_key_and_a_saved_reply_tells_none() -> None:
    body = polygon(*POLYGON[:4], "n", **{"s3cr3t-value-of-a-key": 1})
    page = page_of("polygon", "bars", body, secrets=("s3cr3t-value-of-a-key",))
    assert page.columns is not None
    assert "s3cr3t" not in str(page.columns)
    assert page_of("polygon", "bars", body, start=None, end=None).columns is None
    assert page_of("alpha_vantage", "bars", alpha_vantage(), start=None, end=None).columns is None
