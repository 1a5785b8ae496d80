"""The only place that talks to a vendor: one `requests.Session` per process, vendor, host and way; the key goes in here only.

urllib3's own retries are off (it would sleep on Retry-After by itself), redirects are never followed (they could carry a
key to another host), and no exception of ours holds one of `requests`' as cause or context, because those hold URLs.
"""

from __future__ import annotations

import http.client
import io
import logging
import os
import re
import threading
import zlib
from dataclasses import dataclass
from functools import lru_cache
from http.cookiejar import DefaultCookiePolicy
from typing import Final
from urllib.parse import quote_plus, unquote, urlencode, urlsplit

import requests
import urllib3.exceptions
from pydantic import SecretStr
from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from marketfetch.redaction import passwords
from marketfetch.vendors.errors import BadRequest, FetchError, Unavailable
from marketfetch.vendors.harmless import harmless_text
from marketfetch.vendors.http import HttpReply, HttpRequest
from marketfetch.vendors.s3_signing import need_signing, sign
from marketfetch.vendors.wire import BoundedAdapter, CallGivenUp, SendTooLate, wire

#: What stands in a URL where the key was.
REDACTED: Final = "[key]"
_CHUNK_BYTES: Final = 65_536
#: As many as the calls that a worker may make at once (the most that `--concurrency` takes): beyond it each call would open a
#: connection of its own. A connection is opened when a call finds none idle, so a process has as many as it made calls at once.
_POOL_SIZE: Final = 512
#: The most bytes of a reply that is no 200.
_ERROR_BYTES: Final = 262_144
#: Characters of a redirect's target in a message.
_LONGEST_SHOWN: Final = 200
_LENGTH: Final = re.compile(r"[0-9]{1,18}")
#: What a path below base_url never holds: a step up or in place, a backslash, a control character.
_LEAVES: Final = re.compile(r"(^|/)\.\.?(/|$)|\\|[\x00-\x1f\x7f]")


def _without_query(record: logging.LogRecord) -> bool:
    """urllib3 logs the path and query of every call at DEBUG, with a key in the query, and at WARNING what odd headers say."""
    return not ("?" in record.getMessage() or str(record.msg).startswith("Failed to parse headers"))


for _name in ("urllib3.connectionpool", "urllib3.connection", "urllib3.util.retry"):
    logging.getLogger(_name).addFilter(_without_query)


@dataclass(frozen=True, slots=True)
class Way:
    """How a vendor is reached. `proxy`: the URL of an HTTP proxy, which may hold a password. `ca_file`: a PEM file of the
    authorities that may vouch for the vendor, instead of the usual ones."""

    proxy: SecretStr | None = None
    ca_file: str | None = None

    @property
    def hidden(self) -> tuple[str, ...]:
        """What no message may hold: the proxy's password."""
        return tuple(passwords(self.proxy.get_secret_value())) if self.proxy else ()


