"""Jobs that are cancelled, over, open again; requests looked for in small portions."""

from __future__ import annotations

from typing import Any

import pytest

from marketfetch.schemas.ledger import Batch, LedgerRow
from marketfetch.schemas.page import Reject
from marketfetch.storage.store import Job, Tally, ToDo, Unfinished
from tests.storage.batches import batch, count

BAD = Reject.of(0, "low", 1, "low is above high")


def ids(jobs: list[Job]) -> list[str]:
    return [one.id for one in jobs]


def test_what_is_not_over_of_a_cancelled_job_counts_as_cancelled(store: Any) -> None:
    store.save_job(Job("job", "{}", 0), ["a", "b", "c", "d"])
    store.store([batch("a", {0: 1.0}, next_cursor="p1"), batch("b", outcome="cancelled")])
    before = store.tally("job")
    assert before == Tally(pending=3, stored=1, cancelled=1, rows=1)
    assert store.cancel_job("job", at_ms=5_000) is True
    assert store.tally("job") == Tally(stored=1, cancelled=4, rows=1)
    assert store.tally("job").total == before.total
    assert store.unfinished("job") == [Unfinished("a", 1, "p1"), Unfinished("c", 0, None), Unfinished("d", 0, None)]
    store.store([batch("c", {1: 1.0})])
    assert store.tally("job") == Tally(stored=2, cancelled=3, rows=2), "what was under way is stored all the same"


def test_a_job_is_cancelled_once_and_shows_since_when(store: Any) -> None:
    store.save_job(Job("job", "{}", 1_000), ["a"])
    assert store.cancel_job("nobody", at_ms=1) is False
    assert store.cancel_job("job", at_ms=5_000) is True
    assert store.cancel_job("job", at_ms=9_000) is False
    assert store.job("job") == Job("job", "{}", 1_000, cancelled_at_ms=5_000)
    assert store.latest_jobs() == [Job("job", "{}", 1_000, cancelled_at_ms=5_000)]


def test_submitting_a_cancelled_job_again_lets_it_go_on(store: Any) -> None:
    store.save_job(Job("job", "{}", 1_000), ["a"])
    store.cancel_job("job", at_ms=5_000)
    assert store.save_job(Job("job", "{}", 7_000), ["a"]) is False
    assert store.job("job") == Job("job", "{}", 1_000)
    assert store.tally("job") == Tally(pending=1)
    assert ids(store.open_jobs()) == ["job"]


def test_cancelling_one_job_leaves_another_one_that_shares_its_requests(store: Any) -> None:
    store.save_job(Job("one", "{}", 0), ["a"])
    store.save_job(Job("two", "{}", 0), ["a"])
    store.cancel_job("one", at_ms=1)
    assert (store.tally("one"), store.tally("two")) == (Tally(cancelled=1), Tally(pending=1))


def test_open_jobs_are_neither_cancelled_nor_over_and_come_oldest_first(store: Any) -> None:
    for n, name in enumerate(("young", "done", "cancelled", "paged", "old", "empty")):
        store.save_job(Job(name, "{}", 9_000 - n * 1_000), [] if name == "empty" else [f"r-{name}"])
    store.cancel_job("cancelled", at_ms=1)
    store.store([batch("r-done", {0: 1.0}), batch("r-paged", {0: 1.0}, next_cursor="p1")])
    for _ in range(2):
        assert ids(store.open_jobs()) == ["old", "paged", "young"]
    store.store([batch("r-paged/1", outcome="failed"), batch("r-old", {0: 1.0})])
    assert ids(store.open_jobs()) == ["young"]


def test_a_job_that_is_over_is_looked_at_only_once_and_keeps_when_it_ended(store: Any) -> None:
    store.save_job(Job("job", "{}", 0), ["a"])
    store.store([batch("a", {0: 1.0})])
    assert store.database.read("SELECT done_at FROM jobs") == [(None,)]
    store.open_jobs()
    assert store.database.read("SELECT jobs.done_at = ledger.over_at FROM jobs, ledger")[0][0]


