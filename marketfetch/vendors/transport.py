"""The only place that talks to a vendor: one `requests.Session` per process, vendor and host; the key goes in here only.

urllib3's own retries are off (it would sleep on Retry-After by itself), redirects are never followed (they could carry a
key to another host), and no exception of ours holds one of `requests`' as cause or context, because those hold URLs.
"""

from __future__ import annotations

import http.client
import logging
import os
import threading
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import Final
from urllib.parse import quote, quote_plus, urlencode, urlsplit

import requests
import urllib3.exceptions
from pydantic import SecretStr

from marketfetch.vendors.errors import BadRequest, FetchError, Unavailable
from marketfetch.vendors.http import HttpReply, HttpRequest
from marketfetch.vendors.wire import WatchedAdapter, wire

#: What stands in a URL where the key was.
REDACTED: Final = "[key]"
_CHUNK_BYTES: Final = 65_536
_POOL_SIZE: Final = 8


def _without_query(record: logging.LogRecord) -> bool:
    """urllib3 logs the path and query of every call at DEBUG, and of odd headers at WARNING: with a key in the query."""
    return "?" not in record.getMessage()


for _name in ("urllib3.connectionpool", "urllib3.connection", "urllib3.util.retry"):
    logging.getLogger(_name).addFilter(_without_query)

_sessions: dict[tuple[int, str, str], requests.Session] = {}
_sessions_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds. `total_s` bounds the whole call, looked at before every chunk; `max_bytes` bounds the decoded body."""

    connect_s: float = 5.0
    read_s: float = 5.0
    total_s: float = 20.0
    max_bytes: int = 64 * 1024 * 1024


def send(
    http_request: HttpRequest,
    *,
    base_url: str,
    provider: str,
    key_label: str,
    key: SecretStr,
    timeouts: Timeouts | None = None,
    send_by: float | None = None,
) -> HttpReply:
    """Makes one GET and returns the whole decoded reply, whatever its status.

    `send_by` is on this machine's `wire.steady_s()`; past it SendTooLate is raised and nothing goes out. Raises Unavailable
    for whatever happens on the way (refused, reset, too slow, cut, too large, redirected), BadRequest for a redirect that
    asks for another URL for good. Costs one call of `key_label`'s quota unless SendTooLate is raised.
    """
    limits = timeouts or Timeouts()
    secret = key.get_secret_value()
    url, headers = _with_key(http_request, base_url=base_url, secret=secret)
    session = _session(provider, base_url)
    who = f"{provider} (key {key_label})"
    failure: FetchError
    began = time.monotonic()
    wire.expect(send_by)
    try:
        with session.get(
            url,
            headers=headers,
            timeout=(limits.connect_s, limits.read_s),
            stream=True,
            allow_redirects=False,
        ) as response:
            if 300 <= response.status_code < 400:
                failure = _redirected(response, who=who, secret=secret)
            else:
                body = b"".join(_chunks(response, who=who, deadline=began + limits.total_s, limits=limits))
                return HttpReply(
                    status=response.status_code,
                    headers={name.lower(): value for name, value in response.headers.items()},
                    body=body,
                    sent_ns=wire.sent_ns,
                )
    except FetchError as error:
        failure = error
    except (requests.RequestException, urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, zlib.error) as error:
        counted = "the call may have been counted by the vendor" if wire.sent_ns else "the vendor has not seen the call"
        failure = Unavailable(f"{who}: {_what_happened(error, limits)}; {counted}", sent=bool(wire.sent_ns))
    # Raised outside the except blocks: inside them `__context__` would still hold the exception with the URL.
    raise failure


def redacted_url(http_request: HttpRequest, base_url: str) -> str:
    """The URL of a call with `[key]` where the key goes, for logs."""
    params = [f"{quote_plus(name)}={quote_plus(value)}" for name, value in http_request.params]
    if http_request.key.where == "query":
        params.append(f"{quote_plus(http_request.key.name)}={REDACTED}")
    url = base_url.rstrip("/") + http_request.path
    return f"{url}{'&' if '?' in http_request.path else '?'}{'&'.join(params)}" if params else url


def redact(text: str, secret: str) -> str:
    """`text` without `secret`, in its plain and its percent-encoded spellings."""
    for spelling in _spellings(secret):
        text = text.replace(spelling, REDACTED)
    return text


def redact_body(body: bytes, secret: str) -> bytes:
    """A reply without the key that it may quote, for those who keep it."""
    for spelling in _spellings(secret):
        body = body.replace(spelling.encode(), REDACTED.encode())
    return body


def _spellings(secret: str) -> list[str]:
    """A secret plain and percent-encoded, the longest first."""
    return sorted({secret, quote(secret, safe=""), quote_plus(secret), quote(secret)} - {""}, key=len, reverse=True)


def close_sessions() -> None:
    """Closes this process's sessions. The next `send` opens new ones."""
    with _sessions_lock:
        mine = [name for name in _sessions if name[0] == os.getpid()]
        closing = [_sessions.pop(name) for name in mine]
    for session in closing:
        session.close()


