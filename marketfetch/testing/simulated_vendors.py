"""What stands in for the network: a call goes to the simulated vendors as a value, and no socket is opened."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from unittest import mock
from urllib.parse import parse_qs, urlsplit

from pydantic import SecretStr

from marketfetch.sandbox import direct_calls
from marketfetch.sandbox.accounts import VENDORS
from marketfetch.sandbox.control import base_urls
from marketfetch.sandbox.faults import Fault
from marketfetch.sandbox.service import call_of
from marketfetch.sandbox.state import State
from marketfetch.vendors import transport
from marketfetch.vendors.errors import BadRequest, Unavailable
from marketfetch.vendors.http import HttpReply, HttpRequest
from marketfetch.vendors.wire import steady_ns

#: Where the settings say that the vendors are. The name never resolves (https://www.rfc-editor.org/rfc/rfc6761#section-6.4).
BASE_URL = "http://sandbox.invalid"


def base_url(provider: str) -> str:
    """The base URL of a vendor, with the path that the simulated one expects."""
    return base_urls(BASE_URL).get(provider, BASE_URL)


@dataclass(frozen=True, slots=True)
class SimulatedCall:
    """A call that was made. `status` is the reply's, None where no reply came."""

    provider: str
    symbol: str
    url: str
    status: int | None


@dataclass(frozen=True, slots=True)
class Scripted:
    """A reply that a test has written itself; None stands for any vendor and any symbol."""

    provider: str | None
    symbol: str | None
    reply: HttpReply


@dataclass(slots=True)
class SimulatedVendors:
    """The vendors of one test."""

    seed: int
    today: date
    calls: list[SimulatedCall] = field(default_factory=list)
    scripted: list[Scripted] = field(default_factory=list)
    state: State = field(init=False)

    def __post_init__(self) -> None:
        self.state = direct_calls.new_state(seed=self.seed, today=self.today)

    def send(
        self, http_request: HttpRequest, *, base_url: str, provider: str, key_label: str, key: SecretStr, **_: object
    ) -> HttpReply:
        """Takes the place of `transport.send`. Raises Unavailable for a fault of the connection."""
        url, headers = transport.with_key(http_request, base_url=base_url, secret=key.get_secret_value())
        parts = urlsplit(url)
        query = parse_qs(parts.query, keep_blank_values=True)
        symbol = call_of(parts.path, query, headers).symbol if provider in VENDORS else ""
        shown = transport.redacted_url(http_request, base_url)
        status: int | None = None
        try:
            reply = self._scripted(provider, symbol)
            if reply is None:
                if provider not in VENDORS:
                    raise BadRequest(f"the sandbox does not simulate {provider}: write its reply with sandbox.reply(...)")
                answer = direct_calls.reply_to(self.state, parts.path, query, headers)
                named = {name.lower(): value for name, value in (("Content-Type", answer.content_type), *answer.headers)}
                reply = HttpReply(answer.status, named, answer.body, sent_ns=steady_ns())
            status = reply.status
        except direct_calls.Broken as broken:
            raise Unavailable(f"{provider} (key {key_label}): {broken}", sent=True) from None
        finally:
            self.calls.append(SimulatedCall(provider, symbol, shown, status))
        return reply

    def _scripted(self, provider: str, symbol: str) -> HttpReply | None:
        for one in reversed(self.scripted):
            if one.provider in (None, provider) and one.symbol in (None, symbol):
                return one.reply
        return None

    def script(self, body: Any, *, symbol: str | None, provider: str | None, status: int, headers: Mapping[str, str]) -> None:
        """A reply of the test's own; the latest that matches a call is sent."""
        if isinstance(body, str | bytes):
            data, kind = body if isinstance(body, bytes) else body.encode(), "text/plain"
        else:
            data, kind = json.dumps(body).encode(), "application/json"
        named = {"content-type": kind} | {name.lower(): value for name, value in headers.items()}
        self.scripted.append(Scripted(provider, symbol, HttpReply(status, named, data)))

    def add_fault(self, **wish: Any) -> Fault:
        """Adds a fault. Raises ValueError."""
        return direct_calls.add_fault(self.state, **wish)

    def end_fault(self, fault: Fault) -> None:
        """No further call meets this fault."""
        self.state.faults.waiting.remove(fault)

    @contextmanager
    def instead_of_the_network(self) -> Iterator[None]:
        """Within the block no call leaves the process."""
        with mock.patch.object(transport, "send", self.send):
            yield
