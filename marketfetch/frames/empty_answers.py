"""Why a question for stored records has no answer: nothing was fetched, nothing was known yet, or nothing fits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from marketfetch.exceptions import WrongValueError
from marketfetch.phrases import counted
from marketfetch.storage.store import Store
from marketfetch.storage.stored_records import TIMES, RecordQuestion, fetched_lists, stored_records

_MOST_NAMED: Final = 5


def refuse_unknown_vendor(store: Store, asked: RecordQuestion) -> None:
    """Raises WrongValueError for a vendor that is not installed and of which no such row is stored; StoreError."""
    from marketfetch.vendors import names, unknown  # a question that names no vendor looks none up

    if asked.provider is None or asked.provider in names():
        return
    if not next(stored_records(store, RecordQuestion(asked.kind, asked.provider, gone=True))):
        raise WrongValueError(unknown(asked.provider))


def why_none(store: Store, asked: RecordQuestion, dataset: str) -> str:
    """A sentence for a question without an answer, with the command that fetches what was never fetched. Raises StoreError."""
    symbols = asked.symbols or ()
    of = "" if asked.symbols is None else f" of {', '.join(symbols[:_MOST_NAMED])}"
    of += "" if asked.provider is None else f" from {asked.provider}"
    ever = replace(asked, first=None, last=None, known_ms=None, gone=True)
    seen = [row[-len(TIMES)] for row in _rows(store, ever)]
    if seen and asked.known_ms is not None and min(map(int, seen)) >= asked.known_ms:
        # known_ms is the end of the day that was named.
        return (
            f"No {dataset}{of} were known on {_day(asked.known_ms - 1)}: the first of what is stored came on "
            f"{_day(min(map(int, seen)))}. Without as_of what is known now is shown."
        )
    if seen and (asked.first or asked.last or asked.known_ms is not None):
        return f"No {dataset}{of} fit: {counted(len(seen), 'row')} of other days, or corrected ones, are stored."
    lists = [one for one in fetched_lists(store, dataset.lower(), symbols) if asked.provider in (None, one[0])]
    if lists:
        provider, _, at_ms = lists[0]
        return f"No {dataset}{of} are stored: the list that {provider} gave on {_day(at_ms)} has none."
    words = " ".join((asked.provider or "PROVIDER", *symbols, "--dataset", dataset))
    return f"No {dataset}{of} are stored: `marketfetch fetch {words}` fetches them."


def _rows(store: Store, asked: RecordQuestion) -> Iterator[tuple[Any, ...]]:
    for rows in stored_records(store, asked):
        yield from rows


def _day(at_ms: int) -> str:
    return str(datetime.fromtimestamp(int(at_ms) / 1000, UTC).date())
