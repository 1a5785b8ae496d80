"""A question for stored records: the kind that a dataset's name means, which rows are asked for, and their types in Arrow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from marketfetch.exceptions import BadRequestError, WrongValueError
from marketfetch.schemas import day_words
from marketfetch.schemas.record_kinds import KINDS, VALUE_ROWS, RecordKind
from marketfetch.storage.store import Store
from marketfetch.storage.stored_records import TIMES, RecordQuestion, stored_records
from marketfetch.suggestions import did_you_mean
from marketfetch.vendors.times import unix_ms

if TYPE_CHECKING:
    import pyarrow as pa

#: The names of what records can be asked for: the kinds' own, and those of their parts.
DATASETS: Final = tuple(
    name
    for kind in KINDS.values()
    if kind.stored
    for name in (tuple(kind.parts) or (("values",) if kind is VALUE_ROWS else (kind.name,)))
)


def question(
    dataset: str,
    *,
    provider: str | None = None,
    symbols: str | Sequence[str] | None = None,
    start: date | str | None = None,
    end: date | str | None = None,
    as_of: date | str | None = None,
    gone: bool = False,
    told: Callable[[str], object] | None = None,
) -> RecordQuestion:
    """The arguments of a question, checked. `told` hears what of a universe can't be used. Raises BadRequestError."""
    kind, part = _kind_of(dataset)
    if provider is not None and not isinstance(provider, str):
        raise BadRequestError(f"The provider is the name of a vendor (got {provider!r}).")
    at = datetime.now(UTC)
    first, last = (None if one is None else day_words.day(name, one, at) for name, one in (("start", start), ("end", end)))
    if (first or last) and not kind.dated:
        raise BadRequestError(f"The rows of {dataset} have no day of their own: leave out the start and the end.")
    if first and last and first > last:
        raise BadRequestError(f"The range is empty: {day_words.out_of_order(first, last)}.")
    known_ms = None
    if as_of is not None:
        day = day_words.day("as_of", as_of, at)
        if day > at.date():
            raise BadRequestError(f"What will be known on {day} is not known today: ask for an as_of that has passed.")
        if gone:
            raise BadRequestError(
                "as_of says what was known on a day, and gone asks for all that was ever known: leave one out."
            )
        known_ms = unix_ms(datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1))
    return RecordQuestion(kind, provider, _symbols(kind, dataset, symbols, told), first, last, part, known_ms, gone)


def columns_of(kind: RecordKind) -> tuple[str, ...]:
    """The names of the columns of the rows of `stored_records`."""
    return ("provider", *(one.name for one in kind.columns), *TIMES)


def schema(kind: RecordKind) -> pa.Schema:
    """The types of these columns, also where there is no row."""
    import pyarrow as pa

    types = {"text": pa.string(), "day": pa.date32(), "number": pa.float64(), "whole": pa.int64()}
    columns = [(one.name, types[one.type]) for one in kind.columns]
    return pa.schema([("provider", pa.string()), *columns, *((name, pa.timestamp("ms", tz="UTC")) for name in TIMES)])


def record_batches(store: Store, asked: RecordQuestion) -> Iterator[pa.RecordBatch]:
    """Yields the rows as Arrow, in the order of their key. Raises StoreError."""
    import pyarrow as pa

    types = schema(asked.kind)
    days = {one.name for one in asked.kind.columns if one.type == "day"}
    for rows in stored_records(store, asked):
        columns: Sequence[Sequence[Any]] = list(zip(*rows, strict=True)) or [()] * len(types)
        arrays = [
            pa.array([one and date.fromisoformat(one) for one in column] if field.name in days else column, type=field.type)
            for field, column in zip(types, columns, strict=True)
        ]
        yield pa.RecordBatch.from_arrays(arrays, schema=types)


def _kind_of(dataset: str) -> tuple[RecordKind, str | None]:
    name = dataset.lower() if isinstance(dataset, str) else ""
    name = VALUE_ROWS.name if name == "values" else name
    for kind in KINDS.values():
        if kind.stored and name in kind.parts:
            return kind, kind.parts[name]
        if kind.stored and name == kind.name:
            return kind, None
    meant = did_you_mean(name, DATASETS)
    bars = " Bars are read by marketfetch.bars, and without --dataset." if name == "bars" else ""
    raise WrongValueError(
        f"No records are stored as {dataset!r:.60}.{bars}{' ' if meant else ''}{meant} There are {', '.join(DATASETS)}."
    )


def _symbols(
    kind: RecordKind, dataset: str, symbols: str | Sequence[str] | None, told: Callable[[str], object] | None
) -> tuple[str, ...] | None:
    names = (symbols,) if isinstance(symbols, str) else symbols
    if names is None:
        return None
    if not isinstance(names, Iterable) or not (names := tuple(names)) or not all(isinstance(one, str) and one for one in names):
        raise BadRequestError(f"The symbols are a word or a list of words, such as ['AAPL', 'MSFT'] (got {symbols!r:.100}).")
    if not any(one.name == "symbol" for one in kind.columns):
        raise BadRequestError(f"The rows of {dataset} are of no symbol: leave the symbols out.")
    if any(one.startswith("@") for one in names):
        from marketfetch.ops.universes import to_read  # reads settings, which a question without it does not need

        names = to_read(names, told).symbols
    return tuple(dict.fromkeys(names))
