"""A question for stored bars: the series that it means, and their bars as batches of Arrow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Final

from marketfetch.addresses import database_url
from marketfetch.configured import options
from marketfetch.exceptions import MarketfetchError, UnavailableError
from marketfetch.frames.choosing import Wish, matching
from marketfetch.frames.date_bounds import Moment, bounds
from marketfetch.storage import open_store
from marketfetch.storage.arrow_reading import STORED_COLUMNS, ArrowSource, Span, open_arrow
from marketfetch.storage.store import Store
from marketfetch.storage.store_errors import StoreError
from marketfetch.storage.stored_series import StoredSeries, stored_series, stored_symbols

if TYPE_CHECKING:
    import pyarrow as pa

#: The columns that are the same in all bars of a series.
OF_SERIES: Final = ("provider", "symbol", "timespan", "adjustment")
#: Every column that can be asked for.
COLUMNS: Final = (*OF_SERIES, *STORED_COLUMNS)

#: How long a question waits for a program that has the whole database file to itself.
_BUSY_MS: Final = 5_000


@contextmanager
def reading() -> Iterator[Store]:
    """The configured database for one question; its tables are those of this release. Raises UnavailableError.

    A connection for each question: a notebook that stands open holds none, and a forked process inherits none.
    """
    try:
        with closing(open_store(database_url(), busy_ms=_BUSY_MS)) as store:
            store.verify()
            yield store
    except StoreError as error:
        raise UnavailableError(f"The bars can't be read: {error}.") from error


def found(store: Store, asked: Wish) -> list[StoredSeries]:
    """The series that are asked for, by symbol. Raises BadRequestError, StoreError."""
    return matching(asked, stored_series(store, asked.symbols), lambda: stored_symbols(store))


@contextmanager
def arrow(store: Store) -> Iterator[ArrowSource]:
    """The same database, read by ADBC. Raises StoreError."""
    with open_arrow(database_url(), store.database.spelling) as source:
        yield source


def spans(series: Sequence[StoredSeries], start: Moment, end: Moment) -> list[Span]:
    """The range of each series in Unix ms. Raises BadRequestError."""
    return [(one.number, *bounds(start, end, one.timespan, lambda one=one: _zone(one))) for one in series]  # type: ignore[misc]


def batches(
    source: ArrowSource, series: Sequence[StoredSeries], ranges: Sequence[Span], columns: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    """Yields the bars of these series in their order, each by time, with `columns` in theirs. Raises StoreError."""
    import pyarrow as pa

    texts = {name: pa.array([getattr(one, name) for one in series], type=pa.string()) for name in columns if name in OF_SERIES}
    for batch in source.batches(ranges, [name for name in columns if name not in OF_SERIES]):
        n = batch.column("n")
        arrays = [texts[name].take(n) if name in texts else batch.column(name) for name in columns]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema(columns))


def schema(columns: Sequence[str]) -> pa.Schema:
    """The types of these columns, also where there is no bar."""
    import pyarrow as pa

    kinds = dict.fromkeys(OF_SERIES, pa.string()) | {"ts": pa.timestamp("ms", tz="UTC"), "partial": pa.bool_()}
    return pa.schema([(name, kinds.get(name, pa.float64())) for name in columns])


def _zone(series: StoredSeries) -> str:
    """The zone of the exchange; UTC for a vendor that is not installed any more."""
    from marketfetch.schemas.request import Request
    from marketfetch.vendors import vendor

    try:
        asked = Request.model_validate({"provider": series.provider, "symbol": series.symbol, "timespan": series.timespan})
        return vendor(series.provider).zone(asked, options(series.provider))
    except (KeyError, ValueError, MarketfetchError):
        return "UTC"
