"""Our providers read from the sandbox what the vendors' own clients read: the same question, the same numbers."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import requests

from marketfetch import vendors
from marketfetch.local.sandbox_process import Sandbox
from marketfetch.schemas.bars import BarSeries
from marketfetch.schemas.job_spec import JobSpec
from marketfetch.vendors.http import HttpReply
from tests.sandbox import vendor_libraries as clients

NEW_YORK = ZoneInfo("America/New_York")


def fetched(sandbox: Sandbox, *, page_limit: int | None = None, **wish: Any) -> list[BarSeries]:
    """Every series of every page, as a worker would read them; a rejected row is a failure here."""
    spec = JobSpec.model_validate({"as_of": "2026-05-16", **wish})
    base_url = sandbox.base_urls[spec.provider]
    vendor = vendors.vendor(spec.provider)
    options = vendor.options(base_url=base_url, page_limit=page_limit)
    found: list[BarSeries] = []
    waiting = list(vendor.plan(spec, options))
    while waiting:
        request = waiting.pop(0)
        call = vendor.build_request(request, options)
        key = {call.key.name: call.key.form.format(key="k")}
        params = [*call.params, *(key.items() if call.key.where == "query" else ())]
        headers = {**call.headers, **(key if call.key.where == "header" else {})}
        reply = requests.get(base_url + call.path, params=params, headers=headers, timeout=300)
        lower = {name.lower(): value for name, value in reply.headers.items()}
        page = vendor.read_reply(request, HttpReply(reply.status_code, lower, reply.content), options)
        assert page.rejects == ()
        found += page.series
        if page.next:
            waiting.insert(0, request.next_page(page.next))
    return found


def joined(series: list[BarSeries], name: str) -> list[Any]:
    values: list[Any] = np.concatenate([getattr(one.bars, name) for one in series]).tolist()
    return values


def midnight_ms(day: str) -> int:
    return int(datetime.combine(date.fromisoformat(day), datetime.min.time(), NEW_YORK).timestamp() * 1000)


def test_polygon_daily_bars_over_pages(sandbox: Sandbox) -> None:
    ours = fetched(
        sandbox, provider="polygon", symbols=["AAPL"], start="2022-12-01", end="2023-06-30", adjustment="split", page_limit=40
    )
    assert len(ours) > 3
    client = clients.RESTClient(api_key="k", base=sandbox.url)
    theirs = list(client.list_aggs("AAPL", 1, "day", "2022-12-01", "2023-06-30"))
    for name, field in {
        "ts": "timestamp",
        "open": "open",
        "high": "high",
        "low": "low",
        "close": "close",
        "vwap": "vwap",
    }.items():
        assert joined(ours, name) == [getattr(bar, field) for bar in theirs], name
    assert joined(ours, "volume") == [bar.volume for bar in theirs]
    assert joined(ours, "trades") == [bar.transactions for bar in theirs]


def test_polygon_whole_market_of_a_day(sandbox: Sandbox) -> None:
    ours = fetched(sandbox, provider="polygon", symbols=["*"], dataset="grouped", start="2024-07-03", end="2024-07-05")
    client = clients.RESTClient(api_key="k", base=sandbox.url)
    found: list[tuple[str, int]] = [(one.symbol, int(one.bars.ts[0])) for one in ours]
    theirs: list[Any] = []
    for day in ("2024-07-03", "2024-07-05"):
        rows: Any = client.get_grouped_daily_aggs(day, adjusted=False)
        assert len(rows) > 60
        theirs += [(midnight_ms(day), row) for row in rows]
    assert found == [(row.ticker, start) for start, row in theirs]
    for name in ("open", "high", "low", "close", "volume", "vwap"):
        assert joined(ours, name) == [getattr(row, name) for _, row in theirs], name
    (alone,) = fetched(sandbox, provider="polygon", symbols=["AAPL"], start="2024-07-05", end="2024-07-05", adjustment="raw")
    (same,) = [one for one in ours if one.symbol == "AAPL" and one.bars.ts[0] == alone.bars.ts[0]]
    assert (same.bars.close, same.bars.volume) == (alone.bars.close, alone.bars.volume)


@pytest.mark.parametrize(("timespan", "multiplier", "span"), [("5m", 5, "minute"), ("1h", 1, "hour")])
def test_polygon_intraday_bars(sandbox: Sandbox, timespan: str, multiplier: int, span: str) -> None:
    asked: Any = {"symbols": ["X:BTCUSD"], "timespan": timespan, "start": "2024-03-08", "end": "2024-03-12"}
    ours = fetched(sandbox, provider="polygon", **asked)
    client = clients.RESTClient(api_key="k", base=sandbox.url)
    theirs = list(client.list_aggs("X:BTCUSD", multiplier, span, "2024-03-08", "2024-03-12", limit=50_000))
    assert joined(ours, "ts") == [bar.timestamp for bar in theirs]
    assert joined(ours, "close") == [bar.close for bar in theirs]


def test_alpha_vantage_daily_bars(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients.AlphaVantage, "_ALPHA_VANTAGE_API_URL", f"{sandbox.url}/query?")
    ours = fetched(sandbox, provider="alpha_vantage", symbols=["IBM"], start="2025-06-02", end="2026-05-15")
    rows, _ = clients.TimeSeries(key="k").get_daily(symbol="IBM", outputsize="full")
    theirs = sorted((at, row) for at, row in rows.items() if "2025-06-02" <= at <= "2026-05-15")
    assert joined(ours, "ts") == [midnight_ms(at) for at, _ in theirs]
    for name, field in {
        "open": "1. open",
        "high": "2. high",
        "low": "3. low",
        "close": "4. close",
        "volume": "5. volume",
    }.items():
        assert joined(ours, name) == [float(row[field]) for _, row in theirs], name


def test_alpha_vantage_minutes_in_utc(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients.AlphaVantage, "_ALPHA_VANTAGE_API_URL", f"{sandbox.url}/query?")
    asked: Any = {"symbols": ["MSFT"], "timespan": "1m", "start": "2017-12-18", "end": "2017-12-18"}
    ours = fetched(sandbox, provider="alpha_vantage", **asked)
    rows, _ = clients.TimeSeries(key="k").get_intraday(symbol="MSFT", interval="1min", outputsize="full", month="2017-12")
    theirs = sorted((at, row) for at, row in rows.items() if at.startswith("2017-12-18"))
    instants = [datetime.fromisoformat(at).replace(tzinfo=NEW_YORK).astimezone(UTC).timestamp() * 1000 for at, _ in theirs]
    assert len(theirs) == 390
    assert joined(ours, "ts") == instants
    assert joined(ours, "close") == [float(row["4. close"]) for _, row in theirs]


def test_nasdaq_tables(sandbox: Sandbox) -> None:
    asked: Any = {"symbols": ["AAPL", "ZEN"], "start": "2014-01-01", "end": "2014-12-31", "adjustment": "raw"}
    ours = fetched(sandbox, provider="nasdaq", page_limit=100, **asked)
    config = clients.nasdaqdatalink.ApiConfig
    before = config.api_base, config.api_key, config.api_protocol
    config.api_base, config.api_key, config.api_protocol = f"{sandbox.url}/api/v3", "k", "http://"
    try:
        frame = clients.nasdaqdatalink.get_table(
            "WIKI/PRICES", ticker=["AAPL", "ZEN"], date={"gte": "2014-01-01", "lte": "2014-12-31"}, paginate=True
        )
    finally:
        config.api_base, config.api_key, config.api_protocol = before
    for symbol, rows in frame.sort_values("date").groupby("ticker"):
        mine = [one for one in ours if one.symbol == symbol and one.adjustment == "raw"]
        order = np.argsort(joined(mine, "ts"))
        assert np.array(joined(mine, "ts"))[order].tolist() == [midnight_ms(f"{day:%Y-%m-%d}") for day in rows["date"]]
        for name in ("open", "high", "low", "close", "volume"):
            assert np.array(joined(mine, name))[order].tolist() == rows[name].tolist(), name