_DIRECT: Final = Way()
_sessions: dict[tuple[int, str, str, Way], requests.Session] = {}
_sessions_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds. `total_s` bounds the whole call, from the address lookup to the last byte; `read_s` the time without a byte;
    `max_bytes` bounds the decoded body."""

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
    way: Way = _DIRECT,
    timeouts: Timeouts | None = None,
    send_by: float | None = None,
) -> HttpReply:
    """Makes one GET and returns the whole decoded reply, whatever its status.

    `send_by` is on this machine's `wire.steady_s()`; past it SendTooLate is raised and nothing goes out. Raises Unavailable
    for every failure on the way (refused, reset, too slow, cut, too large, redirected), BadRequest for a URL that leaves
    `base_url` and for a redirect that names another URL for good. Ends within `timeouts.total_s`, whatever the vendor sends.
    Costs one call of `key_label`'s quota unless SendTooLate is raised.
    """
    limits = timeouts or Timeouts()
    secret = key.get_secret_value()
    who = f"{provider} (key {key_label})"
    url, headers = with_key(http_request, base_url=base_url, secret=secret)
    if not _stays_at(url, base_url):
        raise BadRequest(f"{who}: the address of this call leaves base_url, so the key was not sent there")
    if _names_its_key(http_request):
        raise BadRequest(f"{who}: this call sets the parameter {http_request.key.name} itself, which is that of the key")
    failure: FetchError
    if http_request.key.where == "signature":
        need_signing()
    wire.begin(send_by=send_by, total_s=limits.total_s, idle_s=limits.read_s, body_bytes=limits.max_bytes)
    try:
        return _exchange(
            url,
            headers,
            base_url=base_url,
            provider=provider,
            who=who,
            secret=secret,
            way=way,
            limits=limits,
            call=http_request,
        )
    except FetchError as error:
        failure = error
    except SendTooLate:
        raise
    except CallGivenUp as error:
        failure = Unavailable(f"{who}: {error}; {_counted()}", sent=bool(wire.sent_ns))
    except Exception as error:
        # The last border: whatever a library raises about a reply is a reply that can't be used.
        what = _on_the_way(error, provider, way) or _what_happened(error, limits)
        failure = Unavailable(f"{who}: {what}; {_counted()}", sent=bool(wire.sent_ns))
    # Raised outside the except blocks: inside them `__context__` would still hold the exception with the URL.
    raise failure


def _exchange(
    url: str,
    headers: dict[str, str],
    *,
    base_url: str,
    provider: str,
    who: str,
    secret: str,
    way: Way,
    limits: Timeouts,
    call: HttpRequest,
) -> HttpReply:
    session = _session(provider, base_url, way)
    # Without the session, which merges what it has with the call by way of many tests of types.
    prepared = requests.Request("GET", url, headers={**session.headers, **headers}).prepare()
    if call.key.where == "signature":
        sign(prepared, secret)
    # Handed to the adapter itself: a session would read the body of a redirect by itself, without any limit.
    response = session.get_adapter(prepared.url or url).send(
        prepared,
        stream=True,
        timeout=(limits.connect_s, limits.read_s),
        verify=way.ca_file or True,
        proxies=dict.fromkeys(("http", "https"), way.proxy.get_secret_value()) if way.proxy else {},
    )
    with response:
        status = response.status_code
        if status < 200:
            raise Unavailable(f"{who}: the vendor sent the interim status {status} and no reply", status=status)
        if 300 <= status < 400:
            raise _redirected(response, who=who, secrets=(secret, *way.hidden))
        if status == 407 and way.proxy:
            raise Unavailable(f"{who}: {_refused_by_proxy(provider, 407)}; the vendor has not seen the call")
        # An error is a sentence, so a long body of one says nothing more.
        most = limits.max_bytes if status == 200 else min(limits.max_bytes, _ERROR_BYTES)
        body = _body(response, who=who, max_bytes=most, as_it_comes=call.is_file and status == 200)
        return HttpReply(
            status=status,
            headers={name.lower(): value for name, value in response.headers.items()},
            body=body,
            sent_ns=wire.sent_ns,
        )


def redacted_url(http_request: HttpRequest, base_url: str) -> str:
    """The URL of a call with `[key]` where the key goes, for logs."""
    params = [f"{quote_plus(name)}={quote_plus(value)}" for name, value in http_request.params]
    if http_request.key.where == "query":
        params.append(f"{quote_plus(http_request.key.name)}={REDACTED}")
    url = base_url.rstrip("/") + http_request.path
    return f"{url}{'&' if '?' in http_request.path else '?'}{'&'.join(params)}" if params else url


def close_sessions() -> None:
    """Closes this process's sessions. The next `send` opens new ones."""
    with _sessions_lock:
        mine = [name for name in _sessions if name[0] == os.getpid()]
        closing = [_sessions.pop(name) for name in mine]
    for session in closing:
        session.close()


def _session(provider: str, base_url: str, way: Way) -> requests.Session:
    """A session made by this process: sockets that a fork inherited belong to the parent's conversations."""
    name = (os.getpid(), provider, urlsplit(base_url).netloc, way)
    with _sessions_lock:
        session = _sessions.get(name)
        if session is None:
            session = requests.Session()
            # Proxies and .netrc of the environment would send the call, or another key, somewhere else.
            session.trust_env = False
            session.headers.update({"User-Agent": "marketfetch", "Accept-Encoding": "gzip"})
            # Which worker asked before must not change an answer.
            session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
            adapter = BoundedAdapter(pool_connections=1, pool_maxsize=_POOL_SIZE, max_retries=0)
            session.mount("https://", adapter)
            session.mount("http://", adapter)
            _sessions[name] = session
        return session


def with_key(http_request: HttpRequest, *, base_url: str, secret: str) -> tuple[str, dict[str, str]]:
    """The URL and the headers of a call, with the key in its place; a signature is added at the last moment."""
    headers = dict(http_request.headers)
    params = list(http_request.params)
    filled = http_request.key.form.format(key=secret)
    if http_request.key.where == "query":
        params.append((http_request.key.name, filled))
    elif http_request.key.where == "header":
        headers[http_request.key.name] = filled
    url = base_url.rstrip("/") + http_request.path
    if params:
        url += ("&" if "?" in http_request.path else "?") + urlencode(params)
    return url, headers


