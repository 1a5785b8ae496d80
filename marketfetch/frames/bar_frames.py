"""`marketfetch.bars`: stored bars as a frame of polars or pandas, or as an Arrow table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import TYPE_CHECKING, Final, Literal, overload

from marketfetch.exceptions import BadRequestError
from marketfetch.extras import need
from marketfetch.frames.adjusted_bars import adjusted_batches
from marketfetch.frames.adjusting import read_adjust, tell_of_stale
from marketfetch.frames.choosing import one_of_each, wish
from marketfetch.frames.date_bounds import Asked, read
from marketfetch.frames.stored_bars import COLUMNS, arrow, batches, found, reading, schema, spans
from marketfetch.frames.table_frames import frame_of
from marketfetch.suggestions import did_you_mean

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

#: What a frame has if nothing is asked.
_USUAL: Final = tuple(name for name in COLUMNS if name not in ("provider", "timespan", "adjustment", "zone"))
_KINDS: Final = ("polars", "pandas", "arrow")


@overload
def bars(
    symbols: str | Sequence[str],
    *,
    start: Asked = ...,
    end: Asked = ...,
    timespan: str = ...,
    provider: str | None = ...,
    adjustment: str | None = ...,
    adjust: Literal["none", "splits", "all"] | None = ...,
    as_of: date | str | None = ...,
    columns: Sequence[str] | None = ...,
    as_: Literal["polars"] = ...,
) -> pl.DataFrame: ...


@overload
def bars(
    symbols: str | Sequence[str],
    *,
    start: Asked = ...,
    end: Asked = ...,
    timespan: str = ...,
    provider: str | None = ...,
    adjustment: str | None = ...,
    adjust: Literal["none", "splits", "all"] | None = ...,
    as_of: date | str | None = ...,
    columns: Sequence[str] | None = ...,
    as_: Literal["pandas"],
) -> pd.DataFrame: ...


@overload
def bars(
    symbols: str | Sequence[str],
    *,
    start: Asked = ...,
    end: Asked = ...,
    timespan: str = ...,
    provider: str | None = ...,
    adjustment: str | None = ...,
    adjust: Literal["none", "splits", "all"] | None = ...,
    as_of: date | str | None = ...,
    columns: Sequence[str] | None = ...,
    as_: Literal["arrow"],
) -> pa.Table: ...


def bars(
    symbols: str | Sequence[str],
    *,
    start: Asked = None,
    end: Asked = None,
    timespan: str = "1d",
    provider: str | None = None,
    adjustment: str | None = None,
    adjust: Literal["none", "splits", "all"] | None = None,
    as_of: date | str | None = None,
    columns: Sequence[str] | None = None,
    as_: Literal["polars", "pandas", "arrow"] = "polars",
) -> pl.DataFrame | pd.DataFrame | pa.Table:
    """Stored bars of one or several symbols, by symbol and time. Calls no vendor; needs the extra `[data]`, and no Redis.

    symbols     "AAPL" or ["AAPL", "MSFT"], as they were fetched; "@watchlist" stands for what is stored of a universe
    start, end  dates in the exchange's zone, both inclusive, in the words of `submit`, such as "-5d"; or moments with a time
                zone. None leaves it open
    timespan    the length of a bar: "1m", "5m", "15m", "30m", "1h", "1d", "1w", "1mo"
    provider, adjustment  needed where several are stored for a symbol: an error then names them
    adjust      "splits" or "all" (dividends too): raw prices, adjusted by the stored splits and dividends; "none": raw prices
                as they are; None: whichever series is stored
    as_of       the day whose knowledge counts, by default today: what was seen or happened later is left out, bars too
    columns     names in the order that you want: "symbol", "ts", "open", "high", "low", "close", "volume", "vwap", "trades",
                "partial" and "date", which None stands for; "provider", "timespan", "adjustment" and "zone" besides
    as_         "polars", "pandas" or "arrow"

    `ts` is the start of a bar, a UTC timestamp in milliseconds; `partial` true for a bar that could still change when it
    was fetched; `date` the date of its session in the exchange's `zone`, null for an intraday bar whose zone is not known;
    texts are strings, all else float64, null where the vendor sent no value. A range without bars is an empty frame with these
    types. Adjusted prices and volumes are in shares of `as_of`. The database's driver writes Arrow's buffers: no row becomes a
    Python object.

    Raises BadRequestError for a symbol of which nothing is stored (it names near ones), for one that is stored in several ways,
    for splits or dividends that were never fetched, and for a wrong argument; UnavailableError for a database that is away,
    locked or of another schema, and without `[data]`. Warns (AdjustmentWarning) of splits and dividends that are doubtful.
    """
    if as_ not in _KINDS:
        raise BadRequestError(f"A frame is one of {', '.join(_KINDS)}: write as_='polars' (got {as_!r}).")
    names = checked_columns(columns)
    first, last = read(start, end)
    by, adjustment = read_adjust(adjust, as_of, adjustment)
    asked = wish(symbols, timespan=timespan, provider=provider, adjustment=adjustment, written="{name}={value!r}")
    need("pyarrow", *(("polars",) if as_ == "polars" else ()), for_what="marketfetch.bars")
    with reading() as store:
        need(f"adbc_driver_{_driver(store.database.spelling.folder)}", for_what="marketfetch.bars")
        series = one_of_each(asked, found(store, asked))
        ranges = spans(series, first, last)
        if any(one.adjustment != "raw" for one in series):
            tell_of_stale(store, series)
        import pyarrow as pa

        with arrow(store) as source:
            found_bars = (
                adjusted_batches(store, source, series, ranges, names, by) if by else batches(source, series, ranges, names)
            )
            table = pa.Table.from_batches(found_bars, schema=schema(names))
    return frame_of(table, as_)


def _driver(folder: str) -> str:
    return "postgresql" if folder == "postgres" else folder


def checked_columns(columns: Sequence[str] | None) -> tuple[str, ...]:
    """The asked columns, or the usual ones. Raises BadRequestError."""
    if columns is None:
        return _USUAL
    names = () if isinstance(columns, str) or not isinstance(columns, Iterable) else tuple(columns)
    if not names or not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        raise BadRequestError(f"The columns are a list of names, each once, such as ['ts', 'close'] (got {columns!r}).")
    for name in names:
        if name not in COLUMNS:
            meant = did_you_mean(str(name), COLUMNS, as_written="{!r}")
            raise BadRequestError(f"A bar has no column {name!r}. {meant}{' ' if meant else ''}There are {', '.join(COLUMNS)}.")
    return names
