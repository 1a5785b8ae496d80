"""Rows as JSON objects, as they are stored: the same row is the same text in every release, since a key is compared as text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec
import numpy as np

#: Between these msgspec writes a float as Python does; beyond them their exponents differ. A test compares both.
_LEAST, _MOST = 1e-4, 1e16
_LINES: Final = msgspec.json.Encoder()
#: Made once: `json.dumps` would make one for each call.
as_json: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def row_texts(names: tuple[str, ...], rows: Sequence[Sequence[Any]]) -> list[str]:
    """The rows as JSON objects with these names, in a fifth of the time of `json.dumps`."""
    row = _row_of(names)
    if row is None or not _are_usual([cell for cells in rows for cell in cells if type(cell) is float]):
        return [as_json(dict(zip(names, cells, strict=True))) for cells in rows]
    # No JSON text has a line end in it.
    return _LINES.encode_lines([row(*cells) for cells in rows]).decode().split("\n")[: len(rows)]


def _are_usual(numbers: Sequence[float]) -> bool:
    sizes = np.abs(np.array(numbers, dtype=np.float64))
    return bool(np.all(((sizes >= _LEAST) & (sizes < _MOST)) | (sizes == 0)))


@lru_cache(maxsize=64)
def _row_of(names: tuple[str, ...]) -> Any:
    """A struct with these fields; None where a name stands twice, or is none that msgspec writes."""
    if len(set(names)) < len(names):
        return None
    ours = [f"field_{place}" for place in range(len(names))]
    try:
        return msgspec.defstruct("Row", ours, rename=dict(zip(ours, names, strict=True)), gc=False)
    except ValueError:
        return None
