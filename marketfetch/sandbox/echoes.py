"""A vendor that repeats the caller's key, in every spelling, in any place of a reply where text can stand."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote, quote_plus

from marketfetch.sandbox import polygon_wire
from marketfetch.sandbox.damage import nasdaq_table
from marketfetch.sandbox.reply import Reply, json_reply

#: Where the key is repeated: in an error's message, in a refusal, in a redirect's path, in the name of the next page (where
#: there is one), in a value that fails its check.
PLACES: Final = ("message", "refusal", "redirect", "next page", "value")


def spellings(key: str) -> tuple[str, ...]:
    """The key as libraries and vendors have spelled keys."""
    packed = base64.b64encode(key.encode()).decode()
    percent = quote(key, safe="")
    return (
        *(key, quote(key), percent, _lower_case(percent), quote_plus(key), quote(percent, safe="")),
        *(json.dumps(key)[1:-1], "".join(f"\\u{ord(one):04x}" for one in key), html.escape(key)),
        *("".join(f"&#{ord(one)};" for one in key), packed, quote(packed, safe="")),
        *(base64.urlsafe_b64encode(f"{user}:{key}".encode()).decode() for user in ("user", "a", "me")),
    )


def echo(vendor: str, key: str, place: str, reply: Reply) -> Reply:
    """The reply with the caller's key in this place, or an error or a redirect in its stead."""
    said = " ".join(spellings(key))
    if place == "redirect":
        target = f"http://user:{quote(key, safe='')}@elsewhere.test/{'/'.join(spellings(key))}?apikey={quote_plus(key)}"
        return Reply(302, b"", headers=(("Location", target),), symbol=reply.symbol)
    if place == "refusal":
        return _REFUSALS[vendor](f"Too many requests, maximum requests per minute is 5, {said}", reply)
    if place == "message":
        return _MESSAGES[vendor](f"Something is wrong with {said}", reply)
    document: dict[str, Any] = json.loads(reply.body)
    if place == "value":
        _spoil_a_value(vendor, document, said)
    elif vendor == "polygon" and document.get("next_url"):
        added = (f"{name}={one}" for name, one in zip(_PARAMETERS, map(quote_plus, spellings(key)), strict=False))
        document["next_url"] += f"&{'&'.join(added)}"
    elif vendor == "nasdaq" and document.get("meta", {}).get("next_cursor_id"):
        document["meta"]["next_cursor_id"] += f"_{key}"
    return json_reply(document, symbol=reply.symbol)


_PARAMETERS: Final = ("access_token", "auth", "api-key", "apiKey", "token", "key", "signature", "x", "y")


def _lower_case(percent: str) -> str:
    """The same with lower-case digits behind each percent sign."""
    first, *rest = percent.split("%")
    return "%".join((first, *(one[:2].lower() + one[2:] for one in rest)))


def _again_soon(reply: Reply, refused: Reply) -> Reply:
    headers = (*(one for one in refused.headers if one[0] != "Retry-After"), ("Retry-After", "1"))
    return Reply(refused.status, refused.body, refused.content_type, headers, reply.symbol)


def _nasdaq(code: str, message: str, status: int) -> Reply:
    return json_reply({"quandl_error": {"code": code, "message": message}}, status=status)


_REFUSALS: Final[dict[str, Callable[[str, Reply], Reply]]] = {
    "alpha_vantage": lambda said, reply: _again_soon(reply, json_reply({"Note": said})),
    "polygon": lambda said, reply: _again_soon(reply, polygon_wire.error(429, said)),
    "nasdaq": lambda said, reply: _again_soon(reply, _nasdaq("QELx04", said, 429)),
}
_MESSAGES: Final[dict[str, Callable[[str, Reply], Reply]]] = {
    "alpha_vantage": lambda said, reply: json_reply({"Error Message": said}, symbol=reply.symbol),
    "polygon": lambda said, _reply: polygon_wire.error(400, said),
    "nasdaq": lambda said, _reply: _nasdaq("QESx04", said, 422),
}


def _spoil_a_value(vendor: str, document: dict[str, Any], said: str) -> None:
    """The first row's closing price is text."""
    if vendor == "polygon" and document.get("results"):
        document["results"][0]["c"] = said
    elif vendor == "alpha_vantage":
        all_series = [rows for name, rows in document.items() if name.startswith(("Time Series", "Weekly", "Monthly"))]
        for row in [row for series in all_series for row in series.values()][:1]:
            row["4. close"] = said
    elif vendor == "nasdaq":
        table, names = nasdaq_table(document)
        if table and table["data"]:
            at = next(i for i, name in enumerate(names) if name.lower() in ("close", "adj_close", "value"))
            table["data"][0][at] = said
