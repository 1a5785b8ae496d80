"""The HTTP side: one tornado handler that takes a call through delay, judge, vendor, fault and delay."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from typing import Any, Final, cast

from tornado.http1connection import HTTP1Connection
from tornado.iostream import StreamClosedError
from tornado.web import Application, RequestHandler

from marketfetch.sandbox import broken, nasdaq_wire
from marketfetch.sandbox.control import routes
from marketfetch.sandbox.damage import KINDS as DAMAGES
from marketfetch.sandbox.damage import damage
from marketfetch.sandbox.reply import Reply
from marketfetch.sandbox.service import Call, call_of
from marketfetch.sandbox.state import State

_SERVERS: Final = {"alpha_vantage": "cloudflare", "polygon": "nginx/1.19.2", "nasdaq": "istio-envoy"}
_GZIP_FROM_BYTES: Final = 500


class VendorHandler(RequestHandler):
    """Any path that is not the control endpoint's belongs to one of the vendors."""

    def initialize(self, state: State) -> None:
        self.state = state

    def compute_etag(self) -> str | None:
        """No vendor returns 304."""
        return None

    def set_default_headers(self) -> None:
        self.clear_header("Server")

    async def get(self, *_: str) -> None:
        """Delays, logs the arrival, makes the reply, delays, sends. The call is open from arrival until its reply is sent."""
        state = self.state
        await _wait(state, state.delay_in_ms)
        call = _call(self)
        log = state.service.log_of(call)
        state.bare_calls.end_those_whose_client_left()
        log.arrive(time.monotonic(), time.time(), call.symbol)
        status, served, bare = "client left", None, False
        try:
            reply = state.service.answer(call)
            # A refused call gets no fault, as it would use one up.
            fault = state.faults.strike(call.vendor, call.symbol, call.key) if reply.good else None
            if fault is None:
                served = call.symbol if reply.good else None
            elif fault.kind == "bad_rows":
                reply, rows = damage(call.vendor, reply, count=len(DAMAGES))
                state.damaged += [{"provider": call.vendor, "symbol": call.symbol, **row} for row in rows]
            elif on_connection := broken.on_connection(fault):
                bare, connection = True, cast(HTTP1Connection, self.request.connection)
                with state.bare_calls.call(connection.stream.socket, log, fault.kind):
                    await on_connection(self, fault, reply)
                return
            else:
                reply = broken.REPLIES[fault.kind](call, fault, reply)
            await _wait(state, state.delay_out_ms)
            status = fault.kind if fault else reply.outcome
            sent = self._reply(call, reply)
        finally:
            # Logged before the event loop continues: a quick client's next call must find this one ended.
            if not bare:
                log.leave(status, served)
        try:
            await sent
        except StreamClosedError:
            # A fault's reply held no data that the client could lose.
            log.cut += fault is None or fault.kind == "bad_rows"

    async def post(self, *_: str) -> None:
        """Nasdaq Data Link accepts a table's query as a JSON body, for queries too long for a URL."""
        await self.get()

    def _reply(self, call: Call, reply: Reply) -> Any:
        body = reply.body
        self.set_status(reply.status)
        self.set_header("Content-Type", reply.content_type)
        self.set_header("Server", _SERVERS[call.vendor])
        for name, value in reply.headers:
            self.set_header(name, value)
        if call.vendor == "nasdaq":
            for name, value in nasdaq_wire.quota_headers(self.state.service.log_of(call)):
                self.set_header(name, value)
        if reply.gzip:
            self.set_header("Vary", "Accept-Encoding")
            if "gzip" in self.request.headers.get("Accept-Encoding", "") and len(body) >= _GZIP_FROM_BYTES:
                body = gzip.compress(body, 1)
                self.set_header("Content-Encoding", "gzip")
        return self.finish(body)


def _call(handler: RequestHandler) -> Call:
    request = handler.request
    query = {name: [value.decode("utf-8", "replace") for value in values] for name, values in request.query_arguments.items()}
    if request.method == "POST" and request.body:
        asked = json.loads(request.body)
        query |= {name: [str(one_of) for one_of in listed(value)] for name, value in asked.items()}
    return call_of(request.path, query, request.headers)


def listed(value: Any) -> list[Any]:
    """A JSON value as the list of values of an equal query string."""
    return value if isinstance(value, list) else [value]


async def _wait(state: State, delay_ms: tuple[float, float]) -> None:
    if delay_ms[1] > 0:
        await asyncio.sleep(state.draw.uniform(*delay_ms) / 1000)


def application(state: State) -> Application:
    """The sandbox as a tornado application."""
    return Application([*routes(state), (r"/.*", VendorHandler, {"state": state})], log_function=lambda _: None)
