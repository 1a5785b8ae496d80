"""What vendors' error bodies have in common, and the words that a vendor's reader does not know.

A vendor's reader first looks for the words that it knows; what is left is handed to `check_address`, `unknown_refusal` or
`unknown_sentence`. Only words that are known as the vendor's own may become BadCredentials: docs/decisions/0020.
"""

from __future__ import annotations

import json
import re
from typing import Final

from marketfetch.vendors.errors import BadRequest, Unavailable
from marketfetch.vendors.http import HttpReply
from marketfetch.vendors.reply_parsing import looks_like_html, looks_like_json, quoted

#: More than any error text has.
_LONGEST_TEXT: Final = 65_536
_URL: Final = re.compile(r"\b(?:https?://|www\.)[^\s\"'<>]*", re.IGNORECASE)


def body_text(reply: HttpReply) -> str:
    """The beginning of the body as text, for a sentence that quotes it."""
    return reply.body[:_LONGEST_TEXT].decode(errors="replace")


def error_object(reply: HttpReply) -> dict[str, object] | None:
    """The JSON object of an error body; None for anything else."""
    if not looks_like_json(reply):
        return None
    try:
        found = json.loads(reply.body)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def without_urls(sentence: str) -> str:
    """A sentence without its URLs, to look for words in: an example URL with `apikey=demo` says nothing about the key."""
    return _URL.sub(" ", sentence[:4_000])


def check_address(reply: HttpReply, *, who: str, symbol: str) -> None:
    """Raises BadRequest for a 404 in plain text: a server that knows no such address sends it, and a retry can't help.

    Call it after `check_whole`, which refuses HTML pages and the texts of proxies, and after the vendor's own formats.
    """
    if reply.status != 404 or looks_like_json(reply) or looks_like_html(reply):
        return
    raise BadRequest(
        f"{who}: the address is unknown (status 404) for {symbol}: {quoted(body_text(reply))}. Check base_url and the dataset",
        status=404,
    )


def unknown_refusal(reply: HttpReply, *, who: str, symbol: str, said: str = "") -> Unavailable:
    """The error for a 401 or 403 whose words are not known. `said` is the reason in the body, the body itself if empty."""
    error = Unavailable(
        f"{who} refused the call for {symbol} (status {reply.status}) in words that are not known: "
        f'"{quoted(said or body_text(reply))}"',
        status=reply.status,
    )
    error.unknown = "refusal"
    return error


def unknown_sentence(reply: HttpReply, *, who: str, symbol: str, said: str) -> Unavailable:
    """The error for a sentence in place of data that is not known: it may be temporary."""
    error = Unavailable(f'{who} sent a sentence we do not know for {symbol}: "{quoted(said)}"', status=reply.status)
    error.unknown = "sentence"
    return error
