"""What was asked of vendors for each series, and what that says of its dates."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from marketfetch import vendors
from marketfetch.ops.gap_reasons import Known
from marketfetch.storage.asked_ranges import EVERY_SYMBOL, AskedRange, named_ranges
from marketfetch.storage.store import Store
from marketfetch.vendors.expected_days import unix_day

TOO_EARLY: Final = "asked only before it was final"
LACKING: Final = "the reply with the whole market lacks it"

#: A vendor, a symbol, a timespan, an adjustment ("" for a wish that named none).
Key = tuple[str, str, str, str]


@dataclass(slots=True)
class Asked:
    """What was asked for one series: the dataset of the latest call, and what is known of its dates."""

    dataset: str = "bars"
    known: list[Known] = field(default_factory=list)
    #: The dates, as days since 1970, for which jobs have named the symbol.
    named: list[tuple[int, int]] = field(default_factory=list)
    _latest_ms: int = -1

    def add(self, one: AskedRange) -> None:
        self.known += known_of(one)
        if one.at_ms > self._latest_ms and one.symbol != EVERY_SYMBOL:
            self.dataset, self._latest_ms = one.dataset, one.at_ms


def by_series(ranges: Iterable[AskedRange]) -> dict[Key, Asked]:
    """What was asked, by series; not what was asked for datasets without bars."""
    found: dict[Key, Asked] = {}
    for one in ranges:
        if _has_bars(one.provider, one.dataset):
            found.setdefault((one.provider, one.symbol, one.timespan, one.adjustment), Asked()).add(one)
    return found


def with_names(asked: dict[Key, Asked], store: Store) -> dict[Key, Asked]:
    """What was asked, with the symbols that jobs have named whose bars came with the whole market, or did not come."""
    for provider, symbol, timespan, adjustment in list(asked):
        if symbol != EVERY_SYMBOL:
            continue
        has_bars = partial(_has_bars, provider)
        for name, ranges in named_ranges(store, provider, timespan, adjustment, has_bars=has_bars).items():
            of_symbol = asked.setdefault((provider, name, timespan, adjustment), Asked())
            of_symbol.named += [(unix_day(first), unix_day(last)) for first, last in ranges]
    return asked


def known_of(one: AskedRange) -> Iterator[Known]:
    """What a range says of its dates."""
    first, last = unix_day(one.first), unix_day(one.last)
    if one.ended != "covered":
        rejected = one.ended == "rejected"
        yield Known(first, last, "rejected" if rejected else "failed", one.why, one.at_ms, one.rejects if rejected else None)
        return
    final = first - 1 if one.final_to is None else min(unix_day(one.final_to), last)
    if final >= first:
        yield Known(first, final, "vendor has none", at_ms=one.at_ms)
    if final < last:
        yield Known(final + 1, last, "never asked", TOO_EARLY, one.at_ms)


def asked_of(key: Key, asked: dict[Key, Asked]) -> Asked:
    """What was asked for this series by its name, without an adjustment, and with the whole market."""
    provider, symbol, timespan, adjustment = key
    same = [asked[one] for one in dict.fromkeys((key, (provider, symbol, timespan, ""))) if one in asked]
    market = asked.get((provider, EVERY_SYMBOL, timespan, adjustment))
    named = [days for one in same for days in one.named]
    return Asked(
        dataset=same[0].dataset if same else "bars",
        known=[known for one in same for known in one.known]
        + [part for known in (market.known if market else ()) for part in _lacking(known, named)],
    )


def _lacking(known: Known, named: Sequence[tuple[int, int]]) -> Iterator[Known]:
    """What a reply with the whole market says of a symbol that it lacks: on dates for which a job has named the symbol, that
    it has yet to be asked for by itself (it may be traded over the counter); on the others that the vendor has none.
    """
    if known.why != "vendor has none":
        yield known
        return
    first = known.first
    for begin, end in sorted(named):
        begin, end = max(begin, first), min(end, known.last)
        if begin > end:
            continue
        if first < begin:
            yield replace(known, first=first, last=begin - 1)
        yield Known(begin, end, "never asked", LACKING, known.at_ms)
        first = end + 1
    if first <= known.last:
        yield replace(known, first=first)


def _has_bars(provider: str, dataset: str) -> bool:
    """False for a dataset of records. A vendor that is not installed, or a dataset that is not named there, may have bars."""
    try:
        named = next((one for one in vendors.vendor(provider).datasets if one.name == dataset), None)
    except (KeyError, vendors.BrokenVendor):
        return True
    return named is None or named.has_bars
