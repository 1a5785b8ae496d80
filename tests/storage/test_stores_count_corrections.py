"""Late corrections: counted in the ledger of the request that brought them; with the setting, what was before is kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marketfetch.storage import open_store
from marketfetch.storage.store import Job
from tests.storage.batches import DAY_MS, batch, closes, count


@pytest.fixture
def remembering(url: str) -> Iterator[Any]:
    opened = open_store(url, history=True)
    opened.create()
    yield opened
    opened.close()


def corrected(store: Any) -> dict[str, int]:
    return dict(store.database.read("SELECT request_id, corrected FROM ledger WHERE corrected > 0"))


def history(store: Any) -> list[tuple[Any, ...]]:
    ms = store.database.spelling.ms
    return list(
        store.database.read(
            f"SELECT symbol, {ms('ts')}, close, volume, request_id, {ms('fetched_at')}, replaced_by, {ms('replaced_at')} "
            "FROM bars_history ORDER BY ts, replaced_at"
        )
    )


def test_a_final_bar_with_other_values_is_a_correction(store: Any) -> None:
    store.save_job(Job("job", "{}", 1), ["b"])
    store.store([batch("a", {0: 10.0, DAY_MS: 11.0, 2 * DAY_MS: 12.0}, fetched=1)])
    store.store([batch("b", {0: 10.0, DAY_MS: 11.5, 2 * DAY_MS: 12.5, 3 * DAY_MS: 1.0}, fetched=2)])
    assert corrected(store) == {"b": 2}
    assert store.tally("job").corrected == 2
    assert count(store, "bars_history") == 0, "off by default"


def test_a_value_that_comes_or_goes_is_a_correction_too(store: Any) -> None:
    store.store([batch("a", {0: 10.0}, fetched=1)])
    store.store([batch("b", {0: 10.0}, fetched=2, volume=5.0)])
    store.store([batch("c", {0: 10.0}, fetched=3)])
    assert corrected(store) == {"b": 1, "c": 1}


def test_a_bar_that_could_still_change_is_no_correction(store: Any) -> None:
    store.store([batch("a", {0: 10.0}, fetched=1, partial=[0])])
    store.store([batch("b", {0: 11.0}, fetched=2)])
    store.store([batch("c", {0: 11.0}, fetched=3, partial=[0])])
    assert corrected(store) == {}


def test_an_older_batch_and_an_equal_one_correct_nothing(store: Any) -> None:
    store.store([batch("a", {0: 10.0, DAY_MS: 1.0}, fetched=9)])
    store.store([batch("b", {0: 11.0}, fetched=8), batch("c", {DAY_MS: 1.0}, fetched=10)])
    store.store([batch("b", {0: 99.0}, fetched=99)])
    assert corrected(store) == {}


def test_what_was_before_is_kept_with_who_replaced_it(remembering: Any) -> None:
    remembering.store([batch("a", {0: 10.0, DAY_MS: 7.0}, fetched=1_000, volume=3.0)])
    remembering.store([batch("b", {0: 11.0, DAY_MS: 7.0}, fetched=2_000, volume=3.0)])
    remembering.store([batch("c", {0: 12.0, DAY_MS: 7.0}, fetched=3_000, volume=3.0)])
    assert history(remembering) == [
        ("AAPL", 0, 10.0, 3.0, "a", 1_000, "b", 2_000),
        ("AAPL", 0, 11.0, 3.0, "b", 2_000, "c", 3_000),
    ]
    assert closes(remembering) == {0: 12.0, DAY_MS: 7.0}


def test_a_transaction_that_fails_keeps_neither(remembering: Any) -> None:
    remembering.store([batch("a", {0: 10.0}, fetched=1)])
    bad = batch("b", {0: 11.0}, fetched=2)
    broken = batch("c", {0: 12.0}, fetched=3)
    object.__setattr__(broken.series[0], "timespan", None)
    with pytest.raises(Exception, match=r"Nothing|not-null|NOT NULL|None"):
        remembering.store([bad, broken])
    assert (corrected(remembering), history(remembering), closes(remembering)) == ({}, [], {0: 10.0})
    remembering.store([bad])
    assert corrected(remembering) == {"b": 1}


_BATCH = st.tuples(
    st.dictionaries(st.integers(0, 5), st.sampled_from((1.0, 2.0)), min_size=1), st.integers(1, 6), st.booleans()
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_BATCH, min_size=1, max_size=8))
def test_counts_and_history_are_those_of_a_model(tmp_path: Any, some: list[Any]) -> None:
    """In SQLite: Postgres agrees in the tests above, and its writer is compared with SQLite's elsewhere."""
    url = f"sqlite:///{tmp_path}/{abs(hash(str(some)))}.db"
    kept = open_store(url, history=True)
    kept.create()
    bars: dict[int, tuple[float, int, bool]] = {}
    expected = 0
    for n, (values, fetched, partial) in enumerate(some):
        kept.store([batch(f"r{n}", values, fetched=fetched, partial=list(values) if partial else ())])
        for ts, value in values.items():
            before = bars.get(ts)
            if before is None or (before[1] <= fetched and (before[0], before[2]) != (value, partial)):
                expected += before is not None and not before[2] and before[0] != value
                bars[ts] = (value, fetched, partial)
    assert sum(corrected(kept).values()) == count(kept, "bars_history") == expected
    kept.close()
