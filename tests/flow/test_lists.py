"""Splits and dividends from the command to the tables, with real workers."""

from __future__ import annotations

import json
from datetime import date

import numpy as np

from marketfetch.sandbox.market import Market
from marketfetch.sandbox.symbols import DELISTED, UNIVERSE, stock


def test_lists_of_actions_are_fetched_and_stored_as_the_market_has_them(place, sandbox):
    health = sandbox.health()
    market = Market(seed=int(health["seed"]), today=date.fromisoformat(health["today"]))
    place.worker()
    refused = place.marketfetch("fetch", "nasdaq", "AAPL", "--dataset", "splits")
    assert refused.returncode == 2
    assert "alpha_vantage and polygon have it" in refused.stderr
    assert sandbox.log()["calls"] == 0
    for provider, symbols, dataset in (
        ("polygon", ("AAPL", "KO"), "splits"),
        ("polygon", ("AAPL", "KO"), "dividends"),
        ("alpha_vantage", ("AAPL",), "DIVIDENDS"),
    ):
        done = place.marketfetch("fetch", provider, *symbols, "--dataset", dataset, "--wait", "--json")
        assert done.returncode == 0, done.stderr
        state = json.loads(done.stdout)
        assert (state["state"], state["requests"]["stored"]) == ("done", len(symbols))
        table = dataset.lower()
        known = place.rows(
            f"SELECT symbol, ex_date, {'new_shares / old_shares' if table == 'splits' else 'amount'} FROM {table} "
            f"WHERE provider = '{provider}' AND gone_at IS NULL ORDER BY symbol, ex_date"
        )
        assert len(known) == state["rows"]
        expected = []
        for symbol in symbols:
            listed = stock(symbol)
            assert listed
            days = market.daily(listed)
            column = days.ratio if table == "splits" else days.cash
            at = np.flatnonzero(column != (1 if table == "splits" else 0))
            expected += [(symbol, str(days.day[i]), float(column[i])) for i in at]
        assert [(symbol, day) for symbol, day, _ in known] == [(symbol, day) for symbol, day, _ in expected]
        assert np.allclose([value for *_, value in known], [value for *_, value in expected], rtol=1e-3)
    for provider, dataset in (("polygon", "symbols"), ("alpha_vantage", "delisted")):
        done = place.marketfetch("fetch", provider, "--dataset", dataset, "--wait", "--json")
        assert json.loads(done.stdout)["requests"]["stored"] == 1, done.stderr
    assert place.rows("SELECT provider, status, count(*) FROM symbols WHERE gone_at IS NULL GROUP BY 1, 2 ORDER BY 1") == [
        ("alpha_vantage", "delisted", len(DELISTED)),
        ("polygon", "active", len(UNIVERSE)),
    ]
    lists = place.rows("SELECT provider, dataset, symbol, rows FROM record_lists ORDER BY 1, 2, 3")
    assert [row[:3] for row in lists] == [
        ("alpha_vantage", "delisted", "*"),
        ("alpha_vantage", "dividends", "AAPL"),
        *(("polygon", dataset, symbol) for dataset in ("dividends", "splits") for symbol in ("AAPL", "KO")),
        ("polygon", "symbols", "*"),
    ]

    calls = sandbox.log()["calls"]
    years = ("--dataset", "splits", "--start", "2012-01-01", "--end", "2014-12-31")
    done = place.marketfetch("fetch", "polygon", *years, "--wait", "--json")
    assert (done.returncode, json.loads(done.stdout)["requests"]["stored"]) == (0, 3), done.stderr
    assert sandbox.log()["calls"] == calls + 3
    for symbol in ("AAPL", "MSFT"):
        assert "0 calls" in place.marketfetch("fetch", "polygon", symbol, *years).stderr
    apple = "SELECT count(*) FROM splits WHERE symbol = 'AAPL' AND ex_date BETWEEN '2012-01-01' AND '2014-12-31'"
    assert place.rows(apple + " AND gone_at IS NULL") == place.rows(apple), "the same rows as in the list of the symbol"
    found = place.marketfetch("search", "alpha_vantage", "aap", "--json")
    assert found.returncode == 0, found.stderr
    assert [(row["symbol"], row["status"]) for row in json.loads(found.stdout)["rows"]] == [("AAPL", "found")]
    none = place.marketfetch("search", "polygon", "no", "such", "name")
    assert none.returncode == 1
    assert "polygon finds no symbol for 'no such name'" in none.stderr
    done = place.marketfetch("fetch", "polygon", "--dataset", "market_status", "--wait")
    assert done.returncode == 0, done.stderr
    assert "extended-hours" in place.marketfetch("show", "--dataset", "market_status").stdout


def test_any_table_and_any_series_is_stored_as_it_is_page_by_page(place):
    place.env["MARKETFETCH_PROVIDERS__NASDAQ__PAGE_LIMIT"] = "40"
    place.worker()
    table = "SHARADAR/SEP?ticker=KO&date.gte=2024-01-02&date.lte=2024-06-28"
    series = "datasets/WIKI/AAPL?start_date=2018-03-20"
    done = place.marketfetch("fetch", "nasdaq", table, series, "--dataset", "values", "--wait", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    pages = place.rows("SELECT page, outcome, rows FROM ledger WHERE symbol LIKE 'SHARADAR%' ORDER BY page")
    assert pages[:2] == [(0, "empty", 0), (1, "stored", 40)]  # the first page is the table's metadata
    (count, first, last), *_ = place.rows("SELECT count(*), min(day), max(day) FROM value_rows WHERE symbol = 'SHARADAR/SEP'")
    assert (count, first, last) == (sum(page[2] for page in pages), "2024-01-02", "2024-06-28")
    assert place.rows(
        "SELECT row_key, json_type(cells, '$.close'), json_type(cells, '$.lastupdated') FROM value_rows "
        "WHERE day = '2024-01-02'"
    ) == [('{"ticker":"KO","date":"2024-01-02"}', "real", "text")]
    assert place.rows("SELECT min(day), max(day) FROM value_rows WHERE symbol = 'datasets/WIKI/AAPL'") == [
        ("2018-03-20", "2018-03-27")
    ]


def test_snapshots_are_added_with_the_vendors_own_time(place):
    place.worker()
    for provider in ("polygon", "alpha_vantage", "polygon"):
        done = place.marketfetch("fetch", provider, "AAPL", "--dataset", "snapshots", "--again", "--wait", "--json")
        assert done.returncode == 0, done.stdout + done.stderr
    rows = place.rows("SELECT provider, length(taken_at), price > 0, volume > 0, gone_at FROM snapshots ORDER BY provider")
    assert rows == [("alpha_vantage", 10, 1, 1, None), ("polygon", 30, 1, 1, None)]
