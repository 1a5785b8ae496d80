"""Why sessions have no bar: pure arithmetic on days since 1970, for one series at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from marketfetch.schemas.bars import Ints  # imports numpy

Why = Literal["never asked", "failed", "rejected", "vendor has none"]
#: Of several reasons for one session the last one counts.
WHYS: Final[tuple[Why, ...]] = ("never asked", "failed", "vendor has none", "rejected")


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the dates from `first` to `last`, both inclusive, and since when (Unix ms).

    `most` is how many missing bars it explains at most: a reply with one rejected row lacks one bar for it. Where more
    are missing, it is not known which one that is, and it explains none. None: all of them.
    """

    first: int
    last: int
    why: Why
    reason: str = ""
    at_ms: int = 0
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """Sessions without a bar that follow one another, for the same reason. `known` is None where nothing was ever asked."""

    first: int
    last: int
    sessions: int
    known: Known | None


def runs(expected: Ints, stored: Ints, known: Sequence[Known], *, first_bar: int | None) -> Iterator[Run]:
    """Yields the runs of sessions among `expected` that are not in `stored`; both ascend, each value once.

    Of several reasons for one session the last one in the order of WHYS counts, and of equal ones the latest. A session before
    `first_bar` of which the vendor has none is no gap: the listing began later.
    """
    import numpy as np

    if len(expected) == len(stored) and np.array_equal(expected, stored):
        return
    places = np.flatnonzero(~np.isin(expected, stored, assume_unique=True))
    missing = expected[places]
    by_rank = ranked(known)
    label = labels(missing, np.ones(len(missing), dtype=np.int64), by_rank)
    if first_bar is not None:
        none_yet = np.array([one.why == "vendor has none" for one in by_rank] + [False], dtype=np.bool_)
        kept = ~(none_yet[label] & (missing < first_bar))
        places, missing, label = places[kept], missing[kept], label[kept]
    if not len(missing):
        return
    breaks = np.flatnonzero((np.diff(places) != 1) | (np.diff(label) != 0)) + 1
    for begin, end in zip([0, *breaks.tolist()], [*breaks.tolist(), len(missing)], strict=True):
        at = int(label[begin])
        yield Run(int(missing[begin]), int(missing[end - 1]), end - begin, None if at < 0 else by_rank[at])


def ranked(known: Sequence[Known]) -> list[Known]:
    """In the order in which a later one counts more."""
    return sorted(known, key=lambda one: (WHYS.index(one.why), one.at_ms))


def labels(days: Ints, weights: Ints, by_rank: Sequence[Known]) -> Ints:
    """The place in `by_rank` of what explains each of the days, -1 where nothing does. The days ascend.

    `weights` is what counts against `Known.most`.
    """
    import numpy as np

    found = np.full(len(days), -1, dtype=np.int64)
    for number, one in enumerate(by_rank):
        begin, end = np.searchsorted(days, (one.first, one.last + 1))
        if one.most is None or weights[begin:end].sum() <= one.most:
            found[begin:end] = number
    return found
