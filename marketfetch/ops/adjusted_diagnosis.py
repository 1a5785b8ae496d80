"""What `marketfetch check` finds about series that a vendor has adjusted: a former default, and what is stale."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from itertools import groupby
from typing import Final

from marketfetch import vendors
from marketfetch.ops.finding import Finding
from marketfetch.phrases import counted
from marketfetch.schemas.timespans import TIMESPANS
from marketfetch.storage.store import Store
from marketfetch.storage.vendor_adjusted import stale_series, without_raw

_MOST_NAMED: Final = 3
_MOST_IN_A_COMMAND: Final = 20


def of_adjusted(store: Store, today: date) -> Iterator[Finding]:
    """Warnings about the stored series of vendors that are installed. Raises StoreError."""
    for (provider, timespan, adjustment), several in groupby(without_raw(store), key=lambda one: one[:3]):
        symbols = [symbol for *_, symbol in several]
        if not _raw_is_usual(provider, timespan):
            continue
        sentence = (
            f"{counted(len(symbols), 'series', 'series')} of {timespan} bars of {provider} ({_named(symbols)}) hold "
            f"{adjustment} prices alone, and since this release a wish without an adjustment is for raw ones: add --adjustment "
            f"{adjustment} to go on with them, or fetch raw bars and splits, and read them with --adjust splits."
        )
        yield Finding(level="warning", subject="prices", sentence=sentence)
    stale = stale_series(store, today)
    for (provider, timespan, adjustment), found in groupby(
        sorted(stale, key=lambda one: (one.provider, one.timespan, one.adjustment, one.symbol)),
        key=lambda one: (one.provider, one.timespan, one.adjustment),
    ):
        those = list(found)
        first = those[0]
        symbols = [one.symbol for one in those]
        sentence = (
            f"{counted(len(those), 'series', 'series')} of {timespan} {adjustment} prices of {provider} are stale ("
            f"{_named(symbols)}): {first.symbol} was fetched on {first.fetched_on}, and its {first.dataset} have "
            f"{first.ex_date}. Run `marketfetch fetch {provider} {' '.join(symbols[:_MOST_IN_A_COMMAND])} --timespan "
            f"{timespan} --adjustment {adjustment} --start {min(one.first_day for one in those)} --again`."
        )
        yield Finding(level="warning", subject="prices", sentence=sentence)


def _raw_is_usual(provider: str, timespan: str) -> bool:
    known = [one for one in TIMESPANS if one == timespan]
    return bool(known) and provider in vendors.names() and vendors.vendor(provider).usual_adjustment("bars", known[0]) == "raw"


def _named(symbols: list[str]) -> str:
    more = f" and {len(symbols) - _MOST_NAMED:,} more" if len(symbols) > _MOST_NAMED else ""
    return ", ".join(symbols[:_MOST_NAMED]) + more
