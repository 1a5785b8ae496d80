"""Request: the part of a job that one HTTP call fetches. Each page is a request of its own."""

from __future__ import annotations

import hashlib
from datetime import date

from pydantic import BaseModel, ConfigDict, Field

from marketfetch.schemas.job_spec import Provider
from marketfetch.schemas.timespans import Adjustment, Timespan


class Request(BaseModel):
    """The absolute parameters of one call to a vendor, small enough for a task's arguments.

    `symbol` may be several, comma-separated, if the vendor serves many in one call. `start` and `end` are inclusive
    dates in the exchange's zone; both are None for a whole list, such as splits, and for a saved response whose request is
    unknown (`marketfetch read`). A list has a generation, as it may be longer tomorrow; the saved response has none.
    `cursor` is the vendor's cursor of page `page`. It is not part of the identity, because a cursor may expire.
    `records` is True for a planned request of a dataset that is stored as records. A worker of a release that only reads those
    refuses the request for this field; without it, that worker would record the request as stored, and drop its rows.
    `lane` is that of the owner whose keys it is called with (marketfetch/quotas/lanes.py), "" without one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    provider: Provider
    dataset: str = "bars"
    symbol: str = Field(min_length=1)
    timespan: Timespan = "1d"
    adjustment: Adjustment = "raw"
    start: date | None = None
    end: date | None = None
    generation: str = ""
    page: int = Field(default=0, ge=0)
    cursor: str | None = None
    records: bool = Field(default=False, exclude_if=lambda records: not records)
    lane: str = Field(default="", pattern=r"^([0-9a-f]{16})?$", exclude_if=lambda lane: not lane)

    @property
    def root(self) -> str:
        """The identity of page 0: 20 hex digits of SHA-256 over the parameters, behind `<lane>~` in the lane of an owner."""
        asked = self.model_dump_json(exclude={"page", "cursor"})
        digits = hashlib.sha256(asked.encode()).hexdigest()[:20]
        return f"{self.lane}~{digits}" if self.lane else digits

    @property
    def is_unknown(self) -> bool:
        """True for a saved response whose request is unknown: it may be anything of its dataset."""
        return self.start is None and not self.generation

    @property
    def id(self) -> str:
        """`<root>` for the first page, `<root>/<n>` for page n."""
        return f"{self.root}/{self.page}" if self.page else self.root

    @property
    def arguments(self) -> str:
        """The JSON with which the request is parked, without the provider and without default values."""
        return self.model_dump_json(exclude={"provider"}, exclude_defaults=True)

    def next_page(self, cursor: str) -> Request:
        """Returns the request for the next page, at the vendor's `cursor`."""
        return self.model_copy(update={"page": self.page + 1, "cursor": cursor})

    def check(self, cursor: str) -> Request | None:
        """Returns this same request at the cursor of a check (see Page); None where it has made such a call already."""
        return self.model_copy(update={"cursor": cursor}) if not self.page and self.cursor is None else None
