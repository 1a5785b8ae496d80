"""Prices that a vendor has adjusted before an action are asked for again by the next wish. Real Redis, real database."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import marketfetch
from marketfetch import connections, vendors
from marketfetch.cli.main import marketfetch as command
from marketfetch.configured import options
from marketfetch.documents.forecast_words import lines
from marketfetch.jobs.planning import make_spec, plan
from marketfetch.jobs.refreshing import stale_of
from marketfetch.jobs.scheduling import run_due
from marketfetch.jobs.subtraction import subtracted
from marketfetch.ops.adjusted_diagnosis import stale_sentences
from marketfetch.schemas.bars import BarColumns
from marketfetch.schemas.cross_section import CrossSection
from marketfetch.schemas.ledger import Batch, LedgerRow
from marketfetch.schemas.record_kinds import Records
from marketfetch.schemas.request import Request
from marketfetch.settings import get_settings
from marketfetch.storage.vendor_adjusted import stale_series
from marketfetch.vendors.covering import covered_by
from marketfetch.vendors.times import NEW_YORK, day_start_ms, unix_ms
from tests.jobs.test_recorded_plans import lane, request_of
from tests.storage.batches import batch

#: Wishes are made on Thursday, 1 February 2024, in the morning.
NOW_MS = unix_ms(datetime(2024, 2, 1, 10, 15, tzinfo=UTC))
YEAR: dict[str, Any] = {"start": date(2023, 1, 3), "end": date(2024, 1, 10), "adjustment": "split"}
SPLIT = "2024-01-22"


@pytest.fixture(autouse=True)
def _empty(emptied: Callable[[], None]) -> None:
    emptied()


def ms(at: str) -> int:
    return unix_ms(datetime.fromisoformat(at).replace(tzinfo=UTC))


def ended(root: str, at: str, *, outcome: Any = "empty", reason: str = "") -> None:
    """As a worker ends a request that it has called at that time."""
    request = request_of(root)
    covered = covered_by(request, vendors.vendor("polygon"), options("polygon"), called_at_ms=ms(at))
    row = batch(root, outcome=outcome, symbol=request.symbol, fetched=ms(at), reason=reason)
    connections.store().store([replace(row, covered=() if outcome == "failed" else covered)])
    connections.gate("polygon").settle(root)


def listed(*rows: tuple[Any, ...], at: str, symbol: str = "KO", kind: str = "splits", provider: str = "polygon") -> None:
    name = f"{provider}-{symbol}-{kind}-{at}"
    row = LedgerRow(name, name, 0, provider, symbol, "stored", rows=len(rows), calls=1, called_at_ms=ms(at))
    connections.store().store([Batch(row, records=Records(kind, rows))])


def split_on(day: str, symbol: str = "KO") -> tuple[Any, ...]:
    return symbol, day, 2.0, 1.0, ""


def fetched(*symbols: str, at: str = "2024-01-12", **wish: Any) -> None:
    marketfetch.submit("polygon", list(symbols), **(YEAR | wish))
    for root in lane():
        ended(root, at)


def stale() -> list[str]:
    return [one.symbol for one in stale_series(connections.store(), NOW_MS)]


def asked() -> list[str]:
    return [f"{one.symbol} {one.adjustment} {one.start}..{one.end}" for one in map(request_of, lane())]


def test_an_update_of_stale_prices_asks_for_all_stored_days_in_the_call_that_brings_the_new_ones() -> None:
    fetched("KO", "PEP")
    listed(split_on(SPLIT), at="2024-01-15")
    assert stale() == ["KO"]
    job = marketfetch.update("polygon", ["KO", "PEP"], adjustment="split")
    assert asked() == ["KO split 2023-01-03..2024-02-01", "PEP split 2024-01-26..2024-02-01"]
    assert [(one.symbol, one.since, one.why) for one in job.refreshed] == [
        ("KO", date(2023, 1, 3), f"was fetched on 2024-01-12, and its list of splits has {SPLIT}")
    ]
    forecast = marketfetch.plan("polygon", ["KO"], start=date(2024, 1, 31), adjustment="split")
    assert (forecast.requests, forecast.refreshed, forecast.stored_rows) == (1, ("KO",), 0)
    assert "All stored days of KO are among them: their adjusted prices are stale." in lines(forecast)
    (refresh, _) = lane()
    twice = marketfetch.update("polygon", ["KO"], adjustment="split", name="another")
    assert (twice.requests, len(lane())) == (1, 2), "a refresh that is in flight is shared"
    ended(refresh, "2024-02-01T10:20")
    assert stale() == []
    later = marketfetch.update("polygon", ["KO"], adjustment="split", name="a third one")
    assert later.refreshed == ()
    assert asked() == ["KO split 2024-01-26..2024-02-01", "PEP split 2024-01-26..2024-02-01"]


def test_raw_prices_a_named_range_anew_and_an_announced_split_are_no_refresh() -> None:
    fetched("KO")
    listed(split_on("2024-02-01"), at="2024-01-15")
    assert (stale(), marketfetch.update("polygon", ["KO"], adjustment="split").refreshed) == ([], ())
    listed(split_on("2024-02-01"), split_on(SPLIT), at="2024-01-16")
    assert marketfetch.update("polygon", ["KO"]).refreshed == (), "raw prices"
    assert marketfetch.submit("polygon", ["KO"], **YEAR, again=True).refreshed == ()
    assert stale() == ["KO"]


def test_what_a_crash_has_left_of_a_refresh_is_asked_for_and_no_more() -> None:
    minutes: dict[str, Any] = {"start": date(2023, 7, 3), "end": date(2023, 12, 29), "timespan": "1m"}
    fetched("KO", **minutes)
    listed(split_on(SPLIT), at="2024-01-15")
    again = marketfetch.update("polygon", ["KO"], last="1 session", adjustment="split", timespan="1m")
    parts = lane()
    assert (again.requests, len(parts)) == (4, 4)
    ended(parts[1], "2024-02-01T11:00")
    ended(parts[0], "2024-02-01T11:01", outcome="failed")
    # No reply of the others has come when the workers are gone, and the job is cancelled.
    marketfetch.cancel(again.job_id)
    assert stale() == ["KO"]
    rest = marketfetch.update("polygon", ["KO"], last="1 session", adjustment="split", timespan="1m", name="the next evening")
    assert asked() == [
        f"KO split {one}" for one in ("2023-07-03..2023-08-31", "2023-11-01..2023-12-29", "2024-02-01..2024-02-01")
    ]
    assert parts[0] not in lane(), "what failed is asked for in a new generation"
    assert rest.refreshed[0].since == date(2023, 7, 3)
    for root in lane():
        ended(root, "2024-02-01T12:00")
    assert stale() == []


def test_a_refresh_that_the_vendor_refuses_is_not_asked_again_and_the_new_days_are() -> None:
    fetched("KO")
    listed(split_on(SPLIT), at="2024-01-15")
    marketfetch.update("polygon", ["KO"], adjustment="split")
    (refresh,) = lane()
    reason = "KO: Polygon: NotEntitled: Your plan doesn't include this data timeframe."
    ended(refresh, "2024-02-01T10:16", outcome="failed", reason=reason)
    later = marketfetch.update("polygon", ["KO"], adjustment="split", name="the next evening")
    assert (later.refreshed, asked()) == ((), ["KO split 2024-01-26..2024-02-01"])
    assert stale() == ["KO"], "it stays named"


def test_a_run_of_a_schedule_refreshes_and_is_one_job_however_often_it_is_due(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "marketfetch.toml").write_text(
        '[[schedule]]\nname = "nightly"\nprovider = "polygon"\nsymbols = ["KO"]\nadjustment = "split"\n'
        'last = "2 sessions"\nwhen = "session close + 20m"\n'
    )
    get_settings.cache_clear()
    fetched("KO")
    listed(split_on(SPLIT), at="2024-01-15")
    assert len([*run_due(at_ms=NOW_MS), *run_due(at_ms=NOW_MS)]) == 1
    assert asked() == ["KO split 2023-01-03..2024-02-01"]


def test_a_table_of_several_adjustments_is_refreshed_by_the_request_that_brings_them_all() -> None:
    store = connections.store()
    table = Request(
        provider="nasdaq", dataset="QUOTEMEDIA/PRICES", symbol="KO,PEP", start=date(2023, 1, 3), end=date(2024, 1, 10)
    )
    vendor: Any = vendors.vendor("nasdaq")
    row = LedgerRow("a", "a", 0, "nasdaq", "KO,PEP", "empty", rows=0, calls=1, called_at_ms=ms("2024-01-12"))
    store.store([Batch(row, covered=covered_by(table, vendor, options("nasdaq"), called_at_ms=ms("2024-01-12")))])
    listed(("KO", SPLIT, 0.46, "USD", "", None, None, None, None, ""), at="2024-01-30", kind="dividends")
    for adjustment in ("raw", "split_dividend"):
        wish: dict[str, Any] = {"start": "2024-01-31", "end": "2024-02-01", "dataset": "QUOTEMEDIA/PRICES"}
        wish["adjustment"] = adjustment
        spec = make_spec("nasdaq", ["KO", "PEP"], again=False, **wish)
        planned = plan(spec)
        found = subtracted(spec, planned, store, overlap=0, stale=stale_of(spec, planned, store)).requests
        assert [(one.symbol, one.adjustment, str(one.start)) for one in found] == [
            ("KO", adjustment, "2023-01-03"), ("PEP", adjustment, "2024-01-31"),
        ]  # fmt: skip


def test_series_that_came_with_the_whole_market_are_refreshed_by_their_symbols() -> None:
    market: dict[str, Any] = {"dataset": "grouped", "adjustment": "split", "start": date(2024, 1, 8)}
    marketfetch.submit("polygon", ["*"], **market, end=date(2024, 1, 9))
    for root in lane():
        day, one = request_of(root), np.full(2, 100.0)
        assert day.start
        bars = BarColumns.build(np.full(2, day_start_ms(day.start, NEW_YORK)), open=one, high=one, low=one, close=one)
        covered = covered_by(day, vendors.vendor("polygon"), options("polygon"), called_at_ms=ms("2024-01-12"))
        row = LedgerRow(root, root, 0, "polygon", "*", "stored", rows=2, called_at_ms=ms("2024-01-12"))
        section = CrossSection("polygon", ("KO", "PEP"), "1d", "split", bars, NEW_YORK)
        connections.store().store([Batch(row, section, covered=covered)])
        connections.gate("polygon").settle(root)
    listed(split_on(SPLIT), split_on(SPLIT, "ZZZ"), at="2024-01-15")
    assert stale() == ["KO"]
    (finding,) = stale_sentences(stale_series(connections.store(), NOW_MS))
    assert "`marketfetch fetch polygon KO --timespan 1d --adjustment split --start 2024-01-08" in finding
    forecast = marketfetch.plan("polygon", ["*"], **market, end=date(2024, 1, 11))
    assert (forecast.calls, forecast.refreshed) == (3, ("KO",))
    job = marketfetch.submit("polygon", ["*"], **market, end=date(2024, 1, 11))
    assert [(one.symbol, one.since) for one in job.refreshed] == [("KO", date(2024, 1, 8))]
    assert sorted(asked()) == [
        "* split 2024-01-10..2024-01-10", "* split 2024-01-11..2024-01-11", "KO split 2024-01-08..2024-01-11",
    ]  # fmt: skip
    update = marketfetch.submit("polygon", ["KO", "PEP"], start=date(2024, 1, 11), end=date(2024, 1, 11), adjustment="split")
    assert [one.symbol for one in update.refreshed] == ["KO"]
    assert "KO split 2024-01-08..2024-01-11" in asked()
    for root in lane():
        ended(root, "2024-02-01T10:20")
    assert stale() == []
    again = marketfetch.submit("polygon", ["*"], **market, end=date(2024, 1, 11), name="the next evening")
    assert (again.refreshed, again.all_stored) == ((), True)


def test_commands_say_which_prices_are_stale_why_and_what_is_done() -> None:
    fetched("KO", "PEP")
    listed(split_on(SPLIT), at="2024-01-15")

    def run(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(command, list(words))
        return done.exit_code, done.output

    why = f"KO was fetched on 2024-01-12, and its list of splits has {SPLIT}"
    code, status = run("status")
    assert (code, f"1 series of adjusted prices is stale: {why}." in status) == (0, True)
    code, freshness = run("status", "--freshness")
    assert (code, f"1 series of 1d split prices of polygon are stale (KO): {why}." in freshness) == (1, True)
    (one,) = json.loads(run("status", "--freshness", "--json")[1])["adjusted"]
    assert (one["symbol"], one["first"], one["last"], one["ex_date"]) == ("KO", "2023-01-03", "2024-01-10", SPLIT)
    code, update = run("update", "polygon", "KO", "--adjustment", "split")
    assert (code, f"The stored days of KO from 2023-01-03 on are asked for again: {why}." in update) == (0, True)
    json_words = json.loads(
        CliRunner().invoke(command, ["update", "polygon", "KO", "--adjustment", "split", "--tag", "x", "--json"]).stdout
    )
    assert json_words["refreshed"] == ["KO"]
