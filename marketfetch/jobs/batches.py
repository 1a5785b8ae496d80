"""The byte format of a batch: columns, not rows; compressed; complete, so that the store looks nothing up.

A batch of records has version 2, so that a release which would store its ledger row without them leaves it alone. All others
have version 1, which the release before reads too.

Layout: 4 bytes length of a JSON head, the head, then the arrays one after the other, all of it zlib level 1. The reader
checks the version in the head first: a release reads the layout of the one before it, and does not touch one of a newer
release. Every version keeps zlib, the length, and a head that is a JSON object with its version.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import asdict
from datetime import date
from typing import Any, Final

import numpy as np

from marketfetch.schemas.bars import FLOAT_COLUMNS, BarColumns, BarSeries
from marketfetch.schemas.coverage import Covered
from marketfetch.schemas.ledger import Batch, LedgerRow
from marketfetch.schemas.page import Reject
from marketfetch.schemas.record_kinds import Records

VERSION: Final = 2
_OF_BARS: Final = 1


class UnreadableBatch(Exception):
    """The bytes are no batch of a version that this release knows, nor of a newer one."""


class NewerBatch(Exception):
    """A newer release has written this batch: a paid reply, which only its workers can store."""


def encode(batch: Batch) -> bytes:
    """The bytes that Redis keeps until the batch is stored."""
    head: dict[str, Any] = {
        "version": _OF_BARS if batch.records is None else VERSION,
        "ledger": asdict(batch.ledger),
        "rejects": [asdict(one) for one in batch.rejects],
        # Beside the series, as a release that knows no zones unpacks these.
        "zones": [one.zone for one in batch.series],
        "covered": [asdict(one) for one in batch.covered],
        "series": [[one.provider, one.symbol, one.timespan, one.adjustment, len(one.bars)] for one in batch.series],
    }
    if batch.records is not None:
        head["records"] = [batch.records.kind, batch.records.rows]
    text = json.dumps(head, separators=(",", ":"), default=date.isoformat).encode()
    parts = [len(text).to_bytes(4, "big"), text]
    for one in batch.series:
        parts += [one.bars.ts.astype("<i8").tobytes(), np.packbits(one.bars.partial).tobytes()]
        parts += [getattr(one.bars, name).astype("<f8").tobytes() for name in FLOAT_COLUMNS]
    return zlib.compress(b"".join(parts), level=1)


def decode(data: bytes) -> Batch:
    """The inverse of `encode`, equal in every value. Raises UnreadableBatch, NewerBatch."""
    try:
        raw = zlib.decompress(data)
        length = int.from_bytes(raw[:4], "big")
        head = json.loads(raw[4 : 4 + length])
        if type(head["version"]) is int and head["version"] > VERSION:
            raise NewerBatch(f"batch of version {head['version']}; this release reads version {VERSION}")
        if head["version"] not in (_OF_BARS, VERSION):
            raise UnreadableBatch(f"batch of version {head['version']}; this release reads version {VERSION}")
        reader = _Reader(raw, 4 + length)
        zones = head.get("zones") or [""] * len(head["series"])
        series = tuple(_series(one, zone, reader) for one, zone in zip(head["series"], zones, strict=True))
    except (zlib.error, ValueError, KeyError) as error:
        raise UnreadableBatch(f"batch can't be read: {error}") from error
    rejects = tuple(Reject(**one) for one in head["rejects"])
    covered = tuple(_covered(**one) for one in head.get("covered", ()))
    records = _records(head.get("records"))
    return Batch(ledger=LedgerRow(**head["ledger"]), series=series, rejects=rejects, covered=covered, records=records)


def _records(head: list[Any] | None) -> Records | None:
    return None if head is None else Records(head[0], tuple(map(tuple, head[1])))


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
    ts = reader.take("<i8", n).astype(np.int64)
    partial = np.unpackbits(reader.take("u1", (n + 7) // 8), count=n).astype(np.bool_)
    floats = {name: reader.take("<f8", n).astype(np.float64) for name in FLOAT_COLUMNS}
    return BarSeries(provider, symbol, timespan, adjustment, BarColumns(ts=ts, partial=partial, **floats), zone)
