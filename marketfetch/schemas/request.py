"""Request: one HTTP call's worth of a job. A page is a request of its own."""

from __future__ import annotations

import hashlib
from datetime import date

from pydantic import BaseModel, ConfigDict, Field

from marketfetch.schemas.job_spec import Provider
from marketfetch.schemas.timespans import Adjustment, Timespan


class Request(BaseModel):
    """The absolute parameters of one call to a vendor; small enough to be a task's readable arguments.

    `symbol` may hold several, comma-separated, where a vendor answers for many in one call. `start` and `end` are inclusive
    dates in the exchange's zone; both None only for a saved reply whose question is not known (`marketfetch read`).
    `cursor` is the vendor's name for page `page`, and never part of the identity: it may expire, the page number can't.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

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

    @property
    def root(self) -> str:
        """The identity of page 0: 20 hex digits of SHA-256 over what was asked."""
        asked = self.model_dump_json(exclude={"page", "cursor"})
        return hashlib.sha256(asked.encode()).hexdigest()[:20]

    @property
    def id(self) -> str:
        """`<root>` for the first page, `<root>/<n>` for page n."""
        return f"{self.root}/{self.page}" if self.page else self.root

    @property
    def arguments(self) -> str:
        """What it is parked with: JSON, without the provider and what equals the default."""
        return self.model_dump_json(exclude={"provider"}, exclude_defaults=True)

    def next_page(self, cursor: str) -> Request:
        """The request for the page that the vendor names by `cursor`."""
        return self.model_copy(update={"page": self.page + 1, "cursor": cursor})
