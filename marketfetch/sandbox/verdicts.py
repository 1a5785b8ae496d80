"""Replies that blame a good key, and replies that only seem to: a false verdict, a CDN's block, unknown words, a greeting."""

from __future__ import annotations

import json
from typing import Any, Final

from marketfetch.sandbox import alpha_vantage_wire, nasdaq_wire, polygon_wire
from marketfetch.sandbox.reply import Reply, json_reply

#: The vendor's own words that reject the key; a CDN's plain 403; a 403 and a sentence in words that no client knows; a sentence
#: that quotes an example URL with a key; a greeting beside good data; a web server's plain 404.
WAYS: Final = ("rejected key", "cdn 403", "unknown 403", "unknown sentence", "example url", "greeting", "plain 404")

_UNKNOWN: Final = "The winds are contrary today, and we can not say more."
_EXAMPLE: Final = (
    "The time series encountered an internal or external error - we apologize for the inconvenience. For the latest quote "
    "please refer to our DAILY function (e.g., https://vendor.test/query?function=TIME_SERIES_DAILY&symbol=ZZZ&apikey=demo)."
)
_GREETING: Final = "Welcome! Your dedicated access key is active. We hope that you enjoy our data."


def verdict(vendor: str, way: str, reply: Reply) -> Reply:
    """The reply as `way` has it. A greeting keeps the data."""
    if way == "cdn 403":
        return Reply(403, b"error code: 1020", "text/plain; charset=UTF-8", symbol=reply.symbol)
    if way == "plain 404":
        return Reply(404, b"404 page not found\n", "text/plain; charset=utf-8", symbol=reply.symbol)
    if way == "unknown 403":
        return json_reply({"detail": _UNKNOWN}, status=403, symbol=reply.symbol)
    if way == "greeting":
        document: dict[str, Any] = json.loads(reply.body)
        document["Note" if vendor == "alpha_vantage" else "message"] = _GREETING
        return Reply(200, json.dumps(document).encode(), reply.content_type, reply.headers, reply.symbol, reply.gzip)
    if way == "rejected key":
        return _REJECTED[vendor]()
    return _said(vendor, _EXAMPLE if way == "example url" else _UNKNOWN, reply)


def _said(vendor: str, sentence: str, reply: Reply) -> Reply:
    """A sentence in the place of data, with status 200."""
    if vendor == "alpha_vantage":
        return json_reply({"Error Message": sentence}, symbol=reply.symbol)
    if vendor == "polygon":
        document = {"status": "ERROR", "request_id": polygon_wire.request_id(), "error": sentence}
        return polygon_wire.polygon_reply(document, symbol=reply.symbol)
    return json_reply({"quandl_error": {"code": "QEZx99", "message": sentence}}, symbol=reply.symbol)


_REJECTED: Final = {
    "alpha_vantage": lambda: alpha_vantage_wire.note("Error Message", alpha_vantage_wire.NO_KEY),
    "polygon": lambda: polygon_wire.error(401, "Unknown API Key"),
    "nasdaq": lambda: nasdaq_wire.error("QEAx01"),
}
