"""Replies that are whole on the wire and hostile in what they say: floods of rows, nests, texts for a terminal, odd headers."""

from __future__ import annotations

import json
from typing import Any, Final

from marketfetch.sandbox import nasdaq_wire, polygon_wire
from marketfetch.sandbox.damage import nasdaq_table
from marketfetch.sandbox.reply import Reply, json_reply

_ROWS: Final = 2_000_000
_DEPTH: Final = 100_000
_STRING: Final = 20_000_000
#: Escapes of a terminal, markup of a log, a change of direction, half a character, a NUL.
_TEXT: Final = "\x1b]0;owned\x07\x1b[31m[red]\u202e\r\n\ud800\x00"
#: What stands in the place of the rows.
_ROWS_OF: Final = {
    "empty rows": lambda: "[" + "{}," * (_ROWS - 1) + "{}]",
    "wrong types": lambda: "[" + "[true]," * (_ROWS - 1) + "[true]]",
    "deep nesting": lambda: "[" * _DEPTH + "]" * _DEPTH,
    "huge string": lambda: f'["{"x" * _STRING}"]',
}
#: Headers beside an error. The connection itself is needed for an odd Content-Length (marketfetch/sandbox/broken.py).
_HEADERS: Final = {
    "endless wait": (503, ("Retry-After", "Fri, 31 Dec 9999 23:59:59 GMT")),
    "odd location": (302, ("Location", "http://[::1")),
}
LENGTHS: Final = {"odd length": "²", "long length": "9" * 5_000}
WAYS: Final = (*_ROWS_OF, "control characters", *_HEADERS, *LENGTHS)


def odd(vendor: str, way: str, reply: Reply) -> Reply:
    """The reply as `way` has it. A reply without rows gets them in the place where its vendor has them."""
    if way in _HEADERS:
        status, header = _HEADERS[way]
        return Reply(status, b"", headers=(header,), symbol=reply.symbol)
    if way == "control characters":
        return _ERRORS[vendor](_TEXT)
    return Reply(200, _with_rows(vendor, reply, _ROWS_OF[way]()), symbol=reply.symbol)


_ERRORS: Final = {
    "alpha_vantage": lambda text: json_reply({"Error Message": text}),
    "polygon": lambda text: polygon_wire.error(400, text),
    "nasdaq": lambda text: nasdaq_wire.error("QESx04", name=text),
}


def _with_rows(vendor: str, reply: Reply, rows: str) -> bytes:
    """The rows as text: two million of them as Python objects would cost the sandbox what they are to cost a client."""
    document: dict[str, Any] = json.loads(reply.body) if reply.content_type.startswith("application/json") else {}
    hole = "rows go here"
    if vendor == "alpha_vantage":
        key = next((name for name in document if name.startswith(("Time Series", "Weekly", "Monthly"))), "Time Series (Daily)")
        # A series is an object: all that is hostile stands under its newest date.
        rows = json.dumps({next(iter(document.get(key, {})), "2024-01-02"): hole}).replace(json.dumps(hole), rows)
        document[key] = hole
    elif vendor == "polygon":
        document["results"] = hole
    else:
        table, _ = nasdaq_table(document)
        if table is None:
            table = {"columns": [{"name": "date", "type": "Date"}]}
            document = {"datatable": table, "meta": {"next_cursor_id": None}}
        table["data"] = hole
    return json.dumps(document).replace(json.dumps(hole), rows).encode()
