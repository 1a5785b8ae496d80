"""Checks that apply to every vendor's response before its content: completeness, format, Retry-After.

A truncated body is never a success. Truncated JSON does not parse; a CSV with a short last row counts as truncated, and so does
one without a final line end, unless its headers say how long it is: `transport.py` has compared that with what came. Only these
headers show a CSV that was truncated exactly at a line end.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, overload

from marketfetch.vendors.errors import RateLimited, Scope, Unavailable
from marketfetch.vendors.http import HttpReply

#: Statuses other than 5xx with which a proxy in front of a vendor reports a timeout.
_GAVE_UP: Final = (408, 425, 499)
_HTML: Final = re.compile(rb"^\s*<(!doctype|html|head|body|\?xml|!--)", re.IGNORECASE)
#: Plain texts of what stands in front of a vendor. Cloudflare (its 1xxx errors); Envoy and Istio; ingress-nginx; Varnish.
_PROXY_TEXT: Final = re.compile(
    rb"^\s*(error code: \d{3,4}\b|upstream (connect error|request timeout)|no healthy upstream|rbac: access denied|"
    rb"default backend - 404|fault filter abort|error \d{3} .*\bvarnish|request unsuccessful\. incapsula)",
    re.IGNORECASE,
)
#: What a Retry-After of never, or of the year 9999, comes to: a number that every store and every message can hold.
LONGEST_WAIT_MS: Final = 9_999 * 366 * 86_400_000
#: Characters of a header that are looked at; a date has thirty.
_LONGEST_HEADER: Final = 100
#: The query of a URL: an example URL has a key in it, if a short one.
_QUERY: Final = re.compile(r"(https?://[^\s?]{1,500})\?[^\s)\"'>]*", re.IGNORECASE)
#: Characters that might be a key: a long run without a space.
_KEY_LIKE: Final = re.compile(r"[A-Za-z0-9_\-]{12,}")


def check_whole(reply: HttpReply, *, who: str) -> None:
    """Raises Unavailable for 5xx and `_GAVE_UP`, HTML pages, a proxy's text and empty bodies, whatever their content type."""
    status = reply.status
    if status >= 500 or status in _GAVE_UP:
        raise Unavailable(
            f"{who} responded with status {status}: retry later",
            status=status,
            retry_after_ms=retry_after_ms(reply.headers),
        )
    if status == 410 or status == 429:
        return  # The status alone is the error; vendors send any body with it, or none.
    if looks_like_html(reply):
        raise Unavailable(
            f"{who} returned an HTML page (status {status}) instead of data: a proxy or firewall may have sent it, so it "
            f"proves nothing about the key or the symbol",
            status=status,
        )
    if _PROXY_TEXT.match(reply.body[:500]):
        raise Unavailable(
            f"{who} returned the error text of a CDN or proxy (status {status}): {quoted(reply.body[:200].decode('latin-1'))}. "
            f"It proves nothing about the key or the symbol",
            status=status,
        )
    if not reply.body.strip():
        empty = Unavailable(f"{who} returned an empty body (status {status})", status=status)
        empty.unknown = "refusal" if status in (401, 403) else ""
        raise empty


def as_utf8(reply: HttpReply) -> HttpReply:
    """The reply without a byte order mark, and as UTF-8: names that are no UTF-8 are in latin-1, as old databases send them."""
    body = reply.body
    if body.isascii():
        return reply
    body = body.removeprefix(codecs.BOM_UTF8)
    try:
        body.decode()
    except UnicodeDecodeError:
        body = body.decode("latin-1").encode()
    headers = reply.headers
    if headers.get("content-length", "").strip() == str(len(reply.body)):
        headers = {**headers, "content-length": str(len(body))}
    return replace(reply, body=body, headers=headers)


def looks_like_html(reply: HttpReply) -> bool:
    labelled = reply.content_type in ("text/html", "application/xhtml+xml") and not looks_like_json(reply)
    return labelled or bool(_HTML.match(reply.body[:200]))


def looks_like_json(reply: HttpReply) -> bool:
    """Checks the first byte: vendors label JSON errors as CSV, and CSV as a download."""
    return reply.body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"[")


def parse_object(reply: HttpReply, *, who: str) -> dict[str, object]:
    """Decodes the body as a JSON object. Raises Unavailable if it is truncated, not JSON, or not an object."""
    value = json_of(reply, who=who)
    if not isinstance(value, dict):
        raise not_json(reply, who=who)
    return value


