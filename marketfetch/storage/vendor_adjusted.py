"""Series that a vendor has adjusted: the knowledge of the day on which they were fetched stands still in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from marketfetch.storage.statements import statements
from marketfetch.storage.store import Store
from marketfetch.storage.stored_actions import stored_actions


@dataclass(frozen=True, slots=True)
class StaleSeries:
    """A series of which bars before `ex_date` were fetched before it, on `fetched_on`: they are in the shares of then.

    `dataset` is where the action stands, splits or dividends; `first_day` the first of those days.
    """

    provider: str
    symbol: str
    timespan: str
    adjustment: str
    first_day: date
    fetched_on: date
    dataset: str
    ex_date: date


def stale_series(store: Store, today: date, symbols: Sequence[str] | None = None) -> list[StaleSeries]:
    """The stale ones among these symbols, or all, by provider and symbol, each with its latest action. Raises StoreError.

    Known actions of the same vendor count whose ex date is past; dividends only for `split_dividend`.
    """
    sql = statements("sql/actions.sql", store.database.spelling)
    if symbols is None:
        rows = store.database.read(sql["adjusted"])
    else:
        rows = store.database.read(sql["adjusted_of"], store.database.listing(symbols))
    if not rows:
        return []
    named = sorted({row[1] for row in rows})
    happened: dict[tuple[str, str, str], list[str]] = {}
    for dataset in ("splits", "dividends"):
        for one in stored_actions(store, "splits" if dataset == "splits" else "dividends", named):
            if one.gone_at is None and one.ex_date <= today.isoformat():
                happened.setdefault((one.provider, one.symbol, dataset), []).append(one.ex_date)
    found: dict[tuple[str, ...], StaleSeries] = {}
    for provider, symbol, timespan, adjustment, first_day, fetched_ms in rows:
        fetched = datetime.fromtimestamp(fetched_ms / 1000, UTC).date()
        for dataset in ("splits",) if adjustment == "split" else ("splits", "dividends"):
            latest = max(happened.get((provider, symbol, dataset), ()), default="")
            if not latest > max(fetched.isoformat(), first_day):
                continue
            key = (provider, symbol, timespan, adjustment)
            begin, day = date.fromisoformat(first_day), date.fromisoformat(latest)
            before = found.get(key)
            if before is None or (day, before.first_day) > (before.ex_date, begin):
                begin = min(begin, before.first_day) if before else begin
                found[key] = StaleSeries(provider, symbol, timespan, adjustment, begin, fetched, dataset, day)
    return [found[key] for key in sorted(found)]


def without_raw(store: Store) -> list[tuple[str, str, str, str]]:
    """Provider, timespan, adjustment and symbol of the vendor-adjusted series without a raw one beside them."""
    rows = store.database.read(statements("sql/actions.sql", store.database.spelling)["without_raw"])
    return [(provider, timespan, adjustment, symbol) for provider, timespan, adjustment, symbol in rows]
