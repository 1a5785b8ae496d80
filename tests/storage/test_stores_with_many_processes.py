"""Eight processes at once, a process killed in the middle, and a store carried over a fork."""

from __future__ import annotations

import os
import signal
from typing import Any

from marketfetch.schemas.ledger import Batch
from tests.storage.batches import batch, closes, count
from tests.storage.fresh_processes import FRESH
from tests.storage.writers import WRITERS, die_in_the_middle, planned, write


def test_eight_processes_writing_at_once_lose_nothing(url: str, store: Any) -> None:
    answers: Any = FRESH.Queue()
    processes = [FRESH.Process(target=write, args=(url, n, answers)) for n in range(WRITERS)]
    for process in processes:
        process.start()
    answered = [answers.get(timeout=300) for _ in processes]
    for process in processes:
        process.join(300)
    assert [process.exitcode for process in processes] == [0] * WRITERS

    everything: list[Batch] = [one for n in range(WRITERS) for call in planned(n) for one in call]
    assert sum(new for calls in answered for call in calls for new in call) == len({b.ledger.request_id for b in everything})
    newest: dict[tuple[str, int], int] = {}
    for one in everything:
        for series in one.series:
            for ts in series.bars.ts.tolist():
                key = (series.symbol, ts)
                newest[key] = max(newest.get(key, 0), one.ledger.called_at_ms)
    sql = f"SELECT symbol, {store.database.spelling.ms('ts')}, {store.database.spelling.ms('fetched_at')}, close FROM bars"
    found = {(symbol, ts): (fetched, close) for symbol, ts, fetched, close in store.database.read(sql)}
    assert {key: fetched for key, (fetched, _) in found.items()} == newest
    assert all(close == float(fetched) for fetched, close in found.values())
    assert count(store, "series") == 7


def test_eight_processes_may_create_the_same_new_database_at_once(url: str) -> None:
    answers: Any = FRESH.Queue()
    processes = [FRESH.Process(target=write, args=(url, n, answers)) for n in range(WRITERS)]
    for process in processes:
        process.start()
    for _ in processes:
        answers.get(timeout=300)
    for process in processes:
        process.join(300)
    assert [process.exitcode for process in processes] == [0] * WRITERS


def test_a_process_killed_in_the_middle_leaves_nothing(url: str, store: Any) -> None:
    process = FRESH.Process(target=die_in_the_middle, args=(url,))
    process.start()
    process.join(300)
    assert process.exitcode == -signal.SIGKILL
    assert (count(store, "ledger"), count(store, "bar_rows"), count(store, "series")) == (0, 0, 0)
    assert store.store([batch("a", {0: 1.0}), batch("b", {1: 2.0})]) == [True, True]


def test_a_store_carried_over_a_fork_opens_its_own_connection(store: Any) -> None:
    store.store([batch("a", {0: 1.0})])
    child = os.fork()
    if child == 0:
        try:
            ok = store.store([batch("child", {1: 2.0})]) == [True]
            store.close()
            os._exit(0 if ok else 1)
        finally:
            os._exit(2)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert store.store([batch("b", {2: 3.0})]) == [True], "the parent's connection still works"
    assert closes(store) == {0: 1.0, 1: 2.0, 2: 3.0}
