"""What every request passes before it reaches a route: the name of the host, where it comes from, its size, its pace.

A web page in a browser of this machine can send requests to 127.0.0.1 too, and with DNS rebinding read the replies. So a
request names a host that is this server's and comes from no page of another site, and its body is JSON, which a form of another
site can't send. The forms of our own pages go to other paths than the API's, where the browser has to say that they are ours.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from marketfetch.web import problems
from marketfetch.web.problems import Refused

log = logging.getLogger("marketfetch.web")

MOST_BODY_BYTES: Final = 1 << 20
#: A body that is not there by then is refused: a slow client must not hold a connection for ever.
BODY_S: Final = 10.0
#: A client that takes nothing of a response for so long is cut; streams have bounds of their own.
SEND_S: Final = 30.0
_INSTEAD: Final = "call this API from a server or a program."
_READS: Final = ("GET", "HEAD", "OPTIONS")
#: Headers that proxies add, by their beginnings: what has one may come from another machine.
_OF_PROXIES: Final = (
    *("forwarded", "x-forwarded", "x-original-", "x-real-ip", "x-client-ip", "x-cluster-client-ip", "x-envoy-", "x-amz", "via"),
    *("cf-", "cdn-", "cloudfront-", "true-client-ip", "fastly-", "fly-", "x-appengine-", "x-azure-", "x-goog-", "x-vercel-"),
)
#: A page without data, which other pages may link to.
_LINKED: Final = "/docs"
_API: Final = "/api/"
_FORM: Final = "application/x-www-form-urlencoded"
_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
}


#: The response to a request that is refused.
Refusal = Callable[[Scope, Refused], ASGIApp]


@dataclass(frozen=True, slots=True)
class AccessRules:
    """Where the server listens and what it lets in.

    `loopback`: it listens on this machine alone. `hosts`: further names in a request's Host, of a proxy in front of it.
    `tokens_always`: no data without a token, also on loopback; /docs, /openapi.json and /health have none. `origins`: sites
    whose pages may call it from a browser.
    """

    loopback: bool = True
    hosts: tuple[str, ...] = ()
    tokens_always: bool = False
    origins: tuple[str, ...] = ()
    most_body_bytes: int = MOST_BODY_BYTES


def is_loopback(host: str) -> bool:
    """True for localhost and for addresses of this machine alone."""
    if host.casefold().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def host_of(text: str) -> str:
    """The name in a Host header or an origin, without the port; an IPv6 address in its short form. "" for what is none."""
    try:
        found = (urlsplit(text if "://" in text else f"//{text}").hostname or "").casefold()
    except ValueError:
        return ""
    return bare_host(found)


def bare_host(name: str) -> str:
    """A name or an address that stands alone, as `host_of` writes it: `::1` is no name with a port."""
    try:
        return str(ipaddress.ip_address(name.strip("[]")))
    except ValueError:
        return name.casefold()


def _as_document(_scope: Scope, one: Refused) -> ASGIApp:
    return problems.response(one)


class Guards:
    """An ASGI app around the API. A refusal is a problem document like those of the routes; so is an unexpected error.

    `refusal` makes the response of one, which is a page for a browser.
    """

    def __init__(self, app: ASGIApp, rules: AccessRules, refusal: Refusal = _as_document) -> None:
        self._app, self._rules, self._refusal = app, rules, refusal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, headers = False, Headers(scope=scope)
        body = _Body(headers, receive, self._rules.most_body_bytes)

        async def guarded(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                of_response = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    of_response.setdefault(name, value)
                if not body.whole:
                    of_response["Connection"] = "close"  # what is left of the body is not read
            try:
                async with asyncio.timeout(SEND_S):
                    await send(message)
            except TimeoutError:
                # What is sent after this goes nowhere: the connection is gone.
                scope.get("state", {}).get("cut", lambda: None)()

        try:
            self._check(scope, headers)
            body.must_fit()
            await self._app(scope, body.receive, guarded)
        except Refused as error:
            if begun:
                raise
            await self._refusal(scope, error)(scope, receive, guarded)
        except Exception as error:
            log.exception("a request failed: %s", scope["path"])
            if begun:
                raise
            await self._refusal(scope, problems.refused(error))(scope, receive, guarded)

    def _check(self, scope: Scope, headers: Headers) -> None:
        """Raises Refused."""
        host, own = host_of(headers.get("host", "")), self._rules.hosts
        direct = is_loopback(host) if self._rules.loopback else _is_address(host) or is_loopback(host)
        if not direct and host not in own:
            raise Refused(
                421,
                f"This server does not have the name {host[:100]!r}: ask it by its address, or start it with --allow-host "
                f"{host[:100] or 'NAME'} if that is its name.",
            )
        of_here = self._rules.loopback and is_loopback(host) and not self._rules.tokens_always
        behind = _behind(scope, headers) if of_here else ""
        # A proxy on this machine calls from loopback too: who is behind it has to show a token.
        state = {"open": of_here and not behind, "behind": behind, "from_elsewhere": _is_link(scope, headers)}
        scope["state"] = {**scope.get("state", {}), **state}
        self._check_site(scope, headers)
        if scope["method"] in _READS:
            return
        if not scope["path"].startswith(_API):
            _check_form(headers)
            return
        kind = headers.get("content-type", "").partition(";")[0].strip().casefold()
        if has_body(headers) and kind != "application/json":
            raise Refused(
                415, f"A body is JSON: send it with the header Content-Type: application/json (got {kind[:60] or 'none'})."
            )

    def _check_site(self, scope: Scope, headers: Headers) -> None:
        """Raises Refused for a page of another site, which may not even cause work. OPTIONS asks whether it may."""
        if scope["method"] == "OPTIONS" or (scope["method"] == "GET" and scope["path"] == _LINKED):
            return
        if scope["state"]["from_elsewhere"]:
            return  # the page asks the visitor first, and reads nothing
        origin, verb = headers.get("origin"), "read" if scope["method"] in _READS else "change"
        own_origin = urlsplit(origin or "").netloc.casefold() == headers.get("host", "").casefold()
        if origin is not None and not own_origin and origin not in self._rules.origins:
            raise Refused(403, f"A page of {origin[:100]} may not {verb} anything here: {_INSTEAD}")
        if headers.get("sec-fetch-site") in ("cross-site", "same-site") and origin not in self._rules.origins:
            raise Refused(403, f"A page of another site may not {verb} anything here: {_INSTEAD}")


def _is_link(scope: Scope, headers: Headers) -> bool:
    """True where a link of another site leads a visitor to one of our pages."""
    foreign = headers.get("sec-fetch-site") in ("cross-site", "same-site")
    to_page = scope["method"] == "GET" and not scope["path"].startswith(_API)
    return foreign and to_page and headers.get("sec-fetch-mode") == "navigate" and headers.get("origin") is None


def _check_form(headers: Headers) -> None:
    """Raises Refused for a form without an origin, which every browser names. A foreign one is refused before."""
    kind = headers.get("content-type", "").partition(";")[0].strip().casefold()
    if has_body(headers) and kind != _FORM:
        raise Refused(415, f"A page takes forms alone (got {kind[:60] or 'none'}): programs use the routes under {_API}v1.")
    if headers.get("origin") is None:
        raise Refused(403, f"This form comes from no page of this server: programs use the routes under {_API}v1.")


def _behind(scope: Scope, headers: Headers) -> str:
    """What says that a proxy sends this request; "" where nothing does. nginx's usual `proxy_pass` speaks HTTP/1.0."""
    if scope.get("http_version", "1.1") == "1.0":
        return "it is HTTP/1.0, which proxies speak"
    added = next((name for name in headers if name.startswith(_OF_PROXIES)), "")
    return f"it has the header {added[:40]}, which proxies add" if added else ""