def test_failed_requests_that_are_forgotten_are_to_do_again(store: Any) -> None:
    store.save_job(Job("job", "{}", 0), ["a", "b", "c"])
    store.save_job(Job("other", "{}", 0), ["z"])
    store.store([
        batch("a", {0: 1.0}, next_cursor="p1", rejects=(BAD,)), batch("a/1", outcome="failed", rejects=(BAD, BAD)),
        batch("b", outcome="failed"), batch("c", outcome="empty"), batch("z", outcome="failed", rejects=(BAD,)),
    ])  # fmt: skip
    assert store.forget_failed("job") == 2
    assert store.unfinished("job") == [Unfinished("a", 1, "p1"), Unfinished("b", 0, None)]
    assert store.tally("job") == Tally(pending=2, stored=1, empty=1, rows=1, rejects=1, reject_reasons={BAD.reason: 1})
    assert store.tally("other").failed == 1
    assert count(store, "rejects") == 2
    assert store.store([batch("b", {0: 1.0})]) == [True]
    assert store.forget_failed("job") == 0
    assert store.forget_failed("nobody") == 0


def test_forgetting_opens_every_job_that_asks_for_the_request(store: Any) -> None:
    for name in ("one", "two"):
        store.save_job(Job(name, "{}", 0), ["a"])
    store.store([batch("a", outcome="failed")])
    assert store.open_jobs() == []
    store.forget_failed("one")
    assert ids(store.open_jobs()) == ["one", "two"]


def test_the_counts_of_a_job_that_is_over_are_kept_until_a_request_of_it_is_forgotten(store: Any) -> None:
    for name in ("job", "open"):
        store.save_job(Job(name, "{}", 0), ["a", "b"] if name == "job" else ["a", "c"])
    store.store([batch("a", {0: 1.0}, next_cursor="p1", rejects=(BAD,)), batch("a/1", outcome="empty")])
    store.store([batch("b", outcome="failed")])
    counted = store.tallies(["job", "open"])
    assert counted == {
        "job": Tally(stored=1, empty=1, failed=1, rows=1, rejects=1),
        "open": Tally(pending=1, stored=1, empty=1, rows=1, rejects=1),
    }
    store.open_jobs()
    assert store.database.read("SELECT id FROM jobs WHERE tally IS NOT NULL") == [("job",)]
    store.database.change(lambda do: do("DELETE FROM job_requests WHERE job_id = 'job'"))  # so that they can't be counted again
    kept = store.tallies(["job", "open"])
    assert (kept, kept["job"].last_over_ms) == (counted, counted["job"].last_over_ms)
    store.database.change(lambda do: do("INSERT INTO job_requests (job_id, root) VALUES ('job', 'a'), ('job', 'b')"))
    assert store.forget_failed("job") == 1
    assert store.tally("job") == Tally(pending=1, stored=1, empty=1, rows=1, rejects=1, reject_reasons={BAD.reason: 1})


def test_counts_of_before_a_release_that_keeps_none_reopened_the_job_are_not_used(store: Any) -> None:
    store.save_job(Job("job", "{}", 0), ["a"])
    store.store([batch("a", outcome="failed")])
    store.open_jobs()
    store.database.change(lambda do: do("UPDATE jobs SET done_at = NULL"))
    store.database.change(lambda do: do("UPDATE ledger SET outcome = 'stored', rows = 3"))
    assert store.tally("job") == Tally(stored=1, rows=3)
    later = store.database.spelling.time(str(store.database.now_ms() + 5_000))
    store.database.change(lambda do: do(f"UPDATE jobs SET done_at = {later}"))
    assert store.tally("job") == Tally(stored=1, rows=3)
    assert store.database.read("SELECT count(*) FROM jobs WHERE tallied_at IS NOT NULL") == [(1,)]


