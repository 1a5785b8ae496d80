"""What the stored series lack of the latest weeks: one look, so that its shares, its gaps and its stale series agree."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from marketfetch.ops.missing_minutes import Stretch
from marketfetch.ops.missing_sessions import Chosen, Gap, find
from marketfetch.ops.staleness import Freshness, Stale, freshness
from marketfetch.ops.stored_share import WEEKS, Group, shares
from marketfetch.storage.store import Store
from marketfetch.vendors.expected_days import date_of

_DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class Lately:
    """`missing`: the gaps from a series' first bar of these weeks on, up to the last session that is due.

    Of daily and shorter bars the sessions of these gaps are those that `groups` expect and do not have. `behind` are the gaps
    among `missing` that follow the last bar of a stale series.
    """

    fresh: Freshness
    groups: list[Group]
    missing: list[Gap | Stretch]
    behind: list[Gap]


def lately(store: Store, *, weeks: int = WEEKS, at_ms: int | None = None) -> Lately:
    """Looks at the last `weeks` weeks at `at_ms` (Unix ms; None: now). Raises BadRequestError, StoreError."""
    now_ms = time.time_ns() // 1_000_000 if at_ms is None else at_ms
    fresh = freshness(store, at_ms=now_ms)
    over = [one for one in fresh.stale if one.over]
    found = find(store, Chosen(start=date_of(now_ms // _DAY_MS - 7 * weeks), due=True), at_ms=now_ms)
    ended = set(_behind(found.gaps, [one for one in over if one.last is not None]))
    gaps = [one for one in found.gaps if one not in ended]
    behind = _behind(gaps, [one for one in fresh.stale if not one.over])
    return Lately(fresh, shares(store, over, weeks=weeks, at_ms=now_ms), [*gaps, *found.stretches], behind)


def _behind(gaps: Sequence[Gap], series: Sequence[Stale]) -> list[Gap]:
    """The gaps that follow the last final bar of one of the series; all gaps of one without such a bar."""
    last = {(one.provider, one.symbol, one.timespan, one.adjustment): one.last or date.min for one in series}
    return [one for one in gaps if one.first > last.get((one.provider, one.symbol, one.timespan, one.adjustment), date.max)]
