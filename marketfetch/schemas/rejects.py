"""Rejects: the rows of a reply that failed a check. All are counted by reason; the first hundred of each reason are kept."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Final, Self

#: How many of one reason are kept: enough to see what is wrong, and a bounded memory.
MOST_KEPT: Final = 100
#: How many reasons are counted apart; any further one counts as `OTHER`.
MOST_REASONS: Final = 100
OTHER: Final = "another reason"
#: More than the 200 characters that are kept: the border cuts it, once a key in it is found whole.
_LONGEST_VALUE: Final = 1_000


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that failed a check: `row` counts from 0 in the reply's own order; `value` has at most 200 characters."""

    row: int
    field: str
    value: str
    reason: str
    symbol: str = ""

    @classmethod
    def of(cls, row: int, field: str, value: object, reason: str, *, symbol: str = "") -> Reject:
        return cls(row=row, field=field, value=_shown(value), reason=reason, symbol=symbol)

    @property
    def cause(self) -> str:
        """Field and reason: what rejects are counted by."""
        return f"{self.field}: {self.reason}"


class Rejects(tuple[Reject, ...]):
    """The kept rejects, by row, with the numbers of all rejected rows: a tuple that knows how many it stands for.

    `rows` has the row numbers of every "field: reason", of rejects that are kept and of those that are not.
    """

    rows: Mapping[str, array[int]]

    def __new__(cls, kept: Iterable[Reject] = (), rows: Mapping[str, array[int]] | None = None) -> Self:
        one = super().__new__(cls, kept)
        if rows is None:
            found: dict[str, array[int]] = {}
            for reject in one:
                found.setdefault(reject.cause, array("q")).append(reject.row)
            rows = found
        one.rows = rows
        return one

    @property
    def counts(self) -> dict[str, int]:
        """How many rejects there are of each "field: reason"."""
        return {cause: len(rows) for cause, rows in self.rows.items()}

    @property
    def total(self) -> int:
        """How many rejects there are, kept or not."""
        return sum(map(len, self.rows.values()))

    @property
    def bad_rows(self) -> set[int]:
        """The number of every row that was rejected at least once."""
        return set(chain.from_iterable(self.rows.values()))

    @classmethod
    def together(cls, *parts: Iterable[Reject]) -> Self:
        """All of them as one, the first hundred of each reason kept."""
        book = RejectBook()
        for part in parts:
            book.add_all(part)
        return cls(*book.closed())

    def where(self, holds: Callable[[int, str], bool]) -> Self:
        """Those for which `holds(row, field)` is true."""
        rows = {
            cause: array("q", (row for row in some if holds(row, cause.partition(": ")[0])))
            for cause, some in self.rows.items()
        }
        kept = [one for one in self if holds(one.row, one.field)]
        return type(self)(kept, {cause: some for cause, some in rows.items() if some})

    def worded(self, reword: Callable[[Reject], Reject], cause: Callable[[str], str]) -> Self:
        """The same rejects in other words."""
        rows: dict[str, array[int]] = {}
        for old, some in self.rows.items():
            rows.setdefault(cause(old), array("q")).extend(some)
        return type(self)(map(reword, self), rows)

    def renamed(self, names: Mapping[str, str]) -> Self:
        """The same rejects, with the vendor's own names of the fields."""

        def cause(old: str) -> str:
            field, colon, reason = old.partition(": ")
            return f"{names.get(field, field)}{colon}{reason}"

        return self.worded(lambda one: replace(one, field=names.get(one.field, one.field)), cause)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (tuple(self), dict(self.rows))


class RejectBook:
    """Counts rejects as they are found, and keeps the first of each reason."""

    def __init__(self) -> None:
        self._kept: dict[str, list[Reject]] = {}
        self._rows: dict[str, array[int]] = {}

    def add(self, row: int, field: str, value: object, reason: str, *, symbol: str = "") -> None:
        """One reject; `value` is turned into text only where the reject is kept."""
        cause = self._cause(f"{field}: {reason}")
        self._rows[cause].append(row)
        if len(self._kept[cause]) < MOST_KEPT:
            self._kept[cause].append(Reject.of(row, field, value, reason, symbol=symbol))

    def add_rows(self, cause: str, rows: array[int], first: Iterable[Reject]) -> None:
        """The rejects of one cause, of which `first` are to be kept."""
        cause = self._cause(cause)
        self._rows[cause].extend(rows)
        self._kept[cause].extend(first)

    def add_all(self, rejects: Iterable[Reject]) -> None:
        """Rejects that were found elsewhere."""
        if not isinstance(rejects, Rejects):
            for one in rejects:
                self.add(one.row, one.field, one.value, one.reason, symbol=one.symbol)
            return
        for cause, rows in rejects.rows.items():
            self._rows[self._cause(cause)].extend(rows)
        for one in rejects:
            self._kept[self._cause(one.cause)].append(one)

    def closed(self) -> tuple[list[Reject], dict[str, array[int]]]:
        """What a Rejects is made of."""
        kept = [one for some in self._kept.values() for one in sorted(some, key=_row)[:MOST_KEPT]]
        return sorted(kept, key=_row), self._rows

    def rejects(self) -> Rejects:
        return Rejects(*self.closed())

    def _cause(self, cause: str) -> str:
        known = cause if cause in self._rows or len(self._rows) < MOST_REASONS else OTHER
        self._rows.setdefault(known, array("q"))
        self._kept.setdefault(known, [])
        return known


def _row(one: Reject) -> int:
    return one.row


def _shown(value: object) -> str:
    """The value as text; a number of thousands of digits and a nest that is too deep have none."""
    if isinstance(value, str):
        return value[:_LONGEST_VALUE]
    try:
        return str(value)[:_LONGEST_VALUE]
    except (ValueError, RecursionError):
        return f"a value too large to show ({type(value).__name__})"