def _session(provider: str, base_url: str) -> requests.Session:
    """A session made by this process: sockets that a fork inherited belong to the parent's conversations."""
    name = (os.getpid(), provider, urlsplit(base_url).netloc)
    with _sessions_lock:
        session = _sessions.get(name)
        if session is None:
            session = requests.Session()
            # Proxies and .netrc of the environment would send the call, or another key, somewhere else.
            session.trust_env = False
            session.headers.update({"User-Agent": "marketfetch", "Accept-Encoding": "gzip"})
            # Which worker asked before must not change an answer.
            session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
            adapter = WatchedAdapter(pool_connections=1, pool_maxsize=_POOL_SIZE, max_retries=0)
            session.mount("https://", adapter)
            session.mount("http://", adapter)
            _sessions[name] = session
        return session


def _with_key(http_request: HttpRequest, *, base_url: str, secret: str) -> tuple[str, dict[str, str]]:
    headers = dict(http_request.headers)
    params = list(http_request.params)
    filled = http_request.key.form.format(key=secret)
    if http_request.key.where == "query":
        params.append((http_request.key.name, filled))
    else:
        headers[http_request.key.name] = filled
    url = base_url.rstrip("/") + http_request.path
    if params:
        url += ("&" if "?" in http_request.path else "?") + urlencode(params)
    return url, headers


def _chunks(response: requests.Response, *, who: str, deadline: float, limits: Timeouts) -> Iterator[bytes]:
    """The decoded body in pieces. Raises Unavailable past the deadline or the size, and where the body is not whole.

    gzip is undone here and not by urllib3, which takes a stream that ends too early for a whole one.
    """
    raw = response.raw
    raw.enforce_content_length = True
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", "x-gzip", ""):
        raise Unavailable(f"{who}: the reply is compressed in a way that was not asked for")
    unzip = zlib.decompressobj(wbits=31) if "gzip" in encoding else None
    size = 0
    # read1 hands over what has arrived; read(n) would wait for n bytes and a slow drip could outlast the deadline.
    while chunk := raw.read1(_CHUNK_BYTES, decode_content=False):
        if time.monotonic() > deadline:
            raise Unavailable(f"{who}: the reply took longer than {limits.total_s:g} s and was given up")
        plain = unzip.decompress(chunk, limits.max_bytes - size + 1) if unzip else chunk
        size += len(plain)
        if size > limits.max_bytes:
            raise Unavailable(f"{who}: the reply is larger than {limits.max_bytes} bytes and was given up")
        yield plain
    promised = response.headers.get("Content-Length")
    if promised is not None and promised.isdigit() and raw.tell() < int(promised):
        raise Unavailable(f"{who}: the reply ended after {raw.tell()} of {promised} promised bytes")
    if unzip and raw.tell() and not unzip.eof:
        raise Unavailable(f"{who}: the reply's compressed body ended in the middle")


def _redirected(response: requests.Response, *, who: str, secret: str) -> FetchError:
    target = urlsplit(response.headers.get("Location", ""))
    where = redact(f"{target.netloc}{target.path}", secret) or "nowhere"
    message = f"{who}: the vendor redirects to {where} (status {response.status_code}), which is never followed"
    if response.status_code in (301, 308):
        return BadRequest(f"{message}; if the vendor has moved, change base_url", status=response.status_code)
    return Unavailable(f"{message}; asking again later", status=response.status_code)


def _what_happened(error: BaseException, limits: Timeouts) -> str:
    """A sentence from the kind of error alone; its text may hold the URL."""
    if isinstance(error, requests.ConnectTimeout):
        return f"no connection within {limits.connect_s:g} s"
    if isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError | TimeoutError):
        return f"no answer for {limits.read_s:g} s"
    if isinstance(error, requests.exceptions.SSLError | urllib3.exceptions.SSLError):
        return "the TLS connection could not be trusted or was broken"
    if isinstance(error, zlib.error):
        return "the reply's compressed body is damaged"
    broken = urllib3.exceptions.ProtocolError | urllib3.exceptions.IncompleteRead | http.client.HTTPException
    if isinstance(error, broken):
        return "the connection broke in the middle of the reply"
    if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.InvalidSchema):
        return "base_url is not a URL that can be called"
    return "the connection could not be made or was reset"
