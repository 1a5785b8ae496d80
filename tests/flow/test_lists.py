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
    assert refused.returncode == 1
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
