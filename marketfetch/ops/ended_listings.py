"""Sentences about series that lack sessions since their symbol is not listed any more: delisted, or renamed."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

from marketfetch.phrases import counted
from marketfetch.printable import printable
from marketfetch.storage.listing_ends import ListingEnd, listing_ends
from marketfetch.storage.store import Store

_MOST_SHOWN: Final = 40
#: A market has many listings that have ended.
_MOST_NAMED: Final = 5


def words_of(end: ListingEnd) -> str:
    """A clause of which the symbol is the subject."""
    called = f" ({_shown(end.name)})" if end.name else ""
    if end.delisted:
        words = f"is delisted{f' since {end.last_day}' if end.last_day else ''} in the lists of {end.provider}{called}"
    else:
        words = f"is missing in the list of {end.provider} since {end.missing_since}{called}"
    if end.renamed_to:
        words += f", and its id is that of {_shown(end.renamed_to)} ({_shown(end.new_name)}) now"
    return words


def sentences_of_ends(store: Store, lacking: Collection[tuple[str, str]]) -> Iterator[str]:
    """What the lists of the vendors say of these symbols, given with their vendors. Raises StoreError."""
    found = listing_ends(store, {symbol for _, symbol in lacking})
    ends = [end for key, end in sorted(found.items()) if key in lacking]
    for end in ends[:_MOST_NAMED]:
        yield f"{_shown(end.symbol)} {words_of(end)}."
    if (more := len(ends) - _MOST_NAMED) > 0:
        yield f"{counted(more, 'other symbol')} with missing sessions {'is' if more == 1 else 'are'} not listed any more."


def _shown(text: str) -> str:
    return printable(text, most=_MOST_SHOWN)
