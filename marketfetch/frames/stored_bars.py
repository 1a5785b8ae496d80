"""A question for stored bars: the series that it means, and their bars as batches of Arrow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from marketfetch.addresses import database_choice, database_url
from marketfetch.exceptions import BadRequestError, UnavailableError
from marketfetch.frames.choosing import Wish, matching
from marketfetch.frames.date_bounds import Asked, bounds, read
from marketfetch.storage import open_store
from marketfetch.storage.arrow_reading import STORED_COLUMNS, ArrowSource, Span, open_arrow
from marketfetch.storage.session_dates import session_days
from marketfetch.storage.store import Store
from marketfetch.storage.store_errors import NoTables, StoreError
from marketfetch.storage.stored_series import StoredSeries, stored_series, stored_symbols
from marketfetch.zone_of_series import zone_of

if TYPE_CHECKING:
    import pyarrow as pa

#: What a series is known by.
OF_SERIES: Final = ("provider", "symbol", "timespan", "adjustment")
#: Every column that can be asked for, in the order of the view `bars`.
COLUMNS: Final = (*OF_SERIES, *STORED_COLUMNS, "date", "zone")
#: The columns that are the same in all bars of a series.
_CONSTANT: Final = (*OF_SERIES, "zone")

#: How long a question waits for a program that has the whole database file to itself.
_BUSY_MS: Final = 5_000


@contextmanager
def reading(what: str = "bars") -> Iterator[Store]:
    """The configured database for one question about `what`; its tables are those of this release.

    Raises BadRequestError where there is no database yet, which is no outage: it has no bars; else UnavailableError.
    A connection for each question: a notebook that stands open holds none, and a forked process inherits none.
    """
    try:
        with closing(open_store(database_url(), busy_ms=_BUSY_MS)) as store:
            store.verify()
            yield store
    except NoTables as error:
        raise BadRequestError(f"No {what} are stored: {error}. {database_choice()}") from None
    except StoreError as error:
        raise UnavailableError(f"The {what} can't be read: {error}.") from error


def found(store: Store, asked: Wish) -> list[StoredSeries]:
    """The series that are asked for, by symbol. Raises BadRequestError, StoreError.

    A series whose zone the database does not know has the one that its vendor would give it today.
    """
    series = matching(asked, stored_series(store, asked.symbols), lambda: stored_symbols(store))
    return [one if one.zone else replace(one, zone=zone_of(one.provider, one.symbol, one.timespan)) for one in series]


@contextmanager
def arrow(store: Store) -> Iterator[ArrowSource]:
    """The same database, read by ADBC. Raises StoreError."""
    with open_arrow(database_url(), store.database.spelling) as source:
        yield source


def spans(series: Sequence[StoredSeries], start: Asked, end: Asked) -> list[Span]:
    """The range of each series in Unix ms. Raises BadRequestError."""
    first, last = read(start, end)
    return [(one.number, *bounds(first, last, one.timespan, one.zone or "UTC")) for one in series]


def batches(
    source: ArrowSource, series: Sequence[StoredSeries], ranges: Sequence[Span], columns: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    """Yields the bars of these series in their order, each by time, with `columns` in theirs. Raises StoreError."""
    for batch in source.batches(ranges, needed(columns)):
        yield finished(batch, series, columns)


def needed(columns: Sequence[str]) -> list[str]:
    """The columns to read for `columns`."""
    stored = [name for name in columns if name in STORED_COLUMNS]
    return [*stored, "ts"] if "date" in columns and "ts" not in stored else stored


def finished(batch: pa.RecordBatch, series: Sequence[StoredSeries], columns: Sequence[str]) -> pa.RecordBatch:
    """A batch that was read, with the asked columns: those of its series stand beside the stored ones."""
    import pyarrow as pa

    constant = [name for name in columns if name in _CONSTANT]
    made = {name: pa.array([getattr(one, name) for one in series], type=pa.string()) for name in constant}
    made = {name: texts.take(batch.column("n")) for name, texts in made.items()}
    if "date" in columns:
        made["date"] = dates(batch, series)
    arrays = [made[name] if name in made else batch.column(name) for name in columns]
    return pa.RecordBatch.from_arrays(arrays, schema=schema(columns))


def dates(batch: pa.RecordBatch, series: Sequence[StoredSeries]) -> pa.Array:
    """The date of each bar's session; null for intraday bars whose zone is not known."""
    import numpy as np
    import pyarrow as pa

    ts = batch.column("ts").cast(pa.int64()).to_numpy()
    n = batch.column("n").to_numpy()
    ends = [*(np.flatnonzero(np.diff(n)) + 1).tolist(), len(n)]
    parts = []
    for first, end in zip([0, *ends], ends, strict=False):
        one = series[int(n[first])]
        days = session_days(ts[first:end], one.timespan, one.zone)
        parts.append(pa.nulls(end - first, pa.date32()) if days is None else pa.array(days).view(pa.date32()))
    return parts[0] if len(parts) == 1 else pa.concat_arrays(parts)


def schema(columns: Sequence[str]) -> pa.Schema:
    """The types of these columns, also where there is no bar."""
    import pyarrow as pa

    kinds = dict.fromkeys(_CONSTANT, pa.string()) | {"ts": pa.timestamp("ms", tz="UTC"), "partial": pa.bool_()}
    kinds["date"] = pa.date32()
    return pa.schema([(name, kinds.get(name, pa.float64())) for name in columns])
