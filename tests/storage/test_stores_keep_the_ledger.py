"""What both stores promise about requests and jobs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from marketfetch.schemas.ledger import Batch, LedgerRow
from marketfetch.schemas.page import Reject
from marketfetch.storage.store import Job, Tally, Unfinished
from tests.storage.batches import batch, count


def test_the_ledger_shows_every_field_of_a_request_that_is_over(store: Any) -> None:
    row = LedgerRow(
        "r/2", "r", 2, "nasdaq", "WIKI/AAPL", "failed", "nothing there", rows=3, rejects=4, key_label="k", calls=5,
        called_at_ms=1_700_000_000_123, next_cursor="next",
    )  # fmt: skip
    store.store([Batch(row)])
    store.save_job(Job("job", "{}", 0), ["r"])
    assert store.failures("job") == [row]
    over = store.database.read(f"SELECT {store.database.spelling.ms('over_at')} FROM ledger")[0][0]
    assert over > 1_700_000_000_000


def test_a_request_without_a_call_has_no_time_of_call(store: Any) -> None:
    store.store([Batch(replace(batch("a", outcome="failed").ledger, called_at_ms=0, calls=0))])
    assert store.database.read("SELECT called_at FROM ledger") == [(None,)]
    store.save_job(Job("job", "{}", 0), ["a"])
    assert store.failures("job")[0].called_at_ms == 0


def test_a_job_is_saved_once_and_found_again(store: Any) -> None:
    assert store.save_job(Job("one", '{"a": 1}', 1_000), ["x", "y", "x"]) is True
    assert store.save_job(Job("one", '{"a": 2}', 9_000), ["z"]) is False
    assert store.job("one") == Job("one", '{"a": 1}', 1_000)
    assert store.job("two") is None
    assert [one.root for one in store.unfinished("one")] == ["x", "y"]


def test_latest_jobs_come_newest_first(store: Any) -> None:
    for i in range(5):
        store.save_job(Job(f"job{i}", "{}", i * 1_000), [])
    assert [one.id for one in store.latest_jobs(3)] == ["job4", "job3", "job2"]


def test_a_tally_adds_up_at_every_step_of_a_job_with_pages(store: Any) -> None:
    store.save_job(Job("job", "{}", 0), ["a", "b", "c"])
    assert store.tally("job") == Tally(pending=3)
    assert store.tally("job").total == 3
    store.store([batch("a", {0: 1.0, 1: 2.0}, next_cursor="p1")])
    assert store.tally("job") == Tally(pending=3, stored=1, rows=2)
    bad = Reject.of(0, "low", 1, "low is above high")
    store.store([batch("a/1", {2: 1.0}, rejects=(bad, bad), next_cursor="p2"), batch("b", outcome="empty")])
    assert store.unfinished("job") == [Unfinished("a", 2, "p2"), Unfinished("c", 0, None)]
    store.store([batch("a/2", outcome="failed", reason="gone"), batch("c", outcome="cancelled")])
    done = Tally(stored=2, empty=1, failed=1, cancelled=1, rows=3, rejects=2, reject_reasons={"low is above high": 2})
    assert store.tally("job") == done
    assert store.tally("job").total == 5
    assert store.unfinished("job") == []
    assert store.tally("no such job") == Tally()


def test_a_page_that_is_over_before_the_one_that_names_it_hides_nothing(store: Any) -> None:
    store.save_job(Job("job", "{}", 0), ["a"])
    store.store([batch("a/1", {0: 1.0})])
    assert store.unfinished("job") == [Unfinished("a", 0, None)]
    assert store.tally("job") == Tally(pending=1, stored=1, rows=1)
    store.store([batch("a", {1: 1.0}, next_cursor="p1")])
    assert store.unfinished("job") == []


def test_two_jobs_share_a_request(store: Any) -> None:
    store.save_job(Job("one", "{}", 0), ["a", "b"])
    store.save_job(Job("two", "{}", 0), ["a"])
    store.store([batch("a", {0: 1.0})])
    assert store.tally("one") == Tally(pending=1, stored=1, rows=1)
    assert store.tally("two") == Tally(stored=1, rows=1)


def test_failures_come_by_symbol_and_are_limited(store: Any) -> None:
    store.save_job(Job("job", "{}", 0), ["a", "b", "c"])
    store.store([batch(r, symbol=s, outcome="failed", reason="no") for r, s in (("a", "MSFT"), ("b", "AAPL"), ("c", "IBM"))])
    assert [row.symbol for row in store.failures("job")] == ["AAPL", "IBM", "MSFT"]
    assert [row.symbol for row in store.failures("job", limit=1)] == ["AAPL"]


def test_a_symbol_is_empty_when_all_its_requests_are(store: Any) -> None:
    store.save_job(Job("job", "{}", 0), ["a", "b", "c", "d", "e", "f"])
    assert store.empty_symbols("job", 9) == ([], 0)
    empty = [batch(r, symbol=s, outcome="empty") for r, s in (("a", "ZZZZ"), ("b", "ZZZZ"), ("c", "YYYY"), ("d", "IBM"))]
    failed = batch("f", symbol="MSFT", outcome="failed", reason="no")
    store.store([*empty, batch("e", {0: 1.0}, symbol="IBM"), failed, batch("x", symbol="OTHER", outcome="empty")])
    assert store.empty_symbols("job", 9) == (["YYYY", "ZZZZ"], 2)
    assert store.empty_symbols("job", 1) == (["YYYY"], 2)


def test_over_answers_for_any_number_of_requests(store: Any) -> None:
    store.store([batch("a", {0: 1.0}), batch("b", outcome="failed")])
    asked = [f"r{i}" for i in range(40_000)]
    assert store.over([*asked, "a", "b"]) == {"a", "b"}
    assert store.over([]) == set()


def test_a_job_of_ten_thousand_requests_is_counted_exactly(store: Any) -> None:
    roots = [f"root{i:05}" for i in range(10_000)]
    store.save_job(Job("job", "{}", 0), roots)
    store.store([Batch(LedgerRow(r, r, 0, "polygon", "X", "stored", rows=1)) for r in roots[:6_000]])
    assert store.tally("job") == Tally(pending=4_000, stored=6_000, rows=6_000)
    assert [one.root for one in store.unfinished("job")] == roots[6_000:]
    assert count(store, "ledger") == 6_000