def _body(response: requests.Response, *, who: str, max_bytes: int, as_it_comes: bool = False) -> bytes:
    """The decoded body; `as_it_comes`: not decoded. Raises Unavailable above `max_bytes`, and for what was not promised.

    gzip is undone here and not by urllib3, which takes a stream that ends too early for a whole one.
    """
    raw = response.raw
    raw.enforce_content_length = True
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", "x-gzip", "") and not as_it_comes:
        raise Unavailable(f"{who}: the reply is compressed in a way that was not asked for")
    promised = response.headers.get("Content-Length")
    if promised is not None and not _LENGTH.fullmatch(promised.strip()):
        raise Unavailable(f"{who}: the reply's Content-Length is no number")
    unpack = _Gunzip() if "gzip" in encoding and not as_it_comes else None
    # Grows in place; a list of chunks joined at the end would hold the body twice.
    body = io.BytesIO()
    # read1 hands over what has arrived; read(n) would wait for n bytes.
    while chunk := raw.read1(_CHUNK_BYTES, decode_content=False):
        body.write(unpack(chunk, max_bytes - body.tell() + 1) if unpack else chunk)
        if body.tell() > max_bytes:
            raise Unavailable(f"{who}: the reply is larger than {max_bytes} bytes and was given up")
    if promised is not None and raw.tell() < int(promised):
        raise Unavailable(f"{who}: the reply ended after {raw.tell()} of {int(promised)} promised bytes")
    if unpack and raw.tell() and not unpack.whole:
        raise Unavailable(f"{who}: the reply's compressed body ended in the middle")
    if wire.ended and "chunked" in response.headers.get("Transfer-Encoding", "").lower():
        raise Unavailable(f"{who}: the connection broke in the middle of the reply")
    if wire.surplus:
        raise Unavailable(f"{who}: the vendor sent more than the reply that it promised")
    return body.getvalue()


class _Gunzip:
    """Undoes gzip piece by piece, of several members too (https://www.rfc-editor.org/rfc/rfc1952#section-2.2)."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(wbits=31)

    @property
    def whole(self) -> bool:
        """True at the end of a member."""
        return self._member.eof

    def __call__(self, packed: bytes, most: int) -> bytes:
        """What the next piece unpacks to, at most `most` bytes. Raises zlib.error."""
        plain = b""
        while packed and len(plain) < most:
            if self._member.eof:
                self._member = zlib.decompressobj(wbits=31)
            plain += self._member.decompress(packed, most - len(plain))
            packed = self._member.unused_data
        return plain


def _redirected(response: requests.Response, *, who: str, secrets: tuple[str, ...]) -> FetchError:
    try:
        target = urlsplit(response.headers.get("Location", ""))
        where = harmless_text(f"{target.netloc}{target.path}", secrets, _LONGEST_SHOWN) or "nowhere"
    except ValueError:
        where = "an address that can't be read"
    message = f"{who}: the vendor redirects to {where} (status {response.status_code}), which is never followed"
    if response.status_code in (301, 308):
        return BadRequest(f"{message}; if the vendor has moved, change base_url", status=response.status_code)
    return Unavailable(f"{message}; asking again later", status=response.status_code)


def _counted() -> str:
    return "the call may have been counted by the vendor" if wire.sent_ns else "the vendor has not seen the call"


def _names_its_key(call: HttpRequest) -> bool:
    """True for a parameter that would stand beside the key: a symbol or a cursor must not choose whose key is used."""
    return call.key.where == "query" and any(name.casefold() == call.key.name.casefold() for name, _ in call.params)


def _stays_at(url: str, base_url: str) -> bool:
    """True when a URL is below `base_url`: same scheme, host and port, below its path, with no way out of it.

    It is read as urllib3 reads it, which is what connects.
    """
    try:
        ours, base = parse_url(url), _parsed(base_url.rstrip("/"))
    except LocationParseError:
        return False
    if base.auth is not None or (ours.scheme, ours.auth, ours.host, ours.port) != (base.scheme, None, base.host, base.port):
        return False
    path = unquote(urlsplit(url).path)
    below = unquote(urlsplit(base_url.rstrip("/")).path) + "/"
    return path.startswith(below) and not _LEAVES.search(path)


_parsed: Final = lru_cache(maxsize=64)(parse_url)


def _on_the_way(error: BaseException, provider: str, way: Way) -> str:
    """A sentence about a failure of the proxy or of the file of authorities; "" for every other failure."""
    if wire.sent_ns:
        return ""
    if way.ca_file and not os.access(way.ca_file, os.R_OK):
        return f"the file of authorities {way.ca_file} can't be read: correct providers.{provider}.ca_file"
    if way.ca_file and isinstance(error, requests.exceptions.SSLError):
        return f"the TLS connection could not be trusted by the authorities in {way.ca_file}, or was broken"
    # The number in an exception's text is no secret; the rest of it may be.
    if way.proxy and (refused := re.search(r"Tunnel connection failed: ([0-9]{3})\b", str(error))):
        return _refused_by_proxy(provider, int(refused[1]))
    if way.proxy and isinstance(error, requests.exceptions.ProxyError):
        return f"the proxy can't be reached or broke the connection: look at it, or correct providers.{provider}.proxy"
    return ""


def _refused_by_proxy(provider: str, status: int) -> str:
    if status == 407:
        return f"the proxy asks for a user and a password (status 407): correct them in providers.{provider}.proxy"
    return f"the proxy refused the tunnel to the vendor (status {status}): allow it there"


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
    if isinstance(error, requests.RequestException | urllib3.exceptions.HTTPError | OSError):
        return "the connection could not be made or was reset"
    return f"the reply could not be read ({type(error).__name__})"
