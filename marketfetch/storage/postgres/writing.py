"""What `PostgresStore.store` does inside its transaction, in this order: ledger, rejects, series, bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from psycopg import Connection
from psycopg.errors import SerializationFailure

from marketfetch.schemas.bars import FLOAT_COLUMNS, BarColumns, BarSeries
from marketfetch.schemas.ledger import Batch
from marketfetch.storage import binary, fingerprint
from marketfetch.storage.names import SERIES_KEY, VALUE_COLUMNS
from marketfetch.storage.rows import Part, new_and_changed, table
from marketfetch.storage.texts import reject_rows, storable

Db = Connection[tuple[Any, ...]]
SeriesKey = tuple[str, str, str, str]

_LEDGER: Final = """
    INSERT INTO ledger (request_id, root, page, provider, symbol, outcome, reason, rows, rejects, key_label, calls,
                        called_at, next_cursor, over_at)
    SELECT request_id, root, page, provider, symbol, outcome, reason, rows, rejects, key_label, calls,
           to_timestamp(nullif(called_ms, 0) / 1000.0), next_cursor, now()
    FROM unnest(%s::text[], %s::text[], %s::int[], %s::text[], %s::text[], %s::text[], %s::text[], %s::int[], %s::int[],
                %s::text[], %s::int[], %s::bigint[], %s::text[])
         AS new (request_id, root, page, provider, symbol, outcome, reason, rows, rejects, key_label, calls, called_ms,
                 next_cursor)
    ON CONFLICT (request_id) DO NOTHING RETURNING request_id, id"""

_SERIES_KEYS: Final = f"unnest(%s::text[], %s::text[], %s::text[], %s::text[]) AS asked ({', '.join(SERIES_KEY)})"
_FIND_SERIES: Final = f"SELECT s.* FROM {_SERIES_KEYS} JOIN series s USING ({', '.join(SERIES_KEY)})"  # noqa: S608
_ADD_SERIES: Final = f"""
    INSERT INTO series ({", ".join(SERIES_KEY)}) SELECT asked.* FROM {_SERIES_KEYS} ON CONFLICT DO NOTHING"""  # noqa: S608
_LOCK_SERIES: Final = "SELECT * FROM series WHERE id = ANY(%s::int[]) ORDER BY id FOR NO KEY UPDATE"

_COLUMNS: Final = ", ".join(binary.COLUMNS)
_COPY: Final = f"COPY bar_rows ({_COLUMNS}) FROM STDIN (FORMAT BINARY)"


def _joined(name: str) -> str:
    send = {"ts": "timestamptz_send", "partial": "boolsend"}.get(name, "float8send")
    value = f"coalesce({name}, 'NaN')" if name in FLOAT_COLUMNS else name
    return f"string_agg({send}({value}), '')"


# Joined bytes per column: as rows of a result, 50,000 bars would be 50,000 Python objects on arrival.
_STANDING: Final = f"""
    SELECT bars.*
    FROM unnest(%s::int[], %s, %s) WITH ORDINALITY AS span (series_id, first, last, n)
    CROSS JOIN LATERAL (
        SELECT {", ".join(_joined(name) for name in binary.COMPARED)}
        FROM bar_rows b WHERE b.series_id = span.series_id AND b.ts BETWEEN span.first AND span.last
    ) AS bars
    ORDER BY span.n"""  # noqa: S608

_LOOK: Final = f"""
    SELECT bars.*
    FROM unnest(%s::int[], %s, %s) WITH ORDINALITY AS span (series_id, first, last, n)
    CROSS JOIN LATERAL (
        SELECT count(*), {fingerprint.SQL}
        FROM bar_rows b WHERE b.series_id = span.series_id AND b.ts BETWEEN span.first AND span.last
    ) AS bars
    ORDER BY span.n"""  # noqa: S608

_SET: Final = (*VALUE_COLUMNS, "fetched_at", "ledger_id")
_UPSERT: Final = f"""
    INSERT INTO bar_rows AS b ({_COLUMNS})
    SELECT {", ".join(f"nullif({name}, 'NaN')" if name in FLOAT_COLUMNS else name for name in binary.COLUMNS)}
    FROM unnest({", ".join(["%s"] * len(binary.COLUMNS))}) AS new ({_COLUMNS})
    ON CONFLICT (series_id, ts) DO UPDATE SET ({", ".join(_SET)}) = ({", ".join(f"excluded.{name}" for name in _SET)})
    WHERE b.fetched_at <= excluded.fetched_at
      AND ({" OR ".join(f"b.{name} IS DISTINCT FROM excluded.{name}" for name in VALUE_COLUMNS)})"""  # noqa: S608


_REJECTS: Final = "COPY rejects (request_id, provider, symbol, row, field, value, reason, rejected_at) FROM STDIN"


def enter(db: Db, batches: Sequence[Batch]) -> dict[str, int]:
    """Writes the ledger rows that are new; their numbers by request id. Waits for another process entering the same."""
    rows = [
        (
            *(one.request_id, one.root, one.page, one.provider, storable(one.symbol), one.outcome, storable(one.reason)),
            *(one.rows, one.rejects, one.key_label, one.calls, one.called_at_ms, one.next_cursor and storable(one.next_cursor)),
        )
        for one in (batch.ledger for batch in batches)
    ]
    return dict(db.execute(_LEDGER.encode(), _columns(rows)).fetchall())


def keep_rejects(db: Db, batches: Sequence[Batch]) -> None:
    rows = [row for batch in batches for row in reject_rows(batch)]
    if not rows:
        return
    now = db.execute("SELECT now()").fetchall()[0][0]
    with db.cursor().copy(_REJECTS.encode()) as copy:
        for row in rows:
            copy.write_row((*row, now))


def key(series: BarSeries) -> SeriesKey:
    return series.provider, series.symbol, series.timespan, series.adjustment


def find_series(db: Db, keys: Sequence[SeriesKey]) -> dict[SeriesKey, int]:
    """The numbers of series, by key. A series that is new gets one."""
    found = _known(db, keys)
    if absent := [one for one in keys if one not in found]:
        db.execute(_ADD_SERIES.encode(), _columns(absent))
        found |= _known(db, absent)
    return found


def _known(db: Db, keys: Sequence[SeriesKey]) -> dict[SeriesKey, int]:
    return {(a, b, c, d): number for number, a, b, c, d in db.execute(_FIND_SERIES.encode(), _columns(keys))}


def lock_series(db: Db, series: Mapping[SeriesKey, int]) -> None:
    """Keeps other writers away from these series until the transaction ends. Always in one order, so nobody deadlocks."""
    locked = db.execute(_LOCK_SERIES.encode(), [list(series.values())]).fetchall()
    if {(a, b, c, d): number for number, a, b, c, d in locked} != series:
        raise SerializationFailure("a series has another number: somebody made the tables anew")


def write(db: Db, parts: Sequence[Part]) -> None:
    """Writes what is new or differs. No two parts overlap in a series, and all series are locked."""
    looks = db.execute(_LOOK.encode(), _spans(parts)).fetchall()
    new = [part for part, (count, _) in zip(parts, looks, strict=True) if not count]
    changed: list[Part] = []
    known = [part for part, look in zip(parts, looks, strict=True) if look[0] and not _stands(part, look)]
    for part, standing in zip(known, _standing(db, known), strict=True):
        its_new, its_changed = new_and_changed(part.bars, standing)
        new.append(part.of(its_new))
        changed.append(part.of(its_changed))
    if len(rows := table(new)):
        with db.cursor().copy(_COPY.encode()) as copy:
            for piece in binary.copy_stream(rows):
                copy.write(piece)
    if len(rows := table(changed)):
        # Its WHERE leaves out bars that were fetched later than these.
        db.execute(_UPSERT.encode(), binary.array_columns(rows))


def _stands(part: Part, look: tuple[int, int]) -> bool:
    """True when exactly these bars stand there: `look` is how many there are in their span, and their fingerprint."""
    return look[0] == len(part.bars) and look[1] == fingerprint.fingerprint(part.bars)


def _standing(db: Db, parts: Sequence[Part]) -> list[BarColumns]:
    """For each part, the bars of its series in the database from its first to its last."""
    if not parts:
        return []
    with db.cursor(binary=True) as cursor:
        cursor.execute(_STANDING.encode(), _spans(parts))
        result = cursor.pgresult
        if result is None:
            return []
        columns = range(len(binary.COMPARED))
        return [binary.bars_from([result.get_value(row, n) for n in columns]) for row in range(result.ntuples)]


def _spans(parts: Sequence[Part]) -> list[Any]:
    """Series, first and last moment of each part, as parameters of an unnest."""
    first = binary.times(np.array([part.bars.ts[0] for part in parts], dtype=np.int64))
    last = binary.times(np.array([part.bars.ts[-1] for part in parts], dtype=np.int64))
    return [[part.series_id for part in parts], first, last]


def _columns(rows: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]