class _Body:
    """The body of one request, which is refused as soon as it is known to be too large, or comes too slowly."""

    def __init__(self, headers: Headers, receive: Receive, most_bytes: int) -> None:
        self._receive, self._most, self._read, self._named = receive, most_bytes, 0, headers.get("content-length", "")
        self._ends_at = asyncio.get_running_loop().time() + BODY_S
        self.whole = not has_body(headers)

    def must_fit(self) -> None:
        """Raises Refused for a length that is too large, before anything of it is read."""
        if self._named and not (self._named.isdigit() and int(self._named) <= self._most):
            raise self._too_large()

    async def receive(self) -> Message:
        if self.whole:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._ends_at):
                message = await self._receive()
        except TimeoutError:
            raise Refused(408, f"The body of this request was not there after {BODY_S:g} s: send it again.") from None
        self._read += len(message.get("body", b""))
        if self._read > self._most:
            raise self._too_large()
        self.whole = message["type"] != "http.request" or not message.get("more_body", False)
        return message

    def _too_large(self) -> Refused:
        return Refused(413, f"A body has at most {self._most:,} bytes here: send fewer symbols in one request.")


def has_body(headers: Headers) -> bool:
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


def _is_address(host: str) -> bool:
    """True for an IP address: no name of another site can resolve to a request that has one."""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def origins_of(texts: Iterable[str]) -> tuple[str, ...]:
    """The origins as browsers write them: in lower case, without a slash at the end."""
    return tuple(one.rstrip("/").casefold() for one in texts)
