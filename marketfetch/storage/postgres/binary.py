"""Postgres's binary format, made from and read into numpy tables without a Python object per row.

https://www.postgresql.org/docs/current/sql-copy.html#SQL-COPY-FILE-FORMATS-BINARY-FORMAT. Arrays are laid out as
array_send does: dimensions, has-null flag, element type, length, lower bound, then every element with its length.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
from psycopg.adapt import AdaptersMap, Dumper
from psycopg.pq import Format

from marketfetch.schemas.bars import FLOAT_COLUMNS, BarColumns, Ints
from marketfetch.storage.rows import ROW, VALUE_COLUMNS, Table
from marketfetch.storage.store_errors import StoreError

_HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER: Final = b"\xff\xff"
_ABSENT: Final = -1

#: Postgres counts microseconds from 2000-01-01.
_EPOCH_MS: Final = 946_684_800_000
#: Years 4713 BC to 294276, which timestamptz holds.
_EARLIEST_MS: Final = -210_866_803_200_000
_LATEST_MS: Final = 9_224_318_015_999_999

_TIMES: Final = ("ts", "fetched_at")
COLUMNS: Final[tuple[str, ...]] = ROW.names or ()
_WIRE: Final = {name: np.dtype(ROW[name]).newbyteorder(">") for name in COLUMNS}


#: Rows laid out at a time: the server works on one piece while the next is made.
_PIECE: Final = 4_096


def copy_stream(rows: Table) -> Iterator[bytes]:
    """The input of `COPY bar_rows (COLUMNS) FROM STDIN (FORMAT BINARY)`, in pieces. NaN becomes NULL, which has no bytes.

    Rows with the same columns absent are equally long, so they are laid out together; a reply has one to three such
    patterns.
    """
    yield _HEADER
    for start in range(0, len(rows), _PIECE):
        piece = rows[start : start + _PIECE]
        absent = np.zeros(len(piece), dtype=np.uint8)
        for bit, name in enumerate(FLOAT_COLUMNS):
            absent |= np.isnan(piece[name]).astype(np.uint8) << bit
        patterns = np.unique(absent)
        for pattern in patterns:
            yield _frames(piece if len(patterns) == 1 else piece[absent == pattern], int(pattern))
    yield _TRAILER


def _frames(rows: Table, absent: int) -> bytes:
    left_out = {name for bit, name in enumerate(FLOAT_COLUMNS) if absent >> bit & 1}
    fields: list[tuple[str, Any]] = [("fields", ">i2")]
    for name in COLUMNS:
        fields += [(f"{name} bytes", ">i4")] + ([] if name in left_out else [(name, _WIRE[name])])
    frames = np.empty(len(rows), dtype=fields)
    frames["fields"] = len(COLUMNS)
    for name in COLUMNS:
        frames[f"{name} bytes"] = _ABSENT if name in left_out else _WIRE[name].itemsize
        if name not in left_out:
            frames[name] = _sent(rows, name)
    return frames.tobytes()


def _sent(rows: Table, name: str) -> Any:
    return micros(rows[name]) if name in _TIMES else rows[name]


def micros(ms: Ints) -> Ints:
    """Unix ms as Postgres's microseconds. Raises StoreError for a time that timestamptz does not hold."""
    if len(ms) and (ms.min() < _EARLIEST_MS or ms.max() > _LATEST_MS):
        raise StoreError("a bar's timestamp is outside the years that Postgres can keep. Nothing of it was stored")
    return (ms - _EPOCH_MS) * 1000


class Array:
    """A one-dimensional array parameter in its binary form."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data


class _Ints(Array): ...


class _BigInts(Array): ...


class _Floats(Array): ...


class _Bools(Array): ...


class _Times(Array): ...


_INT4, _INT8, _FLOAT8, _BOOL, _TIMESTAMPTZ = 23, 20, 701, 16, 1184
_ARRAY_OIDS: Final = {_Ints: 1007, _BigInts: 1016, _Floats: 1022, _Bools: 1000, _Times: 1185}


def array_columns(rows: Table) -> list[Array]:
    """Every column of `rows` as a parameter for unnest(), in the order of COLUMNS; NaN stays NaN."""
    return [_array_column(rows, name) for name in COLUMNS]


def _array_column(rows: Table, name: str) -> Array:
    if name in _TIMES:
        return times(rows[name])
    if name in FLOAT_COLUMNS:
        return _Floats(_array(rows[name], name, _FLOAT8))
    if name == "partial":
        return _Bools(_array(rows[name], name, _BOOL))
    return _Ints(_array(rows[name], name, _INT4)) if name == "series_id" else _BigInts(_array(rows[name], name, _INT8))


def times(ms: Ints) -> Array:
    """Unix ms as a timestamptz[] parameter."""
    return _Times(_array(micros(ms), "ts", _TIMESTAMPTZ))


def _array(values: Any, name: str, element: int) -> bytes:
    wire = _WIRE[name]
    laid = np.empty(len(values), dtype=[("bytes", ">i4"), ("value", wire)])
    laid["bytes"], laid["value"] = wire.itemsize, values
    return np.array([1, 0, element, len(values), 1], dtype=">i4").tobytes() + laid.tobytes()


#: What a bar is compared by, in the order that `bars_from` reads.
COMPARED: Final = ("ts", *VALUE_COLUMNS)


def bars_from(columns: Sequence[bytes | None], *, of_many: bool = False) -> BarColumns:
    """The bars whose columns came as the joined bytes of `..._send`, in the order of COMPARED; None for no rows.

    `of_many`: the first column has the number of the series instead of the time, and so has `ts`.
    """
    if columns[0] is None:
        return BarColumns.empty()
    values = {
        name: np.frombuffer(data or b"", dtype=_WIRE[name]).astype(ROW[name])
        for name, data in zip(COMPARED, columns, strict=True)
    }
    ts = values.pop("ts")
    ts = ts if of_many else ts // 1000 + _EPOCH_MS
    bars = BarColumns.build(ts, **values)
    # The bars usually arrive in the order of the key, but SQL does not promise it.
    return bars if np.all(ts[1:] > ts[:-1]) else bars.take(np.argsort(ts))


def register(adapters: AdaptersMap) -> None:
    """Makes the arrays above usable as parameters of a connection."""
    for kind, dumper in _DUMPERS.items():
        adapters.register_dumper(kind, dumper)


def _dumper(array_oid: int) -> type[Dumper]:
    class ArrayDumper(Dumper):
        format = Format.BINARY
        oid = array_oid

        def dump(self, obj: Array) -> bytes:
            return obj.data

    return ArrayDumper


_DUMPERS: Final = {kind: _dumper(oid) for kind, oid in _ARRAY_OIDS.items()}