def json_of(reply: HttpReply, *, who: str) -> object:
    """Decodes the body as JSON. Raises Unavailable. msgspec takes half the time of `json`, which takes some that it refuses."""
    import msgspec  # here: a process that only plans reads no reply

    try:
        return msgspec.json.decode(reply.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass
    try:
        return json.loads(reply.body)
    except (ValueError, RecursionError):
        raise not_json(reply, who=who) from None


def not_json(reply: HttpReply, *, who: str) -> Unavailable:
    return Unavailable(
        f"{who} returned {len(reply.body)} bytes that are truncated or not the expected JSON (status {reply.status})",
        status=reply.status,
    )


class CsvRows(Sequence[list[str]]):
    """The rows of a CSV without quotes, each cut into its fields when it is asked for: all fields take ten times the text."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines

    def __len__(self) -> int:
        return len(self._lines)

    def after_the_header(self) -> CsvRows:
        return CsvRows(self._lines[1:])

    @overload
    def __getitem__(self, index: int) -> list[str]: ...
    @overload
    def __getitem__(self, index: slice) -> list[list[str]]: ...
    def __getitem__(self, index: int | slice) -> list[str] | list[list[str]]:
        if isinstance(index, slice):
            return [line.split(",") for line in self._lines[index]]
        return self._lines[index].split(",")


def parse_csv(reply: HttpReply, *, who: str) -> tuple[list[str], Sequence[list[str]]]:
    """Returns header and rows. Raises Unavailable if the text is truncated. The caller rejects a short row in the middle."""

    def cut(why: str) -> Unavailable:
        return Unavailable(f"{who} returned a truncated CSV: {why}", status=reply.status)

    if not reply.body.endswith((b"\n", b"\r")) and not _framed(reply):
        raise cut("the last line has no line end")
    try:
        text = reply.body.decode("utf-8-sig")
        rows: Sequence[list[str]] = _plain_rows(text) or [
            line for line in csv.reader(io.StringIO(text, newline=""), strict=True) if line
        ]
    except (UnicodeDecodeError, csv.Error):
        raise cut("it is not valid text") from None
    if not rows:
        raise cut("it has no header")
    header = [name.strip() for name in rows[0]]
    if len(rows[-1]) != len(rows[0]):
        raise cut("the last row is short")
    return header, rows.after_the_header() if isinstance(rows, CsvRows) else rows[1:]


def _plain_rows(text: str) -> CsvRows | None:
    """What csv's reader makes of a text in half of its time; None where a field may be quoted, or be too long for it."""
    if '"' in text or "\x00" in text:
        return None
    # Not by `splitlines`, which cuts at characters that end no line of a CSV.
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return CsvRows([line for line in lines if line]) if max(map(len, lines)) <= csv.field_size_limit() else None


def _framed(reply: HttpReply) -> bool:
    """True where HTTP itself says where the body ends: it is whole, as the transport refuses one that is shorter."""
    if "chunked" in reply.headers.get("transfer-encoding", "").lower():
        return True
    promised = reply.headers.get("content-length", "").strip()
    if not re.fullmatch(r"[0-9]{1,12}", promised):
        return False
    # The length of a compressed body is not the one of its text, and its own checksum shows a cut.
    return bool(reply.headers.get("content-encoding")) or int(promised) == len(reply.body)


def retry_after_ms(headers: Mapping[str, str]) -> int | None:
    """Returns Retry-After in ms, at most `LONGEST_WAIT_MS`, from seconds or from an HTTP date minus the response's Date.

    None if absent or not ahead. Zero counts as absent, because it would cause a tight loop of retries. Where a response has no
    Date, `reading.read` puts the caller's clock in its place. https://www.rfc-editor.org/rfc/rfc9110#field.retry-after
    """
    text = headers.get("retry-after", "").strip()
    if seconds := re.fullmatch(r"([0-9]+)(\.[0-9]{1,6})?", text[:_LONGEST_HEADER]):
        # Longer numbers are none that Python reads, and all mean "never".
        return bounded_wait_ms(float(text) * 1000) if len(seconds[1]) < 16 else LONGEST_WAIT_MS
    then, now = http_date(text), http_date(headers.get("date", ""))
    return bounded_wait_ms((then - now).total_seconds() * 1000) if then and now else None


def bounded_wait_ms(wait_ms: object) -> int | None:
    """A wait of whole milliseconds, from 1 to `LONGEST_WAIT_MS`; None for one that is not ahead, and for what is no number."""
    if isinstance(wait_ms, bool) or not isinstance(wait_ms, int | float) or wait_ms != wait_ms:
        return None
    return round(min(wait_ms, LONGEST_WAIT_MS)) or None if wait_ms > 0 else None


def http_date(text: str) -> datetime | None:
    """A date as HTTP headers have it, with its zone; None for anything else."""
    try:
        found = parsedate_to_datetime(text[:_LONGEST_HEADER])
        # RFC dates may come without a zone ("-0000"); HTTP says that they are UTC.
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def calls_counted(headers: Mapping[str, str]) -> tuple[int, int] | None:
    """Returns the vendor's limit and the number of calls that count against it; None if the headers have neither.

    Some vendors send both headers with every response (x-ratelimit-limit: 50000, x-ratelimit-remaining: 49994).
    """
    limit, remaining = headers.get("x-ratelimit-limit", ""), headers.get("x-ratelimit-remaining", "")
    if not (re.fullmatch(r"[0-9]{1,9}", limit) and re.fullmatch(r"[0-9]{1,9}", remaining)):
        return None
    return int(limit), max(0, int(limit) - int(remaining))


def rate_limited(reply: HttpReply, message: str, *, scope: Scope, else_ms: int | None = None) -> RateLimited:
    """Returns RateLimited with the vendor's Retry-After, or `else_ms` if it sent none."""
    said_ms = retry_after_ms(reply.headers)
    return RateLimited(message, scope=scope, retry_after_ms=said_ms if said_ms is not None else else_ms, status=reply.status)


def quoted(text: object) -> str:
    """Returns a vendor's message in a safe form: one line, at most 200 characters, without anything that might be a key."""
    line = _QUERY.sub(r"\1?…", " ".join(str(text)[:2_000].split()))
    if len(line) > 200:
        # Cut between words: a key that is cut in two is not found any more.
        line = f"{line[:200].rpartition(' ')[0]} ..."
    return _KEY_LIKE.sub(lambda run: run[0] if run[0].isalpha() and run[0][1:].islower() and len(run[0]) < 16 else "[…]", line)
