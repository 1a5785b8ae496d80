"""Changes of settings: each is kept, numbered in the order of its commit, and made on the version that its author has seen."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from marketfetch.storage import open_store
from marketfetch.storage.setting_changes import (
    ChangedMeanwhile,
    add_change,
    change_numbered,
    changes,
    latest_changes,
    reseal,
)


def test_the_latest_change_of_a_name_stands_and_all_are_kept(store):
    assert latest_changes(store) == []
    first = add_change(store, "b", "1", changed_by="ann", at_ms=1_000)
    add_change(store, "a", "2", changed_by="bob", at_ms=2_000)
    third = add_change(store, "b", None, changed_by="bob", at_ms=3_000, based_on=1, undoes=1)
    assert (first.version, first.before, first.after) == (1, None, "1")
    assert (third.version, third.before, third.after, third.undoes, third.at_ms) == (3, "1", None, 1, 3_000)
    assert [(row.name, row.version, row.after) for row in latest_changes(store)] == [("a", 2, "2"), ("b", 3, None)]
    assert [row.version for row in changes(store, limit=2)] == [3, 2]
    assert changes(store, "b", limit=9) == [third, first]
    assert change_numbered(store, 1) == first
    assert change_numbered(store, 9) is None


def test_a_change_on_an_old_version_is_refused_with_the_one_that_came_first(store):
    add_change(store, "a", "1", changed_by="ann", at_ms=1_000, based_on=0)
    bobs = add_change(store, "a", "2", changed_by="bob", at_ms=2_000, based_on=1)
    for seen in (0, 1):
        with pytest.raises(ChangedMeanwhile) as caught:
            add_change(store, "a", "3", changed_by="ann", at_ms=3_000, based_on=seen)
        assert caught.value.latest == bobs
    assert [row.after for row in latest_changes(store)] == ["2"]


def test_of_many_who_change_one_setting_at_once_one_comes_first_and_the_others_are_refused(url, store):
    def change(who: int) -> bool:
        mine = open_store(url)
        try:
            add_change(mine, "a", str(who), changed_by=str(who), at_ms=who, based_on=0)
        except ChangedMeanwhile:
            return False
        finally:
            mine.close()
        return True

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(change, range(6))) == [False] * 5 + [True]
    assert len(changes(store, limit=9)) == 1


def test_sealing_anew_changes_all_rows_or_none(store):
    add_change(store, "a", "one", changed_by="ann", at_ms=1)
    add_change(store, "a", "two", changed_by="ann", at_ms=2)

    def fails(name: str, value: str) -> str:
        if value == "two":
            raise ValueError(name)
        return value.upper()

    with pytest.raises(ValueError, match="a"):
        reseal(store, fails)
    assert [row.after for row in changes(store, limit=9)] == ["two", "one"]
    assert reseal(store, lambda name, value: value.upper()) == 2
    assert [(row.before, row.after) for row in changes(store, limit=9)] == [("ONE", "TWO"), (None, "ONE")]
    assert reseal(store, lambda name, value: value) == 0
