"""How the bars of a reply differ from what is stored: which are new, which would change, and which are none any more."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from marketfetch.schemas.bars import FLOAT_COLUMNS, BarColumns, BarSeries
from marketfetch.storage.rows import new_and_changed
from marketfetch.storage.statements import statements
from marketfetch.storage.store import Store


@dataclass(frozen=True, slots=True, eq=False)
class Difference:
    """The bars of a reply that are not stored, and those that are stored with other values by no later call.

    `gone`: starts (Unix ms) of stored bars that came with this reply, and that are not among its good rows now.
    """

    new: BarColumns
    changed: BarColumns
    gone: tuple[int, ...] = ()


def difference(store: Store, series: BarSeries, *, request_id: str, fetched_ms: int, asked: tuple[int, int]) -> Difference:
    """Compares the series of a reply with its stored bars. `asked`: the first and last Unix ms that the reply can have.

    Raises StoreError.
    """
    bars = series.bars
    first = min([asked[0], *bars.ts[:1].tolist()])
    last = max([asked[1], *bars.ts[-1:].tolist()])
    key = (series.provider, series.symbol, series.timespan, series.adjustment)
    sql = statements("sql/replaying.sql", store.database.spelling)["standing"]
    rows = store.database.read(sql, *key, first, last)
    if not rows:
        return Difference(bars, BarColumns.empty())
    ts, fetched, brought, partial, *floats = zip(*rows, strict=True)
    values = {name: np.array(column, dtype=np.float64) for name, column in zip(FLOAT_COLUMNS, floats, strict=True)}
    standing = BarColumns.build(np.array(ts, dtype=np.int64), partial=np.array(partial, dtype=np.bool_), **values)
    new, changed = new_and_changed(bars, standing)
    later = standing.ts[np.array(fetched, dtype=np.int64) > fetched_ms]
    good = set(bars.ts.tolist())
    gone = tuple(moment for moment, request in zip(ts, brought, strict=True) if request == request_id and moment not in good)
    return Difference(new, changed.take(~np.isin(changed.ts, later)), gone)
