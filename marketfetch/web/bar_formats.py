"""Parts of bars as JSON, JSON lines, CSV and Arrow's stream format."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from marketfetch.extras import need
from marketfetch.frames.stored_bars import OF_SERIES, schema
from marketfetch.storage.session_dates import session_days

if TYPE_CHECKING:
    import pyarrow as pa

    from marketfetch.schemas.bars import BarColumns
    from marketfetch.storage.stored_series import StoredSeries


_LINES: Final = msgspec.json.Encoder()


class Format:
    """How bars are written: `head`, then each part, then `tail` with the notes where the format has room for them."""

    media_type = ""

    def __init__(self, columns: Sequence[str]) -> None:
        self.columns = columns

    def head(self) -> bytes:
        return b""

    def part(self, series: StoredSeries, bars: BarColumns) -> bytes:
        raise NotImplementedError

    def tail(self, notes: Sequence[str]) -> bytes:
        del notes
        return b""


class Json(Format):
    """One document: {"bars": [{...}, ...], "notes": [...]}. `ts` in Unix ms, `date` that of the session; null: no value."""

    media_type = "application/json"

    def __init__(self, columns: Sequence[str]) -> None:
        super().__init__(columns)
        self._between = b""

    def head(self) -> bytes:
        return b'{"bars": ['

    def part(self, series: StoredSeries, bars: BarColumns) -> bytes:
        between, self._between = self._between, b",\n"
        return between + b",\n".join(_LINES.encode_lines(_rows(series, bars, self.columns)).splitlines())

    def tail(self, notes: Sequence[str]) -> bytes:
        return b'], "notes": ' + msgspec.json.encode(list(notes)) + b"}"


class JsonLines(Format):
    """The same objects, one a line, and no notes."""

    media_type = "application/x-ndjson"

    def part(self, series: StoredSeries, bars: BarColumns) -> bytes:
        return _LINES.encode_lines(_rows(series, bars, self.columns))


class Csv(Format):
    """A header, then a line a bar, as `marketfetch export` writes it."""

    media_type = "text/csv; charset=utf-8"

    def __init__(self, columns: Sequence[str]) -> None:
        need("pyarrow", for_what="Bars as CSV")
        super().__init__(columns)

    def head(self) -> bytes:
        return self._written(schema(self.columns).empty_table(), header=True)

    def part(self, series: StoredSeries, bars: BarColumns) -> bytes:
        return self._written(_batch(series, bars, self.columns), header=False)

    @staticmethod
    def _written(rows: Any, *, header: bool) -> bytes:
        from pyarrow import csv

        written = BytesIO()
        csv.write_csv(rows, written, csv.WriteOptions(include_header=header))
        return written.getvalue()


class Arrow(Format):
    """Arrow's stream format (IPC), with the types of `marketfetch.bars(as_="arrow")`."""

    media_type = "application/vnd.apache.arrow.stream"

    def __init__(self, columns: Sequence[str]) -> None:
        need("pyarrow", for_what="Bars as Arrow")
        import pyarrow as pa

        super().__init__(columns)
        self._written = BytesIO()
        self._writer = pa.ipc.new_stream(self._written, schema(columns))

    def head(self) -> bytes:
        return self._taken()

    def part(self, series: StoredSeries, bars: BarColumns) -> bytes:
        self._writer.write_batch(_batch(series, bars, self.columns))
        return self._taken()

    def tail(self, notes: Sequence[str]) -> bytes:
        del notes
        self._writer.close()
        return self._taken()

    def _taken(self) -> bytes:
        found = self._written.getvalue()
        self._written.seek(0)
        self._written.truncate()
        return found


FORMATS: Final[dict[str, type[Format]]] = {"json": Json, "ndjson": JsonLines, "csv": Csv, "arrow": Arrow}


def _days(series: StoredSeries, bars: BarColumns) -> Any:
    return session_days(bars.ts, series.timespan, series.zone)


def _rows(series: StoredSeries, bars: BarColumns, columns: Sequence[str]) -> list[dict[str, Any]]:
    lists = [_values(name, series, bars) for name in columns]
    return [dict(zip(columns, row, strict=True)) for row in zip(*lists, strict=True)]


def _values(name: str, series: StoredSeries, bars: BarColumns) -> list[Any]:
    count = len(bars.ts)
    if name in (*OF_SERIES, "zone"):
        return [getattr(series, name)] * count
    if name == "date":
        days = _days(series, bars)
        return [None] * count if days is None else days.astype("datetime64[D]").astype(str).tolist()
    found = getattr(bars, name)
    if name in ("ts", "partial"):
        return list(found.tolist())
    return [None if value != value else value for value in found.tolist()]


def _batch(series: StoredSeries, bars: BarColumns, columns: Sequence[str]) -> pa.RecordBatch:
    return_of = schema(columns)
    return _record_batch([_array(name, series, bars, return_of.field(name).type) for name in columns], return_of)


def _record_batch(arrays: list[Any], of: pa.Schema) -> pa.RecordBatch:
    import pyarrow as pa

    return pa.RecordBatch.from_arrays(arrays, schema=of)


def _array(name: str, series: StoredSeries, bars: BarColumns, kind: Any) -> Any:
    import pyarrow as pa

    count = len(bars.ts)
    if name in (*OF_SERIES, "zone"):
        return pa.repeat(pa.scalar(getattr(series, name), pa.string()), count)
    if name == "date":
        days = _days(series, bars)
        return pa.nulls(count, kind) if days is None else pa.array(days).view(kind)
    found = getattr(bars, name)
    if name == "ts":
        return pa.array(found).cast(kind)
    return pa.array(found) if name == "partial" else pa.array(found, mask=np.isnan(found))
