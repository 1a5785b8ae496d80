"""What a releaser marks before it publishes: never less than it grants, seldom, and never much more."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from marketfetch.quotas import Grant, key_limits
from marketfetch.storage.store import StoreUnavailable
from tasks.worker import reservations

NASDAQ = key_limits("main", ["300/10seconds", "2000/10minutes", "50000/day"])


@pytest.fixture
def world(monkeypatch):
    """A database that adds up, and a clock that the test moves."""
    found = SimpleNamespace(marked=[], now_s=1_000.0, away=False)

    def reserve_calls(_provider: str, _label: str, *, calls: int, keep_ms: int) -> None:
        assert keep_ms >= 3 * 86_400_000
        if found.away:
            raise StoreUnavailable("away")
        found.marked.append(calls)

    store = SimpleNamespace(reserve_calls=reserve_calls, close=lambda: None)
    monkeypatch.setattr("marketfetch.connections.marks", lambda: store)
    monkeypatch.setattr(reservations, "steady_s", lambda: found.now_s)
    return found


def cover(one: reservations.Reservations, many: int, key=NASDAQ, kind="go") -> None:
    one.cover("nasdaq", (key,), [Grant(f"r{n}", 1, key.label, 0, "", kind=kind) for n in range(many)])


def test_a_key_without_a_long_limit_is_never_marked(world):
    cover(reservations.Reservations(), 9, key_limits("main", ["5/minute", "100/second"]))
    cover(reservations.Reservations(), 9, key_limits("main", [], concurrency=3))
    assert world.marked == []


def test_each_call_of_a_few_a_day_is_marked_by_itself(world):
    ours = reservations.Reservations()
    for _ in range(5):
        cover(ours, 1, key_limits("main", ["25/day@America/New_York"]))
    assert world.marked == [1] * 5


def test_what_is_marked_is_never_less_than_what_was_granted_and_soon_one_write_in_twenty(world):
    ours = reservations.Reservations()
    for granted in range(1, 201):
        cover(ours, 1)
        assert sum(world.marked) >= granted
    assert world.marked == [1, 2, 4, 8, 16] + [20] * 9


def test_many_grants_at_once_are_one_write(world):
    cover(reservations.Reservations(), 150)
    assert world.marked == [150]


def test_what_is_handed_on_without_a_call_is_not_marked(world):
    cover(reservations.Reservations(), 9, kind="held")
    assert world.marked == []


def test_the_rest_of_a_mark_is_left_after_half_a_minute(world):
    ours = reservations.Reservations()
    for _ in range(2):
        cover(ours, 1)
        cover(ours, 1)
        world.now_s += 30
    assert world.marked == [1, 2, 1, 2]


def test_a_mark_that_could_not_be_written_covers_nothing(world):
    ours = reservations.Reservations()
    world.away = True
    with pytest.raises(StoreUnavailable):
        cover(ours, 3)
    world.away = False
    cover(ours, 3)
    assert world.marked == [3]
