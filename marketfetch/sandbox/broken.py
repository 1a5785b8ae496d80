"""The replies of a failing vendor, and connections that break."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any, Final

from tornado.iostream import StreamClosedError
from tornado.web import RequestHandler

from marketfetch.sandbox import alpha_vantage_wire, nasdaq_wire, polygon_wire
from marketfetch.sandbox.echoes import echo
from marketfetch.sandbox.faults import Fault
from marketfetch.sandbox.misbehaviour import misbehave
from marketfetch.sandbox.odd_replies import LENGTHS, odd
from marketfetch.sandbox.page_faults import mislead
from marketfetch.sandbox.reply import Reply, json_reply
from marketfetch.sandbox.service import Call
from marketfetch.sandbox.verdicts import verdict

HANG_SECONDS: Final = 60.0
_HTML: Final = b"""<!DOCTYPE html>
<html><head><title>Just a moment...</title></head>
<body><h1>Checking your browser</h1><p>Please enable JavaScript and cookies to continue.</p></body></html>
"""


def _retry_after(fault: Fault) -> tuple[tuple[str, str], ...]:
    return () if fault.retry_after is None else (("Retry-After", f"{fault.retry_after:g}"),)


def _error_500(_call: Call, _fault: Fault, reply: Reply) -> Reply:
    return Reply(500, b"<html><body><h1>500 Internal Server Error</h1></body></html>", "text/html", symbol=reply.symbol)


def _error_503(_call: Call, fault: Fault, reply: Reply) -> Reply:
    body = b"<html><body><h1>503 Service Temporarily Unavailable</h1></body></html>"
    return Reply(503, body, "text/html", _retry_after(fault), reply.symbol)


def _too_many(call: Call, fault: Fault, reply: Reply) -> Reply:
    if call.vendor == "alpha_vantage":
        refused = alpha_vantage_wire.note("Note", alpha_vantage_wire.MINUTE.format(count=5))
    elif call.vendor == "polygon":
        refused = polygon_wire.error(429, polygon_wire.TOO_MANY)
    else:
        refused = nasdaq_wire.error("QELx04", limit="2000 calls per 10 minutes")
    return Reply(refused.status, refused.body, refused.content_type, (*refused.headers, *_retry_after(fault)), reply.symbol)


def _html(_call: Call, _fault: Fault, reply: Reply) -> Reply:
    return Reply(200, _HTML, "text/html; charset=utf-8", symbol=reply.symbol)


def _cut_json(_call: Call, _fault: Fault, reply: Reply) -> Reply:
    """Two thirds of the body with a matching Content-Length: complete for HTTP, broken for the JSON parser."""
    return Reply(200, reply.body[: len(reply.body) * 2 // 3], reply.content_type, reply.headers, reply.symbol)


def _results_null(call: Call, _fault: Fault, reply: Reply) -> Reply:
    """Polygon under load: https://github.com/polygon-io/issues/issues/2. Other vendors return an empty object."""
    if call.vendor != "polygon":
        return json_reply({}, symbol=reply.symbol)
    document: dict[str, Any] = json.loads(reply.body)
    document |= {"results": None, "resultsCount": 0, "queryCount": 0, "count": 0}
    document.pop("next_url", None)
    return polygon_wire.polygon_reply(document, symbol=reply.symbol)


#: Faults that are whole replies.
REPLIES: Final[dict[str, Callable[[Call, Fault, Reply], Reply]]] = {
    "500": _error_500,
    "503": _error_503,
    "429": _too_many,
    "html": _html,
    "cut_json": _cut_json,
    "results_null": _results_null,
    "pages": mislead,
    "echo_key": lambda call, fault, reply: echo(call.vendor, call.key, fault.stage or "", reply),
    "odd": lambda call, fault, reply: odd(call.vendor, fault.way or "", reply),
    "verdict": lambda call, fault, reply: verdict(call.vendor, fault.way or "", reply),
}


async def _hang(handler: RequestHandler, _fault: Fault, _reply: Reply) -> None:
    """Says nothing until the client leaves, or a minute is over; then closes."""
    stream = handler.detach()
    try:
        # A stream detects its end only while it is read.
        async with asyncio.timeout(HANG_SECONDS):
            while True:
                await stream.read_bytes(1024, partial=True)
    except (TimeoutError, StreamClosedError):
        stream.close()


async def _reset(handler: RequestHandler, _fault: Fault, _reply: Reply) -> None:
    """Closes with RST and not FIN."""
    stream = handler.detach()
    stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.close()


async def _truncate(handler: RequestHandler, _fault: Fault, reply: Reply) -> None:
    """Promises the whole body by Content-Length, sends half of it, closes."""
    stream = handler.detach()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {reply.content_type}\r\nContent-Length: {len(reply.body)}\r\n\r\n"
    try:
        await stream.write(head.encode() + reply.body[: len(reply.body) // 2])
    finally:
        stream.close()


async def _misbehave(handler: RequestHandler, fault: Fault, _reply: Reply) -> None:
    await misbehave(handler, fault.stage or "", fault.way or "")


async def _length(handler: RequestHandler, fault: Fault, reply: Reply) -> None:
    """Promises a length that is no number, or none that a computer counts to."""
    stream = handler.detach()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {reply.content_type}\r\nContent-Length: {LENGTHS[fault.way or '']}\r\n\r\n"
    try:
        await stream.write(head.encode("latin-1") + reply.body)
    finally:
        stream.close()


def on_connection(fault: Fault) -> Callable[[RequestHandler, Fault, Reply], Awaitable[None]] | None:
    """The fault that needs the bare connection, None for one that is a reply."""
    return _length if fault.kind == "odd" and fault.way in LENGTHS else CONNECTIONS.get(fault.kind)


#: Faults that need the bare connection.
CONNECTIONS: Final[dict[str, Callable[[RequestHandler, Fault, Reply], Awaitable[None]]]] = {
    "hang": _hang,
    "reset": _reset,
    "truncate": _truncate,
    "misbehave": _misbehave,
}
