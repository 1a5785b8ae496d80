"""The control endpoint, `/_sandbox/...`: for the sandbox's operator, on loopback only.

GET health            {"ok", "seed", "today", "pid"}
GET, DELETE faults    the pending faults; DELETE clears them
POST faults           a fault (faults.Fault) or a list of them; returns the same as GET
GET keys              the accounts that were set
POST keys             {"provider", "key", ...the fields of accounts.Account} or a list of such
GET log, log?full=1   the judge's report and the damaged rows; full adds every arrival's time
POST reset            clears log and faults; with {"keys": true} the accounts too
"""

from __future__ import annotations

import dataclasses
import json
import os
from typing import Any

from tornado.web import HTTPError, RequestHandler

from marketfetch.sandbox.faults import Fault
from marketfetch.sandbox.judge import Judge
from marketfetch.sandbox.state import State


class ControlHandler(RequestHandler):
    """The common base: loopback only, JSON in and out, a sentence for each error."""

    def initialize(self, state: State) -> None:
        self.state = state

    def prepare(self) -> None:
        if self.request.remote_ip not in ("127.0.0.1", "::1"):
            raise HTTPError(403)

    def wishes(self) -> list[dict[str, Any]]:
        """The body as a list of objects; one object is a list of one."""
        body = json.loads(self.request.body or b"{}")
        return body if isinstance(body, list) else [body]

    def refuse(self, problem: Exception) -> None:
        self.set_status(400)
        self.write({"error": str(problem)})


class Health(ControlHandler):
    def get(self) -> None:
        market = self.state.service.market
        known = {"ok": True, "seed": market.seed, "today": market.today.isoformat(), "pid": os.getpid()}
        self.write({**known, "base_urls": base_urls(f"{self.request.protocol}://{self.request.host}")})


class FaultsHandler(ControlHandler):
    def get(self) -> None:
        self.write({"faults": [fault.report() for fault in self.state.faults.waiting]})

    def post(self) -> None:
        try:
            self.state.faults.waiting += [Fault.parse(wish) for wish in self.wishes()]
        except (ValueError, TypeError) as problem:
            return self.refuse(problem)
        return self.get()

    def delete(self) -> None:
        self.state.faults.waiting.clear()
        self.get()


class Keys(ControlHandler):
    def get(self) -> None:
        known = self.state.service.accounts.known
        self.write(
            {"keys": [{"provider": vendor, "key": key, **dataclasses.asdict(one)} for (vendor, key), one in known.items()]}
        )

    def post(self) -> None:
        try:
            for wish in self.wishes():
                self.state.service.put_account(wish)
        except (ValueError, TypeError, KeyError) as problem:
            return self.refuse(problem)
        return self.get()


class Log(ControlHandler):
    def get(self) -> None:
        full = self.get_query_argument("full", "") not in ("", "0")
        self.write(self.state.service.judge.report(full=full) | {"damaged": self.state.damaged})


class Reset(ControlHandler):
    def post(self) -> None:
        self.state.service.judge = Judge()
        self.state.faults.waiting.clear()
        self.state.damaged.clear()
        if self.wishes()[0].get("keys"):
            self.state.service.accounts.known.clear()
        self.write({"ok": True})


def base_urls(url: str) -> dict[str, str]:
    """Vendor -> the base URL that a client is given, for the sandbox at `url`."""
    return {"alpha_vantage": url, "polygon": url, "nasdaq": f"{url}/api/v3"}


def routes(state: State) -> list[tuple[str, type[RequestHandler], dict[str, State]]]:
    """The control endpoint's paths."""
    handlers: dict[str, type[RequestHandler]] = {
        "health": Health,
        "faults": FaultsHandler,
        "keys": Keys,
        "log": Log,
        "reset": Reset,
    }
    return [(f"/_sandbox/{name}", handler, {"state": state}) for name, handler in handlers.items()]
