"""A request that has crashed a worker runs alone among the threads; the others wait for it, and no one waits for ever."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from tasks import neighbours
from tasks.neighbours import House, NoPlace
from tests.waiting import LONG_S, eventually


class Task:
    """A task in a thread of its own, from its wait for a place until it is let go."""

    def __init__(self, house: House, *, alone: bool = False, wait_s: float = LONG_S, lasts_s: float = LONG_S) -> None:
        self.has_place, self.refused, self._ends = threading.Event(), threading.Event(), threading.Event()

        def run() -> None:
            try:
                with house.place(alone=alone, wait_s=wait_s, lasts_s=lasts_s):
                    self.has_place.set()
                    self._ends.wait(LONG_S)
            except NoPlace:
                self.refused.set()

        self._thread = threading.Thread(target=run)
        self._thread.start()

    def end(self) -> None:
        self._ends.set()
        self._thread.join(LONG_S)
        assert not self._thread.is_alive()


@pytest.fixture
def begin():
    """Begins a task that is over when the test is."""
    house = House()
    with ExitStack() as stack:

        def begun(**how) -> Task:
            task = Task(house, **how)
            stack.callback(task.end)
            return task

        yield begun


def waits(task: Task) -> bool:
    return not task.has_place.wait(0.15)


Begin = Callable[..., Task]


def test_tasks_run_side_by_side(begin: Begin):
    assert all(begin().has_place.wait(LONG_S) for _ in range(20))


def test_a_suspect_waits_until_no_other_runs_and_the_others_wait_for_it(begin: Begin):
    ordinary = [begin(), begin()]
    eventually(lambda: all(one.has_place.is_set() for one in ordinary), what="both run")
    suspect = begin(alone=True)
    assert waits(suspect)
    late = begin()
    assert waits(late), "no task begins beside those that run, so that the suspect's turn comes"
    ordinary[0].end()
    assert waits(suspect)
    ordinary[1].end()
    assert suspect.has_place.wait(LONG_S)
    assert waits(late)
    suspect.end()
    assert late.has_place.wait(LONG_S)


def test_suspects_run_one_after_another(begin: Begin):
    first = begin(alone=True)
    assert first.has_place.wait(LONG_S)
    second = begin(alone=True)
    assert waits(second)
    first.end()
    assert second.has_place.wait(LONG_S)


def test_a_wait_is_as_long_as_a_grant_is_good_for_and_then_the_others_go_on(begin: Begin):
    hangs = begin()
    assert hangs.has_place.wait(LONG_S)
    suspect = begin(alone=True, wait_s=0.2)
    late = begin()
    assert suspect.refused.wait(LONG_S)
    assert late.has_place.wait(LONG_S)
    assert not suspect.has_place.is_set()


def test_a_thread_that_hangs_past_its_lease_keeps_no_one_out(begin: Begin):
    hangs = begin(lasts_s=0.2)
    assert hangs.has_place.wait(LONG_S)
    assert begin(alone=True).has_place.wait(LONG_S)


def test_in_a_process_of_its_own_a_task_asks_nothing():
    with neighbours.a_place(None, "a"):  # type: ignore[arg-type]  # no gate is asked
        pass
