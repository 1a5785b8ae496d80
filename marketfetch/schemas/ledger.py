"""The ledger's row, and the batch that a store writes together with it in one transaction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:  # a process that only reads the ledger needs none of these
    from collections.abc import Sequence

    from marketfetch.schemas.bars import BarSeries
    from marketfetch.schemas.coverage import Covered
    from marketfetch.schemas.page import Reject
    from marketfetch.schemas.record_kinds import Records
    from marketfetch.schemas.table_columns import TableColumns

Outcome = Literal["stored", "empty", "failed", "cancelled"]


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """A finished request and its outcome.

    `root` is the id of page 0, equal to `request_id` for it. `called_at_ms` is the Unix time of the last call, 0 without
    one. `calls` counts the calls to the vendor. `next_cursor` is the cursor of the next page, None on the last page.
    """

    request_id: str
    root: str
    page: int
    provider: str
    symbol: str
    outcome: Outcome
    reason: str = ""
    rows: int = 0
    rejects: int = 0
    key_label: str = ""
    calls: int = 0
    called_at_ms: int = 0
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """The validated rows of one response and their ledger row.

    `covered` is what the response covers, nothing if the request failed. Each page of a request names the days of all its
    pages, which count when the last of them is stored. A failed request has rows where its pages are endless, and those of the
    other series where one series is not trustworthy.
    `records`: None where the request is one of bars; an empty reply of a list has a kind and no row.
    `columns`: those of a reply of bars whose columns are noted.
    """

    ledger: LedgerRow
    series: Sequence[BarSeries] = ()
    rejects: tuple[Reject, ...] = ()
    covered: tuple[Covered, ...] = ()
    records: Records | None = None
    columns: TableColumns | None = None
