"""Decodes the series of bars of a response all of whose rows have the same fields, each a number: as numbers at once.

Anything unusual is left to `replies.py`, which decodes text by text. A test proves that both find the same columns.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from itertools import chain
from typing import Any, Final

import msgspec
import numpy as np

from marketfetch.schemas.bars import Floats
from marketfetch.vendors.quick_records import decoded

#: The first row, of which all others have the names.
_FIRST_ROW: Final = re.compile(rb'\s*\{\s*"[^"\\]{1,40}"\s*:\s*(\{[^{}\\]{1,2000}\})')
_MOST_FIELDS: Final = 20
_META: Final = "Meta Data"
_TOP: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_META_OF: Final = msgspec.json.Decoder(dict[str, str])

#: The series' name, the fields of "Meta Data", the dates, and the fields of the rows by their names.
QuickSeries = tuple[str, Mapping[str, str], list[str], dict[str, Floats]]


def quick_series(body: bytes) -> QuickSeries | None:
    """The one series of a body, None where anything about it is unusual."""
    top = decoded(_TOP, body)
    others = set(top or ()) - {_META}
    if len(others) != 1:
        return None
    (name,) = others
    first = _FIRST_ROW.match(top[name])
    if first is None or not body.isascii():
        return None
    names = tuple(json.loads(first[1]))
    if len(names) > _MOST_FIELDS:
        return None
    rows = decoded_raw(_rows(names), top[name])
    meta = decoded_raw(_META_OF, top[_META]) if _META in top else {}
    # A name that stands twice is in a dict only once: when clocks go back, an hour has the same wall times twice.
    if not rows or meta is None or body.count(b"{") != 1 + len(top) + len(rows):
        return None
    values = chain.from_iterable(map(msgspec.structs.astuple, rows.values()))
    table = np.fromiter(values, dtype=np.float64, count=len(names) * len(rows)).reshape(-1, len(names)).T
    if not np.isfinite(table).all():
        return None
    return name, meta, list(rows), {one: np.ascontiguousarray(column) for one, column in zip(names, table, strict=True)}


def decoded_raw(decoder: msgspec.json.Decoder[Any], raw: msgspec.Raw) -> Any:
    """As the decoder's type; None if it is another one."""
    try:
        return decoder.decode(raw)
    except (msgspec.MsgspecError, RecursionError):
        return None


@lru_cache(maxsize=16)
def _rows(names: tuple[str, ...]) -> msgspec.json.Decoder[Any]:
    """The decoder of rows with these fields and no other, each a number that may be written as a text."""
    fields = [(f"field_{place}", float) for place in range(len(names))]
    rename = {f"field_{place}": name for place, name in enumerate(names)}
    row = msgspec.defstruct("Row", fields, rename=rename, gc=False, forbid_unknown_fields=True)
    return msgspec.json.Decoder(dict.__class_getitem__((str, row)), strict=False)
