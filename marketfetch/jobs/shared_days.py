"""Which wishes to serve by days that they share, so that the most calls are saved: pure."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from typing import Final, NamedTuple

#: So many steps of the search; what takes more is served by shared days as a whole, or not at all.
_MOST_STEPS: Final = 2_000_000


class Wish(NamedTuple):
    """The days that are wanted, each once, and how many calls they take without sharing any."""

    days: Sequence[int]
    calls: int


def shared(wishes: Sequence[Wish]) -> list[int]:
    """Returns the numbers of the wishes to serve by shared days, ascending; of equal savings the fewest wishes.

    A day is one call, whichever wishes share it; a wish is served by its days only if all of them are called. So the saving is
    the calls of the chosen wishes less the days that they have together. This is the project selection problem: a maximum flow
    from the wishes (each as much as its calls) through their days (one each) leaves over what is saved.
    """
    left = list(range(len(wishes)))
    # A wish with as many days as all of them take calls saves nothing with any others. Without it, more may be so.
    while left:
        calls = sum(wishes[n].calls for n in left)
        kept = [n for n in left if len(wishes[n].days) < calls]
        if len(kept) == len(left):
            break
        left = kept
    if not left:
        return []
    chosen = _Flow([wishes[n] for n in left]).leftover()
    if chosen is None:
        together = {day for n in left for day in wishes[n].days}
        return left if len(together) < sum(wishes[n].calls for n in left) else []
    return [left[n] for n in chosen]


class _Flow:
    def __init__(self, wishes: Sequence[Wish]) -> None:
        wanted_by: dict[int, list[int]] = defaultdict(list)
        for n, wish in enumerate(wishes):
            for day in wish.days:
                wanted_by[day].append(n)
        # Days that the same wishes want are one node, of as much room as they are days.
        rooms: dict[tuple[int, ...], int] = defaultdict(int)
        for some in wanted_by.values():
            rooms[tuple(some)] += 1
        self._room = list(rooms.values())
        self._wishes_of = [*rooms]
        self._nodes_of: list[list[int]] = [[] for _ in wishes]
        for node, alike in enumerate(self._wishes_of):
            for n in alike:
                self._nodes_of[n].append(node)
        self._left = [wish.calls for wish in wishes]
        #: How much a wish has put into a node.
        self._put: dict[tuple[int, int], int] = defaultdict(int)
        self._steps = 0

    def leftover(self) -> list[int] | None:
        """The wishes from which more could flow, ascending; None if that takes too many steps."""
        # First those of the fewest days: where each is a part of the next, nothing has to be moved afterwards.
        for n in sorted(range(len(self._left)), key=lambda one: sum(self._room[node] for node in self._nodes_of[one])):
            for node in self._nodes_of[n]:
                self._move(n, node, min(self._left[n], self._room[node]))
        while True:
            reached, end = self._search()
            if self._steps > _MOST_STEPS:
                return None
            if end is None:
                return sorted(reached)
            self._augment(reached, end)

    def _move(self, wish: int, node: int, amount: int) -> None:
        self._left[wish] -= amount
        self._room[node] -= amount
        self._put[wish, node] += amount

    def _search(self) -> tuple[dict[int, tuple[int, int] | None], int | None]:
        """The wishes that are reached from those with calls left, by where from, and a node with room, if one is reached.

        From a wish to its nodes; from a node to the wishes that have put something into it, which could put it elsewhere.
        """
        reached: dict[int, tuple[int, int] | None] = {n: None for n, left in enumerate(self._left) if left}
        waiting, seen = deque(reached), set[int]()
        while waiting:
            n = waiting.popleft()
            for node in self._nodes_of[n]:
                self._steps += 1
                if node in seen:
                    continue
                seen.add(node)
                if self._room[node]:
                    reached[-1] = (n, node)
                    return reached, node
                for other in self._wishes_of[node]:
                    self._steps += 1
                    if other not in reached and self._put[other, node]:
                        reached[other] = (n, node)
                        waiting.append(other)
        return reached, None

    def _augment(self, reached: dict[int, tuple[int, int] | None], end: int) -> None:
        """Moves one call along the way that the search has found."""
        self._room[end] -= 1
        step = reached[-1]
        while step is not None:
            wish, node = step
            self._put[wish, node] += 1
            step = reached[wish]
            if step is None:
                self._left[wish] -= 1
            else:
                self._put[wish, step[1]] -= 1