def test_the_calls_of_forgotten_requests_still_count(store: Any) -> None:
    store.save_job(Job("job", "{}", 0), ["a", "b", "c"])
    rows = [
        LedgerRow("a", "a", 0, "polygon", "X", "failed", key_label="k", calls=3, called_at_ms=1_000),
        LedgerRow("b", "b", 0, "polygon", "X", "failed", key_label="k", calls=4, called_at_ms=2_000),
        LedgerRow("c", "c", 0, "polygon", "X", "failed", key_label="k", calls=0),
    ]
    store.store([Batch(row) for row in rows])
    asked = [("k", 0), ("k", 1_001), ("k", 2_001), ("other", 0)]
    before = [store.calls("polygon", label, since_ms=since) for label, since in asked]
    assert before == [7, 4, 0, 0]
    store.forget_failed("job")
    assert [store.calls("polygon", label, since_ms=since) for label, since in asked] == before
    store.store([Batch(rows[0])])
    assert store.calls("polygon", "k", since_ms=0) == 10, "asked again is called again"


@pytest.mark.parametrize("limit", [0, 1, 2, 3, 4, 5, 100])
def test_a_limit_gives_the_beginning_of_what_is_unfinished(store: Any, limit: int) -> None:
    store.save_job(Job("job", "{}", 0), ["e", "a", "d", "c", "b"])
    store.store([batch("a", {0: 1.0}, next_cursor="p1"), batch("c", outcome="empty"), batch("e", {0: 1.0}, next_cursor="p2")])
    everything = store.unfinished("job")
    assert [(one.root, one.page) for one in everything] == [("a", 1), ("b", 0), ("d", 0), ("e", 1)]
    assert store.unfinished("job", limit=limit) == everything[:limit]


def test_a_feeder_that_takes_portions_comes_to_the_end(store: Any) -> None:
    store.save_job(Job("job", "{}", 0), [f"r{n:03}" for n in range(100)])
    seen: list[str] = []
    while some := store.unfinished("job", limit=7):
        for one in some:
            name = f"{one.root}/{one.page}" if one.page else one.root
            seen.append(name)
            more = "next" if one.page == 0 and one.root.endswith("5") else None
            store.store([batch(name, outcome="empty", next_cursor=more)])
    assert len(seen) == len(set(seen)) == 110
    assert store.tally("job") == Tally(empty=110)


def test_outcomes_are_the_ledgers_rows(store: Any) -> None:
    rows = [
        LedgerRow("r/2", "r", 2, "nasdaq", "WIKI/AAPL", "failed", "nothing there", rows=3, rejects=4, key_label="k", calls=5,
                  called_at_ms=1_700_000_000_123, next_cursor="next"),
        LedgerRow("s", "s", 0, "nasdaq", "WIKI/IBM", "cancelled"),
    ]  # fmt: skip
    store.store([Batch(row) for row in rows])
    assert store.outcomes(["r/2", "s", "nobody"]) == {"r/2": rows[0], "s": rows[1]}
    assert store.outcomes([]) == {}


def test_the_recorded_plan_gives_what_is_left_in_its_order_with_the_arguments(store: Any) -> None:
    plan = {"c": '{"symbol":"C"}', "a": '{"symbol":"A \\u00e9 \'quoted\'"}', "b": "{}"}
    store.save_job(Job("job", "{}", 0), list(plan), arguments=list(plan.values()))
    store.save_job(Job("before", "{}", 0), ["b", "c"])
    assert [(one.request_id, one.arguments) for one in store.to_do("job", 9)] == list(plan.items())
    assert [one.request_id for one in store.to_do("job", 2)] == ["c", "a"]
    store.store([batch("c", {0: 1.0}, next_cursor="x"), batch("b", {0: 1.0})])
    assert store.to_do("job", 9) == [ToDo("c", 1, "x", plan["c"]), ToDo("a", 0, None, plan["a"])]
    assert [(one.request_id, one.arguments) for one in store.to_do("before", 9)] == [("c/1", None)]
    assert (store.planned_requests("job"), store.planned_requests("before"), store.planned_requests("none")) == (3, 2, 0)


def test_the_ledger_says_which_requests_ended_without_a_result(store: Any) -> None:
    store.store([batch("a", {0: 1.0}, next_cursor="x"), batch("a/1", outcome="failed"), batch("b", outcome="empty")])
    store.store([batch("c", outcome="cancelled")])
    assert store.ended_roots(["a", "b", "c", "d"]) == {"a": True, "b": False, "c": True}
