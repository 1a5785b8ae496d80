"""What a reply with the whole market lacks of a job's symbols: named by `status` and `gaps`, asked for by itself later."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import marketfetch
from marketfetch import configured, connections, vendors
from marketfetch.cli.main import marketfetch as command
from marketfetch.documents.forecast_words import lines
from marketfetch.documents.outcome import sentences
from marketfetch.exceptions import BadRequestError
from marketfetch.jobs.gap_repair import repair
from marketfetch.jobs.submission import submit_for
from marketfetch.ops.missing_sessions import Chosen, Gap, find
from marketfetch.schemas.bars import BarColumns
from marketfetch.schemas.cross_section import CrossSection
from marketfetch.schemas.ledger import Batch, LedgerRow
from marketfetch.schemas.request import Request
from marketfetch.settings import environment, override
from marketfetch.vendors.covering import covered_by
from marketfetch.vendors.times import NEW_YORK, day_start_ms, unix_ms
from tests.jobs.test_recorded_plans import lane

DAY = date(2024, 1, 30)
WISH: dict[str, Any] = {"start": DAY, "end": DAY}
NOW_MS = unix_ms(datetime(2024, 2, 1, 10, 15, tzinfo=UTC))


@pytest.fixture(autouse=True)
def _from_two(emptied: Callable[[], None]) -> Iterator[None]:
    ours = {name: value for name, value in environment().items() if name.startswith("MARKETFETCH_")}
    with override({**ours, "MARKETFETCH_WHOLE_MARKET_FROM": "2"}):
        for cache in (configured.keys, configured.options):
            cache.cache_clear()
        emptied()
        yield


def arrived(root: str, *symbols: str, at_ms: int = NOW_MS, partial: bool = False) -> None:
    """The reply to a request in the lane has a bar of each of these symbols."""
    (text,) = connections.store().database.read("SELECT arguments FROM job_requests WHERE root = ?", root)[0]
    request = Request.model_validate({"provider": "polygon", **json.loads(text)})
    close = np.full(len(symbols), 1.0)
    bars = BarColumns.build(np.full(len(symbols), day_start_ms(DAY, NEW_YORK)), open=close, high=close, low=close, close=close)
    bars = bars.marked_partial(first_ms=0) if partial else bars
    section = CrossSection("polygon", symbols, "1d", "raw", bars, NEW_YORK)
    row = LedgerRow(
        root, root, 0, "polygon", request.symbol, "stored" if symbols else "empty", rows=len(symbols), called_at_ms=at_ms
    )
    covered = covered_by(request, vendors.vendor("polygon"), configured.options("polygon"), called_at_ms=at_ms)
    connections.store().store([Batch(row, section if symbols else (), covered=covered)])


def gaps() -> list[Gap]:
    return find(connections.store(), Chosen(provider="polygon"), at_ms=NOW_MS).gaps


def test_a_symbol_that_the_reply_lacks_is_named_and_asked_for_by_itself() -> None:
    planned = marketfetch.plan("polygon", ["A", "B", "OTC"], **WISH)
    assert (planned.calls, planned.rows, planned.bytes) == (1, 10_000, 1_100_000)
    assert lines(planned)[1] == (
        "1 call brings a session of the whole market (dataset grouped), in place of 3 calls for 3 symbols; "
        "--by-symbol asks for each symbol."
    )
    job = marketfetch.submit("polygon", ["A", "B", "OTC"], **WISH)
    assert (job.requests, job.market) == (1, planned.market)
    (root,) = lane()
    arrived(root, "A", "B", "C")
    state = marketfetch.status(job.job_id)
    assert (state.state, state.lacking_symbols, state.lacking_symbols_total) == ("done", ["OTC"], 1)
    assert "The replies with the whole market lack OTC on some sessions" in sentences(state)[1]
    (gap,) = gaps()
    assert (gap.symbol, gap.first, gap.why, gap.reason) == (
        "OTC",
        DAY,
        "never asked",
        "the reply with the whole market lacks it",
    )
    (again,) = repair([gap], owner="")
    assert (again.job.requests, again.job.market) == (1, None)
    connections.redis().flushall()
    later = marketfetch.submit("polygon", ["A", "B", "OTC"], **WISH, name="later")
    (own,) = lane()
    assert (later.requests, later.partly_stored, own != root) == (1, True, True)
    arrived(own)
    assert (marketfetch.status(job.job_id).lacking_symbols, marketfetch.status(later.job_id).state) == ([], "done")
    assert [(one.symbol, one.why) for one in gaps()] == [("OTC", "vendor has none")]
    assert marketfetch.submit("polygon", ["A", "B", "OTC"], **WISH, name="last").all_stored


def test_a_reply_of_the_evening_whose_bars_may_still_change_names_what_it_lacks() -> None:
    job = marketfetch.submit("polygon", ["A", "B", "OTC"], **WISH)
    (root,) = lane()
    arrived(root, "A", "B", at_ms=unix_ms(datetime(2024, 1, 30, 21, 20, tzinfo=UTC)), partial=True)
    state = marketfetch.status(job.job_id)
    assert (state.state, state.lacking_symbols) == ("done", ["OTC"])
    assert connections.store().stored_starts("polygon", "1d", "raw", ["A"], [day_start_ms(DAY, NEW_YORK)]) == {}


def test_a_symbol_that_no_job_has_named_is_no_gap_where_the_market_lacks_it() -> None:
    marketfetch.submit("polygon", ["*"], dataset="grouped", **WISH)
    (root,) = lane()
    arrived(root, "A", "B")
    assert gaps() == []
    job = marketfetch.submit("polygon", ["A", "B"], **WISH)
    assert (job.all_stored, job.partly_stored) == (True, True), "bars that came with the market are stored for every wish"
    assert marketfetch.update("polygon", ["A", "B"], last="2 days").requests == 2, "two later sessions, not the stored one"


@pytest.mark.parametrize("dataset", ["search", "splits", "dividends", "snapshots"])
def test_who_asks_for_a_list_has_not_asked_for_bars_of_its_symbols(dataset: str) -> None:
    marketfetch.submit("polygon", ["A", "OTC"], dataset=dataset)
    connections.redis().flushall()
    marketfetch.submit("polygon", ["*"], dataset="grouped", **WISH)
    (root,) = lane()
    arrived(root, "A", "B")
    assert gaps() == []


def test_who_asks_for_adjusted_bars_has_not_asked_for_the_raw_ones_that_come_with_the_market() -> None:
    marketfetch.submit("polygon", ["OTC"], adjustment="split", **WISH)
    connections.redis().flushall()
    marketfetch.submit("polygon", ["*"], dataset="grouped", **WISH)
    (root,) = lane()
    arrived(root, "A", "B")
    assert {one.adjustment for one in gaps()} <= {"split"}


def test_a_wish_by_symbol_takes_no_call_with_the_whole_market() -> None:
    job = marketfetch.submit("polygon", ["A", "B", "C"], **WISH, by_symbol=True)
    assert (job.requests, job.market) == (3, None)
    assert marketfetch.plan("polygon", ["A", "B", "C"], **WISH, by_symbol=True).calls == 3
    by_name: dict[str, Any] = {"start": str(DAY), "end": str(DAY)}
    named = [submit_for(f"t{n}", "polygon", ["D", "E", "F"], **by_name, by_symbol=one) for n, one in enumerate((True, False))]
    assert [connections.store().planned_requests(one) for one in named] == [3, 1], "jobs by name, as the tasks submit them"
    with pytest.raises(BadRequestError, match="by_symbol"):
        submit_for("t9", "polygon", ["D", "E", "F"], **by_name, by_symbol="yes")


def test_an_update_that_is_waited_for_says_which_calls_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    planned = marketfetch.submit("polygon", ["A", "B", "OTC"], **WISH)
    assert planned.market is not None
    monkeypatch.setattr("marketfetch.jobs.updating.update", lambda *_, **__: planned)
    monkeypatch.setattr("marketfetch.cli.update._wait", lambda *_, **__: 0)
    done = CliRunner().invoke(command, ["update", "polygon", "A", "B", "OTC", "--wait"])
    assert done.exit_code == 0, done.output
    assert f"job {planned.job_id}: 1 request. 1 call brings a session of the whole market (dataset grouped), in" in done.stderr
