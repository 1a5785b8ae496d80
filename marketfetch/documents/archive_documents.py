"""The documents of the archive of replies: its months, and what a replay of it has seen."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, NotRequired, cast

from typing_extensions import TypedDict

if TYPE_CHECKING:
    from marketfetch.ops.archive_months import Months
    from marketfetch.ops.replay import Replayed


class ArchivedMonth(TypedDict):
    """A month of the archive: its replies by vendor, and its size in bytes."""

    month: str
    replies: dict[str, int]
    bytes: int


class ArchivedMonths(TypedDict):
    """The months of the archive at `place`. `dry_run`: of a purge, whether nothing was removed."""

    place: str
    replies: int
    bytes: int
    months: list[ArchivedMonth]
    dry_run: NotRequired[bool]


class ReplayedReplies(TypedDict):
    """Replies that were validated again, their bars, and how these differ from the stored ones; rows of lists as `records`.

    `rejected` counts rejects by reason, `errors` replies without rows by the class of the error. `gone`: stored bars (vendor,
    symbol, timespan, adjustment, Unix ms) that fail a check now, the first 100 of `gone_total`. `damaged`: a sentence for each
    file that can't be used.
    """

    place: str
    replies: int
    rows: int
    records: int
    new: int
    changed: int
    rejected: dict[str, int]
    gone: list[tuple[str, str, str, str, int]]
    gone_total: int
    errors: dict[str, int]
    damaged: list[str]
    dry_run: bool


def archived_months(found: Months) -> ArchivedMonths:
    months: list[ArchivedMonth] = [{"month": one.month, "replies": one.replies, "bytes": one.size} for one in found.months]
    return {"place": found.place, "replies": found.replies, "bytes": found.size, "months": months}


def replayed_replies(done: Replayed, *, dry_run: bool) -> ReplayedReplies:
    fields = {one.name: getattr(done, one.name) for one in dataclasses.fields(done)}  # `asdict` can't copy a Counter
    return cast("ReplayedReplies", {**fields, "dry_run": dry_run})
