"""How a vendor misbehaves on the wire: a stage of a reply, and what goes wrong there.

Each stage (status line, headers, interim replies, chunk sizes, body, trailer, the body of a redirect or of an error) goes with
each way: it stands still, drips a byte at a time, goes on for ever, unpacks to far more, is more or less than was said.
"""

from __future__ import annotations

import asyncio
import gzip
import itertools
from functools import lru_cache
from typing import Final

from tornado.iostream import IOStream
from tornado.web import RequestHandler

#: The stages of a reply on an open connection.
STAGES: Final = (
    *("status line", "header", "interim", "chunk size", "body", "trailer", "redirect body"),
    *("400 body", "401 body", "429 body", "500 body"),
)
WAYS: Final = ("stands still", "drips", "endless", "gzip bomb", "more than said", "less than said")
#: A line has no length that was said, and is not compressed.
_LINES: Final = ("status line", "header", "interim")
CASES: Final = tuple(
    (stage, way)
    for stage in STAGES
    for way in WAYS
    if not (stage in _LINES and way in ("gzip bomb", "more than said"))
    and not (stage in ("chunk size", "trailer") and way == "gzip bomb")
)
DRIP_SECONDS: Final = 0.05
LONGEST_SECONDS: Final = 60.0

_OK: Final = b"HTTP/1.1 200 OK\r\n"
_CHUNKED: Final = _OK + b"Transfer-Encoding: chunked\r\n\r\n"
_BODY: Final = b'{"status":"OK"}'


def beginning(stage: str, way: str) -> tuple[bytes, bytes]:
    """The bytes that are sent properly, and the bytes of which the wrong part is made."""
    if stage == "status line":
        return b"", b"HTTP/1.1 200 O" if way == "less than said" else b"H" * 64
    if stage == "header":
        return _OK, b"X-A: b\r\n" if way == "endless" else b"X-A: bbbbbbbb"
    if stage == "interim":
        return b"", b"HTTP/1.1 100 Continue\r\n\r\n"
    if stage == "chunk size":
        return _CHUNKED, {"more than said": b"4\r\nabcdefghij\r\n0\r\n\r\n", "less than said": b"f\r\nabc"}.get(way, b"0" * 64)
    if stage == "trailer":
        return _CHUNKED + b"f\r\n" + _BODY + b"\r\n0\r\n", b"X-A: b\r\n"
    status = {"body": "200 OK", "redirect body": "302 Found"}.get(stage) or f"{stage[:3]} Sorry"
    head = f"HTTP/1.1 {status}\r\nLocation: /elsewhere\r\n".encode()
    if way == "gzip bomb":
        return head + f"Content-Encoding: gzip\r\nContent-Length: {len(_bomb())}\r\n\r\n".encode(), _bomb()
    if way == "endless":
        return head + b"\r\n", b"a" * 65_536
    said = {"more than said": 5, "less than said": 500}.get(way, 1_000)
    return head + f"Content-Length: {said}\r\n\r\n".encode(), _BODY


@lru_cache(maxsize=1)
def _bomb() -> bytes:
    """200 kB that unpack to 200 MB."""
    return gzip.compress(bytes(200_000_000), compresslevel=1)


async def misbehave(handler: RequestHandler, stage: str, way: str) -> None:
    """Sends the beginning, then the wrong part, until the client leaves or a minute is over; then closes."""
    stream: IOStream = handler.detach()
    # The end of the client is noticed at once, and only by reading: a call counts as open until then.
    left = asyncio.ensure_future(stream.read_until_close())
    wrong = asyncio.ensure_future(_send(stream, stage, way))
    try:
        await asyncio.wait({left, wrong}, timeout=LONGEST_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stream.close()
        for task in (left, wrong):
            task.cancel()
        await asyncio.gather(left, wrong, return_exceptions=True)


async def _send(stream: IOStream, stage: str, way: str) -> None:
    # The first bomb takes a second.
    proper, wrong = await asyncio.to_thread(beginning, stage, way)
    await stream.write(proper)
    drops = itertools.cycle(wrong)
    while way == "drips":
        await stream.write(bytes([next(drops)]))
        await asyncio.sleep(DRIP_SECONDS)
    while way == "endless":
        await stream.write(wrong)
        await asyncio.sleep(0)  # a write that needs no wait lets nothing else run, and other calls would arrive late
    await stream.write(wrong[:3] if way == "stands still" else wrong)
    if way != "less than said":
        await asyncio.sleep(LONGEST_SECONDS)
