"""Bars read by ADBC: the drivers write Arrow's buffers themselves, and no row becomes a Python object.

ADBC has no way to pass values to a query that it streams from Postgres (by COPY), so numbers stand in the statement: those of
series and Unix ms, never a text of a user.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from marketfetch.schemas.columns_of_bars import FLOAT_COLUMNS
from marketfetch.storage.sqlite import two_libraries
from marketfetch.storage.statements import Spelling
from marketfetch.storage.store_errors import StoreError, StoreUnavailable
from marketfetch.storage.urls import safe_url, sqlite_path

if TYPE_CHECKING:
    import pyarrow as pa

#: A series' number and the moments of its first bar and behind its last one, in Unix ms; None leaves a side open.
Span = tuple[int, int | None, int | None]

#: What ADBC can read of a bar, in the order of the `bars` view.
STORED_COLUMNS: Final = ("ts", *FLOAT_COLUMNS, "partial")
#: How long a reader waits for a program that has the whole SQLite file to itself.
_BUSY_MS: Final = 5_000
#: The driver's own 1,024 rows a batch cost a third more.
_SQLITE_ROWS: Final = 65_536
#: Series in one statement: SQLite allows 500 parts, and a statement costs Postgres three round trips.
_MOST_SERIES: Final = 100
#: The order of the key is the order that is asked for, and the statistics of a table that has just been filled know nothing.
_POSTGRES_SETTINGS: Final = (
    "SELECT set_config('jit', 'off', false), set_config('enable_seqscan', 'off', false), "
    "set_config('enable_bitmapscan', 'off', false), set_config('enable_sort', 'off', false), "
    "set_config('max_parallel_workers_per_gather', '0', false)"
)


class ArrowSource:
    """One connection for reading bars, of the thread that opened it."""

    def __init__(self, connection: Any, spelling: Spelling, where: str, *, secret: str) -> None:
        self._connection = connection
        self._spelling = spelling
        self._where = where
        self._secret = secret

    def batches(self, spans: Sequence[Span], columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yields the bars of the series in the order of `spans`, each by time; memory holds a batch or two of them.

        `n` is the position in `spans`; then `columns`, which are among STORED_COLUMNS: `ts` a UTC timestamp in ms, `partial`
        a bool, the others float64, null where the vendor sent nothing. Raises StoreError.
        """
        for first in range(0, len(spans), _MOST_SERIES):
            part = spans[first : first + _MOST_SERIES]
            yield from self._read(self._statement(part, columns, first), columns)

    def _statement(self, spans: Sequence[Span], columns: Sequence[str], first: int) -> str:
        time = self._spelling.time
        parts = []
        if self._spelling.folder == "sqlite":
            # In SQLite values have types, columns have none: the driver takes those of the first rows, a null as an integer.
            parts.append(
                "SELECT " + ", ".join(["-1 AS n", *(f"{0.0 if name in FLOAT_COLUMNS else 0} AS {name}" for name in columns)])
            )
        values = [f"CAST({name} AS double precision) AS {name}" if name == "trades" else name for name in columns]
        for n, (number, start_ms, end_ms) in enumerate(spans, first):
            asked = [f"series_id = {number:d}"]
            asked += [] if start_ms is None else [f"ts >= {time(f'{start_ms:d}')}"]
            asked += [] if end_ms is None else [f"ts < {time(f'{end_ms:d}')}"]
            listed = ", ".join([f"{n:d} AS n", *values])
            rows = f"SELECT {listed} FROM bar_rows WHERE {' AND '.join(asked)} ORDER BY ts"  # noqa: S608 (numbers, our names)
            parts.append(f"SELECT * FROM ({rows}) AS of_{n:d}")  # noqa: S608
        return " UNION ALL ".join(parts)

    def _read(self, statement: str, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        sqlite = self._spelling.folder == "sqlite"
        options = {"adbc.sqlite.query.batch_rows": str(_SQLITE_ROWS)} if sqlite else {}
        typed_row = sqlite
        with failures(self._where, self._secret), self._connection.cursor(adbc_stmt_kwargs=options) as cursor:
            cursor.execute(statement)
            for batch in cursor.fetch_record_batch():
                found = batch.slice(1) if typed_row else batch
                typed_row = False
                if found.num_rows:
                    yield _typed(found, columns)


@contextmanager
def open_arrow(url: str, spelling: Spelling) -> Iterator[ArrowSource]:
    """The database of a URL for reading, without a thread or a connection that is left. Raises StoreError.

    `spelling` is that of the store of the same URL, which has found the tables before.
    """
    where, secret = safe_url(url), ""
    sqlite = spelling.folder == "sqlite"
    if sqlite:
        name = "adbc_driver_sqlite"

        path = sqlite_path(url).absolute()
        where, target = f"the database file {path}", f"file:{quote(str(path))}?mode=rw"
        settings = f"PRAGMA busy_timeout = {_BUSY_MS}"
    else:
        name = "adbc_driver_postgresql"
        from psycopg.conninfo import conninfo_to_dict, make_conninfo

        from marketfetch.storage.postgres.database import DEFAULTS

        given = conninfo_to_dict(url.strip())
        secret = str(given.get("password") or "")
        where, target = f"the database {where}", make_conninfo("", **{**DEFAULTS, **given})
        settings = _POSTGRES_SETTINGS
    with two_libraries.other_copy() if sqlite else nullcontext():
        with failures(where, secret):
            connection = importlib.import_module(f"{name}.dbapi").connect(target, autocommit=True)
        try:
            with failures(where, secret), connection.cursor() as cursor:
                cursor.execute(settings)
                cursor.fetchall()
            yield ArrowSource(connection, spelling, where, secret=secret)
        finally:
            if sqlite:
                two_libraries.close_own()
            connection.close()


@contextmanager
def failures(where: str, secret: str) -> Iterator[None]:
    """Within the block, an error of a driver is raised as StoreUnavailable, without the password."""
    import adbc_driver_manager
    import pyarrow as pa

    try:
        yield
    except StoreError:
        raise
    except (adbc_driver_manager.Error, pa.ArrowException, OSError) as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        said = said.replace(secret, "***") if secret else said
        raise StoreUnavailable(f"{where} could not be read ({said}): `marketfetch check` says what to do") from None


def _typed(batch: pa.RecordBatch, columns: Sequence[str]) -> pa.RecordBatch:
    """The batch with the types that `batches` promises, of whichever database it is."""
    import pyarrow as pa

    kinds = {"ts": pa.timestamp("ms", tz="UTC"), "partial": pa.bool_(), "n": pa.int32()}
    names = ["n", *columns]
    arrays = [batch.column(name).cast(kinds.get(name, pa.float64()), safe=False) for name in names]
    return pa.RecordBatch.from_arrays(arrays, names=names)
