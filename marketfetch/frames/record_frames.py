"""`marketfetch.records`: stored splits, dividends and other records as rows, as a frame, or as an Arrow table."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Final, Literal, overload

from marketfetch.exceptions import BadRequestError
from marketfetch.extras import need
from marketfetch.frames.empty_answers import refuse_unknown_vendor
from marketfetch.frames.record_questions import columns_of, question, record_batches, schema
from marketfetch.frames.stored_bars import reading
from marketfetch.frames.table_frames import frame_of
from marketfetch.storage.stored_records import TIMES, RecordQuestion, stored_records

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

_KINDS: Final = ("polars", "pandas", "arrow", "rows")


@overload
def records(
    dataset: str,
    *,
    provider: str | None = ...,
    symbols: str | Sequence[str] | None = ...,
    start: date | str | None = ...,
    end: date | str | None = ...,
    as_of: date | str | None = ...,
    gone: bool = ...,
    as_: Literal["polars"] = ...,
) -> pl.DataFrame: ...


@overload
def records(
    dataset: str,
    *,
    provider: str | None = ...,
    symbols: str | Sequence[str] | None = ...,
    start: date | str | None = ...,
    end: date | str | None = ...,
    as_of: date | str | None = ...,
    gone: bool = ...,
    as_: Literal["pandas"],
) -> pd.DataFrame: ...


@overload
def records(
    dataset: str,
    *,
    provider: str | None = ...,
    symbols: str | Sequence[str] | None = ...,
    start: date | str | None = ...,
    end: date | str | None = ...,
    as_of: date | str | None = ...,
    gone: bool = ...,
    as_: Literal["arrow"],
) -> pa.Table: ...


@overload
def records(
    dataset: str,
    *,
    provider: str | None = ...,
    symbols: str | Sequence[str] | None = ...,
    start: date | str | None = ...,
    end: date | str | None = ...,
    as_of: date | str | None = ...,
    gone: bool = ...,
    as_: Literal["rows"],
) -> list[dict[str, str | float | date | None]]: ...


def records(
    dataset: str,
    *,
    provider: str | None = None,
    symbols: str | Sequence[str] | None = None,
    start: date | str | None = None,
    end: date | str | None = None,
    as_of: date | str | None = None,
    gone: bool = False,
    as_: Literal["polars", "pandas", "arrow", "rows"] = "polars",
) -> pl.DataFrame | pd.DataFrame | pa.Table | list[dict[str, str | float | date | None]]:
    """Stored records of a dataset, by vendor and natural key. Calls no vendor; needs no Redis, and for "rows" no extra.

    dataset     "splits", "dividends", "snapshots", "symbols" (listed now), "delisted", "search" (found by one), "holidays",
                "market_status", "values"; docs/datasets.md has their columns
    provider    None: those of every vendor
    symbols     "AAPL" or ["AAPL", "MSFT"], in the vendor's spelling; "@watchlist" stands for a universe; of values the tables,
                without filters. None: of all
    start, end  the ex date, or the day, of a row, both inclusive, in the words of `submit`, such as "-5d"; None leaves it open
    as_of       the day at whose end (UTC) the rows were known; None: what is known now
    gone        True: also what the vendor has corrected or has no more, which has a `gone_at`
    as_         "polars", "pandas", "arrow", or "rows": a list of dicts with dates and datetimes

    Besides the dataset's columns: `provider`, `first_seen`, `fetched_at` and `gone_at`, UTC timestamps. A day is a date, a
    number float64 or int64, all else a string. Without a row the frame is empty and has these types; whether a
    list was never fetched, or has no row, `marketfetch show --dataset` says.

    Raises BadRequestError for a wrong argument, UnavailableError for a database that is away, and without `[data]`.
    """
    if as_ not in _KINDS:
        raise BadRequestError(f"Records come as one of {', '.join(_KINDS)}: write as_='polars' (got {as_!r}).")
    asked = question(dataset, provider=provider, symbols=symbols, start=start, end=end, as_of=as_of, gone=gone)
    if as_ == "rows":
        return rows_of(asked)
    need("pyarrow", *(("polars",) if as_ == "polars" else ()), for_what="marketfetch.records")
    import pyarrow as pa

    with reading("records") as store:
        refuse_unknown_vendor(store, asked)
        table = pa.Table.from_batches(record_batches(store, asked), schema=schema(asked.kind))
    return frame_of(table, as_)


def rows_of(asked: RecordQuestion) -> list[dict[str, str | float | date | None]]:
    """The rows as dicts, with dates and datetimes (UTC). Raises BadRequestError, UnavailableError."""
    with reading("records") as store:
        refuse_unknown_vendor(store, asked)
        return [named(asked, row) for rows in stored_records(store, asked) for row in rows]


def named(asked: RecordQuestion, row: Sequence[Any]) -> dict[str, str | float | date | None]:
    """A row of `stored_records` by the names of its columns."""
    found: dict[str, Any] = dict(zip(columns_of(asked.kind), row, strict=True))
    for column in asked.kind.columns:
        if column.type == "day" and found[column.name] is not None:
            found[column.name] = date.fromisoformat(found[column.name])
    return found | {
        name: None if found[name] is None else datetime.fromtimestamp(int(found[name]) / 1000, UTC) for name in TIMES
    }
