"""An upgrade knows what jobs of the releases before have covered: from their wishes and the ledger. Real database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import marketfetch
from marketfetch import connections
from marketfetch.jobs import planning
from marketfetch.jobs.coverage_of_before import build_coverage
from marketfetch.storage.store import Job, StoreUnavailable
from marketfetch.vendors.times import unix_ms
from tests.storage.batches import batch

CALLED = unix_ms(datetime(2024, 1, 31, 18, tzinfo=UTC))
RANGE: dict[str, Any] = {"start": date(2023, 1, 1), "end": date(2024, 1, 31), "timespan": "1d"}


def job_of_before(job_id: str, symbols: str, *ends: tuple[str, str]) -> None:
    """A job as schema 3 has it, and how its requests ended: (symbol or symbol/page, outcome)."""
    store = connections.store()
    spec = planning.make_spec("polygon", symbols.split(), again=False, **RANGE)
    roots = {one.symbol: one.root for one in planning.plan(spec)}
    store.save_job(Job(job_id, spec.model_dump_json(), 1), list(roots.values()))
    for place, outcome in ends:
        symbol, _, page = place.partition("/")
        name = f"{roots[symbol]}/{page}" if page else roots[symbol]
        one: Any = batch(name, symbol=symbol, outcome=outcome, fetched=CALLED)  # type: ignore[arg-type]
        store.store(
            [replace(one, ledger=replace(one.ledger, next_cursor="c" if f"{symbol}/1" in dict(ends) and not page else None))]
        )
    store.database.change(lambda execute: execute("INSERT INTO jobs_to_cover (job_id) VALUES (?)", job_id))


def test_what_is_stored_with_all_its_pages_is_covered_and_nothing_else(emptied: Callable[[], None]) -> None:
    emptied()
    job_of_before("aa", "A B C D", ("A", "stored"), ("B", "empty"), ("C", "failed"))
    job_of_before("bb", "E F G", ("E", "stored"), ("E/1", "stored"), ("F", "stored"), ("F/1", "failed"))
    connections.store().save_job(Job("cc", "{}", 1), ["x"])
    connections.store().database.change(lambda execute: execute("INSERT INTO jobs_to_cover (job_id) VALUES ('cc')"))
    assert build_coverage(connections.store()) == (6, 3), "of each of three symbols the final days, and the last ones"
    rows = connections.store().covered("polygon", "bars", "1d", "raw")
    assert sorted({one.symbol for one in rows}) == ["A", "B", "E"]
    assert [(one.last_day, one.final_to) for one in rows if one.symbol == "A"] == [
        (date(2024, 1, 30), date(2024, 1, 30)),
        (date(2024, 1, 31), None),
    ]
    assert marketfetch.submit("polygon", ["A", "B"], start=date(2023, 3, 1), end=date(2023, 4, 1)).requests == 0
    assert build_coverage(connections.store()) == (0, 0)


def test_a_build_that_was_stopped_goes_on_where_it_ended(emptied: Callable[[], None], monkeypatch: Any) -> None:
    emptied()
    for number, symbol in enumerate("ABC"):
        job_of_before(f"a{number}", symbol, (symbol, "stored"))
    store = connections.store()
    cover = store.cover
    done: list[None] = []

    def stops(covered: Any) -> None:
        if len(done) == 1:
            raise StoreUnavailable("the machine stops")
        done.append(cover(covered))

    monkeypatch.setattr(store, "cover", stops)
    try:
        build_coverage(store)
    except StoreUnavailable:
        monkeypatch.undo()
    assert store.jobs_to_cover(9) == ["a1", "a2"]
    assert build_coverage(store) == (4, 2)
    assert {one.symbol for one in store.covered("polygon", "bars", "1d", "raw")} == set("ABC")
