"""Raw bars read and adjusted: batches of Arrow as `stored_bars.batches` gives them, with other prices and volumes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from marketfetch.exceptions import BadRequestError
from marketfetch.frames.adjusting import Adjust, KnownActions, known_actions, tell
from marketfetch.frames.date_bounds import bounds
from marketfetch.frames.stored_bars import dates, finished, needed
from marketfetch.schemas.timespans import is_intraday
from marketfetch.storage.arrow_reading import ArrowSource, Span
from marketfetch.storage.session_dates import session_days
from marketfetch.storage.store import Store
from marketfetch.storage.stored_series import StoredSeries, stored_series

if TYPE_CHECKING:
    import pyarrow as pa

    from marketfetch.frames.actions import Bars
    from marketfetch.frames.doubtful_actions import Doubt
    from marketfetch.schemas.bars import BarColumns

_PRICES: Final = ("open", "high", "low", "close", "vwap")
#: Series that are in memory at a time.
_AT_ONCE: Final = 500
_DAY_MS: Final = 86_400_000
_NO_ZONE: Final = "The zone of {one.symbol} {one.timespan} is not known, so its bars have no dates: adjust 1d bars."


def adjusted_batches(
    store: Store,
    source: ArrowSource,
    series: Sequence[StoredSeries],
    ranges: Sequence[Span],
    columns: Sequence[str],
    adjust: Adjust,
) -> Iterator[pa.RecordBatch]:
    """Yields the bars of these raw series until `as_of`, in their order, each by time. Raises BadRequestError, StoreError.

    Closes behind the end of a range are read too, as a dividend counts by the close of its ex date. Warns of what is doubtful.
    """
    for first in range(0, len(series), _AT_ONCE):
        part = series[first : first + _AT_ONCE]
        yield from _adjusted(store, source, part, ranges[first : first + _AT_ONCE], columns, adjust)


def _adjusted(
    store: Store,
    source: ArrowSource,
    series: Sequence[StoredSeries],
    ranges: Sequence[Span],
    columns: Sequence[str],
    adjust: Adjust,
) -> Iterator[pa.RecordBatch]:
    import numpy as np
    import pyarrow as pa

    from marketfetch.frames.factors import factors

    known = known_actions(store, series, adjust)
    whole = [(one.number, asked[1], last_ms(one, adjust)) for one, asked in zip(series, ranges, strict=True)]
    cut = [(number, start, _least(end, asked[2])) for (number, start, end), asked in zip(whole, ranges, strict=True)]
    read = list(dict.fromkeys([*needed(columns), "ts", "close"]))
    found = list(source.batches(cut, read))
    if not found:
        return
    # One batch of a part: the factors of a series need all of its bars at once.
    batch = pa.Table.from_batches(found).combine_chunks().to_batches()[0]
    bars = _bars(batch, series)
    daily = _daily(store, source, series, whole, adjust) if is_intraday(series[0].timespan) else None  # type: ignore[arg-type]
    if daily is None and cut != whole:
        daily = _closes(source, series, whole)
    by = factors(bars, known.splits, known.dividends, daily=daily)
    tell(_doubts(series, by.doubts, known, bars if daily is None else daily))
    arrays = []
    for name in batch.schema.names:
        column = batch.column(name)
        if name in _PRICES or name == "volume":
            values = column.to_numpy(zero_copy_only=False) * (by.volume if name == "volume" else by.price)
            column = pa.array(values, mask=np.isnan(values))
        arrays.append(column)
    named = [replace(one, adjustment=adjust.adjustment) for one in series]
    yield finished(pa.RecordBatch.from_arrays(arrays, names=batch.schema.names), named, columns)


def adjusted_columns(store: Store, series: StoredSeries, bars: BarColumns, adjust: Adjust) -> BarColumns:
    """Bars of one raw series that end by `as_of`, adjusted; they are all that is stored between their first and their last one.

    Raises BadRequestError, StoreError. Warns of what is doubtful.
    """
    from marketfetch.frames.factors import factors

    known = known_actions(store, [series], adjust)
    if not len(bars):
        return bars
    until = last_ms(series, adjust)
    begin, daily = int(bars.ts[0]), None
    if not is_intraday(series.timespan):  # type: ignore[arg-type]
        daily = _stored(store, series, begin, until)
    elif adjust.to == "all":
        daily = _stored(store, _daily_series(store, [series])[0], begin - _DAY_MS, until)
    own = _of_columns(bars, series)
    by = factors(own, known.splits, known.dividends, daily=daily)
    tell(_doubts([series], by.doubts, known, daily or own))
    changed = {name: getattr(bars, name) * (by.volume if name == "volume" else by.price) for name in (*_PRICES, "volume")}
    return replace(bars, **changed)


def last_ms(one: StoredSeries, adjust: Adjust) -> int:
    """The first Unix ms behind `as_of`, for this series."""
    _, end = bounds(None, adjust.as_of, one.timespan, one.zone or "UTC")
    assert end is not None
    return end


def _least(end: int | None, asked: int | None) -> int | None:
    return end if asked is None else asked if end is None else min(end, asked)


def _bars(batch: pa.RecordBatch, series: Sequence[StoredSeries]) -> Bars:
    import numpy as np

    from marketfetch.frames.actions import Bars

    day = dates(batch, series)
    if day.null_count:
        one = series[batch.column("n")[day.is_null().index(True).as_py()].as_py()]
        raise BadRequestError(_NO_ZONE.format(one=one))
    close = batch.column("close").to_numpy(zero_copy_only=False)
    return Bars(batch.column("n").to_numpy().astype(np.int64), day.view("int32").to_numpy().astype(np.int64), close)


def _closes(source: ArrowSource, series: Sequence[StoredSeries], ranges: Sequence[Span]) -> Bars | None:
    import pyarrow as pa

    found = list(source.batches(ranges, ["ts", "close"]))
    return _bars(pa.Table.from_batches(found).combine_chunks().to_batches()[0], series) if found else None


def _daily(
    store: Store, source: ArrowSource, series: Sequence[StoredSeries], ranges: Sequence[Span], adjust: Adjust
) -> Bars | None:
    """The daily closes of intraday series. For splits alone their own bars will do. Raises BadRequestError."""
    if adjust.to == "splits":
        return None
    days = _daily_series(store, series)
    before = [(None if start is None else start - _DAY_MS, end) for _, start, end in ranges]
    return _closes(source, days, [(one.number, *span) for one, span in zip(days, before, strict=True)])


def _daily_series(store: Store, series: Sequence[StoredSeries]) -> list[StoredSeries]:
    """The daily raw series of the same vendors and symbols. Raises BadRequestError where there is none."""
    stored = stored_series(store, sorted({one.symbol for one in series}))
    raw = {(one.provider, one.symbol): one for one in stored if (one.timespan, one.adjustment) == ("1d", "raw")}
    for one in series:
        if (one.provider, one.symbol) not in raw:
            raise BadRequestError(
                f"A dividend counts by the close of its day, and no daily raw bars of {one.symbol} are stored: run "
                f"`marketfetch fetch {one.provider} {one.symbol} --timespan 1d`, or ask for adjust splits."
            )
    return [replace(raw[one.provider, one.symbol], zone=one.zone) for one in series]


def _stored(store: Store, one: StoredSeries, start_ms: int, end_ms: int) -> Bars:
    from marketfetch.storage.reading_back import bars

    found = bars(store, one.provider, one.symbol, one.timespan, adjustment="raw", start_ms=start_ms, end_ms=end_ms)  # type: ignore[arg-type]
    return _of_columns(found, one)


def _of_columns(found: BarColumns, one: StoredSeries) -> Bars:
    import numpy as np

    from marketfetch.frames.actions import Bars

    days = session_days(found.ts, one.timespan, one.zone)
    if days is None:
        raise BadRequestError(_NO_ZONE.format(one=one))
    return Bars(np.zeros(len(found.ts), dtype=np.int64), days.astype(np.int64), found.close)


def _doubts(series: Sequence[StoredSeries], doubts: Sequence[Doubt], known: KnownActions, bars: Bars) -> Iterator[str]:
    import numpy as np

    from marketfetch.frames.actions import EPOCH

    for doubt in doubts:
        yield f"{series[doubt.n].symbol} {doubt.ex_date}: {doubt.text}."
    last = np.full(len(series), -(2**40), dtype=np.int64)
    np.maximum.at(last, bars.n, bars.day)
    for n, day in enumerate(last.tolist()):
        seen = known.fetched_at[n] // _DAY_MS
        if day > seen:
            at = datetime.fromtimestamp(known.fetched_at[n] / 1000, UTC).date()
            until = EPOCH.fromordinal(EPOCH.toordinal() + day)
            one = series[n]
            yield (
                f"{one.symbol}: its actions were fetched on {at}, before its last bar of {until}: later ones are "
                f"not in the prices. Run `marketfetch fetch {one.provider} {one.symbol} --dataset splits`, and dividends."
            )
