"""The rows of a JSON reply, which are decoded a part at a time: all of a reply's cells take ten times its bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, overload

import msgspec

from marketfetch.vendors.http import HttpReply
from marketfetch.vendors.reply_parsing import json_of


class RawRows(Sequence[object]):
    """Rows that are decoded when they are asked for. Raises Unavailable then, in the name of `who`, for what is no JSON."""

    def __init__(self, rows: Sequence[msgspec.Raw], *, who: str) -> None:
        self._rows = rows
        self._who = who

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> object: ...
    @overload
    def __getitem__(self, index: slice) -> list[object]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return json_of(HttpReply(200, {}, b"[" + b",".join(self._rows[index]) + b"]"), who=self._who)
        return json_of(HttpReply(200, {}, bytes(self._rows[index])), who=self._who)
