"""The byte format of a batch: columns, not rows; compressed; complete, so that the store looks nothing up.

A batch of records, or with a cross-section, has version 2: a release that would store its ledger row alone leaves it. All
others have version 1, which the release before reads too.

Layout: 4 bytes length of a JSON head, the head, then the arrays one after the other, all of it zlib: level 1 for a Redis behind
a network; level 0, which only frames, for one on this machine, where to compress costs ten times as much as to copy. The reader
checks the version in the head first: a release reads the layout of the one before it, and does not touch one of a newer
release. Every version keeps zlib, the length, and a head that is a JSON object with its version.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from datetime import date
from typing import Any, Final

import numpy as np

from marketfetch.schemas.bars import FLOAT_COLUMNS, BarColumns, BarSeries
from marketfetch.schemas.coverage import Covered
from marketfetch.schemas.cross_section import CrossSection
from marketfetch.schemas.ledger import Batch, LedgerRow
from marketfetch.schemas.page import Reject
from marketfetch.schemas.record_kinds import Records
from marketfetch.schemas.table_columns import TableColumns

#: The latest version that this release reads.
VERSION: Final = 2
COMPRESSED: Final = 1
FRAMED: Final = 0
#: The version of a batch that has nothing but series, as the release before writes and reads it.
SERIES_ALONE: Final = 1


class UnreadableBatch(Exception):
    """The bytes are no batch of a version that this release knows, nor of a newer one."""


class NewerBatch(Exception):
    """A newer release has written this batch: a paid reply, which only its workers can store."""


def encode(batch: Batch, *, level: int = COMPRESSED) -> bytes:
    """The bytes that Redis keeps until the batch is stored. `level` is zlib's; any reader takes each."""
    section = batch.series if isinstance(batch.series, CrossSection) else None
    several = () if section else batch.series
    head: dict[str, Any] = {
        "version": VERSION if section or batch.records is not None else SERIES_ALONE,
        "ledger": _flat(batch.ledger),
        "rejects": [_flat(one) for one in batch.rejects],
        # Beside the series, as a release that knows no zones unpacks these.
        "zones": [one.zone for one in several],
        "covered": [_flat(one) for one in batch.covered],
        "series": [[one.provider, one.symbol, one.timespan, one.adjustment, len(one.bars)] for one in several],
    }
    if batch.records is not None:
        found = batch.records
        head["records"] = [found.kind, found.rows, found.dataset, found.columns, found.days]
    if batch.columns is not None:
        # The release before leaves them unread.
        head["columns"] = _flat(batch.columns)
    if section:
        head["section"] = [section.provider, section.symbols, section.timespan, section.adjustment, section.zone]
    text = json.dumps(head, separators=(",", ":"), default=date.isoformat).encode()
    parts = [len(text).to_bytes(4, "big"), text]
    for bars in (section.bars,) if section else (one.bars for one in several):
        parts += [bars.ts.astype("<i8").tobytes(), np.packbits(bars.partial).tobytes()]
        parts += [getattr(bars, name).astype("<f8").tobytes() for name in FLOAT_COLUMNS]
    return zlib.compress(b"".join(parts), level=level)


def _flat(one: LedgerRow | Reject | Covered | TableColumns) -> dict[str, Any]:
    """The fields of a value that has no other dataclass in it. `asdict` also copies each of them, at five times the cost."""
    return {name: getattr(one, name) for name in one.__slots__}


def decode(data: bytes) -> Batch:
    """The inverse of `encode`, equal in every value. Raises UnreadableBatch, NewerBatch."""
    try:
        raw = zlib.decompress(data)
        length = int.from_bytes(raw[:4], "big")
        head = json.loads(raw[4 : 4 + length])
        known = f"batch of version {head['version']}; this release reads version {VERSION}"
        if type(head["version"]) is int and head["version"] > VERSION:
            raise NewerBatch(known)
        if head["version"] not in (SERIES_ALONE, VERSION):
            raise UnreadableBatch(known)
        reader = _Reader(raw, 4 + length)
        zones = head.get("zones") or [""] * len(head["series"])
        series: Sequence[BarSeries] = tuple(_series(one, zone, reader) for one, zone in zip(head["series"], zones, strict=True))
        if "section" in head:
            series = _section(head["section"], reader)
    except (zlib.error, ValueError, KeyError) as error:
        raise UnreadableBatch(f"batch can't be read: {error}") from error
    rejects = tuple(Reject(**one) for one in head["rejects"])
    covered = tuple(_covered(**one) for one in head.get("covered", ()))
    records = _records(head.get("records"))
    columns = _table_columns(**head["columns"]) if head.get("columns") else None
    ledger = LedgerRow(**head["ledger"])
    return Batch(ledger=ledger, series=series, rejects=rejects, covered=covered, records=records, columns=columns)


def _table_columns(table: str, **lists: list[str]) -> TableColumns:
    return TableColumns(table, **{name: tuple(names) for name, names in lists.items()})


def _records(head: list[Any] | None) -> Records | None:
    if head is None:
        return None
    kind, rows, dataset, columns, days = head
    return Records(kind, tuple(map(tuple, rows)), dataset, tuple(columns), (days[0], days[1]) if days else None)


def _covered(first_day: str, last_day: str, final_to: str | None, **others: Any) -> Covered:
    days = (date.fromisoformat(first_day), date.fromisoformat(last_day), date.fromisoformat(final_to) if final_to else None)
    return Covered(first_day=days[0], last_day=days[1], final_to=days[2], **others)


class _Reader:
    """Returns the arrays in the order in which they were written."""

    def __init__(self, raw: bytes, offset: int) -> None:
        self._raw = raw
        self._offset = offset

    def take(self, dtype: str, count: int) -> Any:
        found = np.frombuffer(self._raw, dtype=dtype, count=count, offset=self._offset)
        self._offset += found.nbytes
        return found


def _series(head: list[Any], zone: str, reader: _Reader) -> BarSeries:
    provider, symbol, timespan, adjustment, n = head
    return BarSeries(provider, symbol, timespan, adjustment, _bars(n, reader), zone)


def _section(head: list[Any], reader: _Reader) -> CrossSection:
    provider, symbols, timespan, adjustment, zone = head
    return CrossSection(provider, tuple(symbols), timespan, adjustment, _bars(len(symbols), reader), zone)


def _bars(n: int, reader: _Reader) -> BarColumns:
    ts = reader.take("<i8", n).astype(np.int64)
    partial = np.unpackbits(reader.take("u1", (n + 7) // 8), count=n).astype(np.bool_)
    floats = {name: reader.take("<f8", n).astype(np.float64) for name in FLOAT_COLUMNS}
    return BarColumns(ts=ts, partial=partial, **floats)
