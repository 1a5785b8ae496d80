"""How much a reply may hold: counted in its bytes, before a parser makes objects of them that take fifty times the memory.

The count before parsing is generous, so that it refuses nothing that the exact count of rows afterwards would let pass.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from marketfetch.vendors.errors import TooManyRows
from marketfetch.vendors.http import HttpReply
from marketfetch.vendors.reply_parsing import looks_like_json

#: Objects and lists per row: a row is one, and may hold a few.
_NESTS_PER_ROW: Final = 4
#: Objects and lists around the rows, such as one for each column.
_NESTS_AROUND: Final = 2_000
#: The most values of a reply, in JSON and in CSV: a full page of the widest table that is known, twice.
MOST_VALUES: Final = 2_000_000
_PIECE_BYTES: Final = 65_536
_STRING: Final = re.compile(rb'"[^"]*+"')


def check_size(reply: HttpReply, *, most_rows: int, who: str) -> None:
    """Raises TooManyRows where the body holds far more than `most_rows` rows. Costs a few passes over the bytes."""
    body, most_nests = reply.body, most_rows * _NESTS_PER_ROW + _NESTS_AROUND
    if not looks_like_json(reply):
        _refuse(_lines(body), most_nests, "lines", most_rows, who)
        _refuse(body.count(b","), MOST_VALUES, "values", most_rows, who)
        return
    if _nests(body) <= most_nests and body.count(b",") <= MOST_VALUES:
        return
    # Some of them may stand inside texts, where they are no rows.
    nests, commas = 0, 0
    for bare in _without_texts(body.replace(b"\\\\", b"").replace(b'\\"', b"")):
        nests += _nests(bare)
        commas += bare.count(b",")
        # At once: what follows changes nothing.
        _refuse(nests, most_nests, "objects and lists", most_rows, who)
        _refuse(commas, MOST_VALUES, "values", most_rows, who)


def check_rows(rows: int, *, most_rows: int, who: str) -> None:
    """Raises TooManyRows where a reply has more than `most_rows` rows."""
    if rows > most_rows:
        raise TooManyRows(
            f"{who} sent {rows:,} rows in one reply, which can have {most_rows:,} at most: none was kept. "
            f"Ask for a shorter range"
        )


def _refuse(count: int, most: int, what: str, most_rows: int, who: str) -> None:
    if count > most:
        raise TooManyRows(
            f"{who} sent at least {count:,} {what} in one reply, more than the {most:,} that its "
            f"{most_rows:,} rows at most could have: none was kept. Ask for a shorter range"
        )


def _without_texts(body: bytes) -> Iterator[bytes]:
    """The body of a JSON without its texts, in pieces: cut into all its texts at once it would take many times its bytes."""
    begin = 0
    while begin < len(body):
        end = begin + _PIECE_BYTES
        if body.count(b'"', begin, end) % 2:
            # The piece ends inside a text: it goes on to the end of it.
            closing = body.find(b'"', end)
            end = len(body) if closing < 0 else closing + 1
        yield _STRING.sub(b"", body[begin:end])
        begin = end


def _nests(body: bytes) -> int:
    return body.count(b"{") + body.count(b"[")


def _lines(body: bytes) -> int:
    return body.count(b"\n") + body.count(b"\r")
