"""What `marketfetch check` finds about series that a vendor has adjusted: a former default, and what is stale."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Final

from marketfetch import vendors
from marketfetch.ops.finding import Finding
from marketfetch.phrases import counted
from marketfetch.printable import printable
from marketfetch.schemas.timespans import TIMESPANS
from marketfetch.storage.store import Store
from marketfetch.storage.vendor_adjusted import StaleSeries, stale_series, without_raw

_MOST_NAMED: Final = 3
_MOST_IN_A_COMMAND: Final = 20


def of_adjusted(store: Store, at_ms: int) -> Iterator[Finding]:
    """Warnings about the stored series of vendors that are installed, at `at_ms` (Unix ms). Raises StoreError."""
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
    for sentence in stale_sentences(stale_series(store, at_ms)):
        yield Finding(level="warning", subject="prices", sentence=sentence)


def stale_sentences(stale: Iterable[StaleSeries]) -> Iterator[str]:
    """A sentence for each vendor, dataset, timespan and adjustment, with the command that fetches the stale days again."""

    def kind(one: StaleSeries) -> tuple[str, str, str, str]:
        return one.provider, one.of, one.timespan, one.adjustment

    for (provider, dataset, timespan, adjustment), found in groupby(
        sorted(stale, key=lambda one: (*kind(one), one.symbol)), kind
    ):
        those = list(found)
        first = those[0]
        named = those[:_MOST_IN_A_COMMAND]
        words = [shlex.quote(one.symbol) for one in named] + ([] if dataset == "bars" else ["--dataset", shlex.quote(dataset)])
        words += ["--timespan", timespan, "--adjustment", adjustment]
        words += ["--start", f"{min(one.first_day for one in named)}", "--end", f"{max(one.last_day for one in named)}"]
        yield (
            f"{counted(len(those), 'series', 'series')} of {timespan} {adjustment} prices of {provider} are stale ("
            f"{_named([printable(one.symbol, most=40) for one in those])}): {printable(first.symbol, most=40)} {first.why}. An "
            f"update or a schedule of them asks for the stale days again; so does "
            f"`marketfetch fetch {provider} {' '.join(words)}`."
        )


def _raw_is_usual(provider: str, timespan: str) -> bool:
    known = [one for one in TIMESPANS if one == timespan]
    return bool(known) and provider in vendors.names() and vendors.vendor(provider).usual_adjustment("bars", known[0]) == "raw"


def _named(symbols: list[str]) -> str:
    more = f" and {len(symbols) - _MOST_NAMED:,} more" if len(symbols) > _MOST_NAMED else ""
    return ", ".join(symbols[:_MOST_NAMED]) + more
