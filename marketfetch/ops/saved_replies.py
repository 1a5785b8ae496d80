"""`marketfetch read`: a saved reply, read exactly as a worker reads it, and reported as one document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import numpy as np
from pydantic import BaseModel, ConfigDict

from marketfetch import vendors
from marketfetch.configured import options
from marketfetch.exceptions import WrongValueError
from marketfetch.schemas.bars import BarSeries, Ints
from marketfetch.schemas.cross_section import CrossSection, count_bars
from marketfetch.schemas.page import Page
from marketfetch.schemas.price_rules import PriceKind
from marketfetch.schemas.rejects import Reject
from marketfetch.schemas.request import Request
from marketfetch.schemas.timespans import Adjustment
from marketfetch.settings import get_settings
from marketfetch.vendors import reading
from marketfetch.vendors.errors import BadRequest, FetchError, RateLimited, TooManyRejects, Transient
from marketfetch.vendors.http import HttpReply

#: The symbol of a reply that does not name one, where the caller does not say which was asked.
UNKNOWN_SYMBOL: Final = "UNKNOWN"


class SavedReject(BaseModel):
    """A row that would not be stored: `row` counts from 0 in the reply's own order."""

    model_config = ConfigDict(frozen=True)

    row: int
    field: str
    value: str
    reason: str
    symbol: str = ""


class SavedReply(BaseModel):
    """What a worker makes of a saved reply.

    `outcome` is "rows", or the name of the class in the error tree (then `rows` counts what would be stored all the same: the
    trustworthy series of a reply with TooManyRejects, and nothing of any other). `rows` counts
    the reply's good rows, `bars` what would be stored of them: a row may give a raw and an adjusted bar. `first_ts` and
    `last_ts` are the starts of the earliest and the latest bar, Unix ms UTC; None without bars. `next` is the vendor's name
    for the page after this one. `retry_after` is in seconds, None where the vendor did not say. `message` is the error's
    sentence, "" for rows. `rejects` has the first hundred of each reason, `rejected` counts all.
    """

    model_config = ConfigDict(frozen=True)

    outcome: str
    rows: int = 0
    rejects: tuple[SavedReject, ...] = ()
    first_ts: int | None = None
    last_ts: int | None = None
    next: str | None = None
    retry_after: float | None = None
    message: str = ""
    bars: int = 0
    series: tuple[str, ...] = ()
    quirks: dict[str, int] = {}
    rejected: int = 0

    @property
    def span(self) -> str:
        """First to last bar in words, "" without bars."""
        if self.first_ts is None or self.last_ts is None:
            return ""
        return f"{_utc(self.first_ts)} to {_utc(self.last_ts)}"


def read_saved(
    provider: str,
    dataset: str,
    body: bytes,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    symbol: str = UNKNOWN_SYMBOL,
) -> SavedReply:
    """Reads a saved reply. Checks that need the asked range are skipped, as the question is not known.

    `headers` in any case. Raises MarketfetchError for an unknown vendor, and for a dataset this vendor does not have.
    """
    try:
        known = vendors.vendor(provider).name
    except vendors.UnknownVendor as error:
        raise WrongValueError(str(error)) from None
    request = Request.model_validate({"provider": known, "dataset": dataset, "symbol": symbol})
    reply = HttpReply(status=status, headers={name.lower(): text for name, text in (headers or {}).items()}, body=body)
    try:
        settings = get_settings()
        page = reading.read(
            request,
            reply,
            options(known),
            max_reject_share=settings.max_reject_share,
            fewest_judged=settings.reject_share_min_rows,
            secrets=tuple(settings.secrets()),
        )
    except TooManyRejects as error:
        return _of_page(error.page or Page(), outcome="TooManyRejects", message=error.message)
    except FetchError as error:
        if isinstance(error, BadRequest) and error.status is None:  # ours, not the vendor's: no such dataset
            raise WrongValueError(f"{error.message.rstrip('.')}.") from None
        wait_ms = error.retry_after_ms if isinstance(error, RateLimited | Transient) else None
        retry_after = None if wait_ms is None else wait_ms / 1000
        return SavedReply(outcome=type(error).__name__, message=error.message, retry_after=retry_after)
    except ValueError as error:  # PlanError: no such dataset
        raise WrongValueError(str(error)) from None
    return _of_page(page)


def _of_page(page: Page, *, outcome: str = "rows", message: str = "") -> SavedReply:
    filled = page.series[:1] if isinstance(page.series, CrossSection) else [one for one in page.series if len(one.bars)]
    kinds = {(one.symbol, one.adjustment): one.kind for one in page.counts}
    return SavedReply(
        outcome=outcome,
        message=message,
        rows=_rows(page),
        bars=count_bars(page.series),
        rejects=tuple(_saved_reject(one) for one in page.rejects),
        rejected=page.rejected,
        first_ts=min((int(one.bars.ts[0]) for one in filled), default=None),
        last_ts=max((int(one.bars.ts[-1]) for one in filled), default=None),
        next=page.next,
        series=_described(page.series, kinds),
        quirks={quirk.name: quirk.rows for quirk in page.quirks},
    )


def _rows(page: Page) -> int:
    """The reply's own good rows: one that gives a raw and an adjusted bar is one row."""
    if isinstance(page.series, CrossSection):
        return page.rows
    instants: dict[str, list[Ints]] = {}
    for one in page.series:
        instants.setdefault(one.symbol, []).append(one.bars.ts)
    return len(page.records) + sum(len(np.unique(np.concatenate(some))) for some in instants.values())


def _saved_reject(reject: Reject) -> SavedReject:
    return SavedReject(row=reject.row, field=reject.field, value=reject.value, reason=reject.reason, symbol=reject.symbol)


def _described(series: Sequence[BarSeries], kinds: Mapping[tuple[str, Adjustment], PriceKind]) -> tuple[str, ...]:
    if isinstance(series, CrossSection):
        return (f"{len(series):,} symbols, {series.timespan} {series.adjustment}: one bar each",)
    return tuple(_series(one, kinds.get((one.symbol, one.adjustment))) for one in series)


def _series(series: BarSeries, kind: PriceKind | None) -> str:
    prices = f" ({kind} prices)" if kind else ""
    return f"{series.symbol} {series.timespan} {series.adjustment}{prices}: {len(series.bars)} bars"


def _utc(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, tz=UTC).strftime("%Y-%m-%d %H:%M")
