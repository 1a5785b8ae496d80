"""The ledger's row, and the batch that a store writes with it in one transaction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from marketfetch.schemas.page import Reject

if TYPE_CHECKING:
    from marketfetch.schemas.bars import BarSeries  # loads numpy, which a process that only reads the ledger need not do

Outcome = Literal["stored", "empty", "failed", "cancelled"]


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """A request that is over, and how it ended.

    `root` is the id of page 0, equal to `request_id` for it. `called_at_ms` is the Unix time of the last call, 0 if none was
    made. `calls` counts what was sent to the vendor for it. `next_cursor` names the page after this one, None on the last.
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
    """The validated rows of one reply with the ledger row that they are stored with. Empty for a request that failed."""

    ledger: LedgerRow
    series: tuple[BarSeries, ...] = ()
    rejects: tuple[Reject, ...] = ()
