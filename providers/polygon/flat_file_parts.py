"""Cuts a file into parts of bounded size: unpacks it piece by piece, and keeps no more than a part.

A part begins at a place in the unpacked text, which the cursor of its page names. The first part is read only after the whole
file has been unpacked once, so that a damaged or cut file gives no rows at all.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote

from marketfetch.vendors.errors import BadRequest, Unavailable

from .errors import WHO

TICKER: Final = "ticker"
#: The text of a part: about 250,000 rows.
PART_BYTES: Final = 16 << 20
#: Of a row with a short ticker and short numbers: a `page_limit` is seldom passed, and by a few rows.
_ROW_BYTES: Final = 60
#: The most text of a file. A file of minutes has 150 MB.
MOST_TEXT: Final = 1 << 30
_LONGEST_HEADER: Final = 4_096
_PIECE: Final = 1 << 20
_PACKED_PIECE: Final = 1 << 16
_GZIP: Final = b"\x1f\x8b"
_CURSOR: Final = re.compile(r"part\?at=([0-9]{1,12})&row=([0-9]{1,12})&file=([0-9a-f]{16})(?:&last=([^&]{1,200}))?")


def part_bytes_of(page_limit: int | None) -> int:
    """The text of a part of about `page_limit` rows; None: as many as a part may have."""
    return PART_BYTES if page_limit is None else min(PART_BYTES, page_limit * _ROW_BYTES)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a part begins: the byte of the text, and the number of its first row. `file` is a digest of the file.

    `last` is the last symbol, by name, of the parts before it: flat_file_twins.py.
    """

    at: int = 0
    row: int = 0
    file: str = ""
    last: str = ""

    @property
    def cursor(self) -> str:
        return f"part?at={self.at}&row={self.row}&file={self.file}" + (
            f"&last={quote(self.last, safe='')}" if self.last else ""
        )


@dataclass(frozen=True, slots=True)
class Part:
    """Whole lines of a file, without its header, which is apart. `next` is the place behind them, None at the end."""

    header: bytes
    lines: bytes
    row: int
    next: Place | None


def place_of(cursor: str | None) -> Place:
    """The inverse of `Place.cursor`; the beginning for None. Raises BadRequest."""
    if cursor is None:
        return Place()
    if found := _CURSOR.fullmatch(cursor):
        return Place(int(found[1]), int(found[2]), found[3], unquote(found[4] or ""))
    raise BadRequest(f"{WHO}: the page of a file is named by its place, not by {cursor[:40]!r}")


def part_of(body: bytes, place: Place, *, part_bytes: int = PART_BYTES, most_text: int = MOST_TEXT) -> Part:
    """The part at `place` of a file, gzip or plain text. Raises Unavailable for a damaged file, BadRequest for another one."""
    digest = hashlib.sha256(body).hexdigest()[:16]
    if place.file not in ("", digest):
        raise BadRequest(f"{WHO} has published the file anew while its parts were read: ask for the session again")
    begin, beginning, found, total, ending = place.at, bytearray(), bytearray(), 0, b""
    for piece in _pieces(body):
        if len(beginning) < _LONGEST_HEADER:
            beginning += piece[: _LONGEST_HEADER - len(beginning)]
        if total + len(piece) > begin and len(found) <= part_bytes:
            found += piece[max(0, begin - total) :]
        total, ending = total + len(piece), piece[-1:]
        if total > most_text:
            raise Unavailable(f"{WHO}: the reply is larger than {most_text} bytes and was given up")
        if begin and len(found) > part_bytes:
            break  # the whole file was seen when its first part was read
    header = bytes(beginning).partition(b"\n")[0]
    if b"\n" not in beginning:
        raise Unavailable(f"{WHO} returned a truncated CSV: it has no whole header")
    if not begin:
        if ending != b"\n":
            # A gzip that is whole says nothing about the text that was packed: its last number may have been cut in two.
            raise Unavailable(f"{WHO} returned a truncated CSV: the last line has no line end")
        del found[: len(header) + 1]
        begin = len(header) + 1
    is_last = begin + len(found) >= total and len(found) <= part_bytes
    lines = bytes(found) if is_last else _whole_lines(found, part_bytes, _column_of_symbols(header))
    rows = lines.count(b"\n")
    return Part(header, lines, place.row, None if is_last else Place(begin + len(lines), place.row + rows, digest))


def parts_before(body: bytes, place: Place, *, part_bytes: int, most_text: int) -> Iterator[Part]:
    """The parts in front of this place; the last one may reach behind it, where the parts were of another size."""
    before: Place | None = Place()
    while before and before.row < place.row:
        part = part_of(body, before, part_bytes=part_bytes, most_text=most_text)
        yield part
        before = part.next


def names_in(header: bytes) -> list[str]:
    """The names of a file's columns."""
    return [name.strip() for name in header.decode("utf-8-sig", "replace").split(",")]


def _column_of_symbols(header: bytes) -> int:
    names = names_in(header)
    return names.index(TICKER) if TICKER in names else 0  # without one its reader refuses the file


def _whole_lines(found: bytearray, most: int, column: int) -> bytes:
    """The lines of a part that is not the last one, up to the rows of the symbol that its end may have cut in two.

    All whole lines where all are of one symbol. In a file that is not sorted by symbol the rows at the end alone are left.
    """
    end = found.rfind(b"\n", 0, most) + 1
    if not end:
        raise Unavailable(f"{WHO}: the file has a line of more than {most} bytes, so it is no CSV")
    first, symbol = end, b""
    while first:
        line = found.rfind(b"\n", 0, first - 1) + 1
        name = b"".join(bytes(found[line:first]).split(b",", column + 1)[column : column + 1])
        if first < end and name != symbol:
            break
        first, symbol = line, name
    return bytes(found[: first or end])


def _pieces(body: bytes) -> Iterator[bytes]:
    """The text, in pieces of a megabyte at most. Raises Unavailable where the gzip is damaged or ends too early."""
    if not body.startswith(_GZIP):
        text = body.removeprefix(b"\xef\xbb\xbf")
        if b"\n" not in text[:_PIECE]:
            text = text.replace(b"\r", b"\n")
        yield from (text[at : at + _PIECE] for at in range(0, len(text), _PIECE))
        return
    member = zlib.decompressobj(wbits=31)
    try:
        for at in range(0, len(body), _PACKED_PIECE):
            packed = body[at : at + _PACKED_PIECE]
            while packed:
                if member.eof:
                    if not packed.strip(b"\0"):
                        break  # gzip allows zeros behind its end: https://www.gnu.org/software/gzip/manual/gzip.html#Tapes
                    member = zlib.decompressobj(wbits=31)
                if plain := member.decompress(packed, _PIECE):
                    yield plain
                packed = member.unused_data if member.eof else member.unconsumed_tail
        while not member.eof and (plain := member.decompress(b"", _PIECE)):
            yield plain
    except zlib.error:
        raise Unavailable(f"{WHO}: the reply's compressed body is damaged") from None
    if not member.eof:
        raise Unavailable(f"{WHO}: the reply's compressed body ended in the middle")
