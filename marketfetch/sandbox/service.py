"""The checks of a call: key, limits, the vendor's reply. It knows neither HTTP nor a clock."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote

from marketfetch.sandbox import (
    alpha_vantage_facts,
    alpha_vantage_wire,
    nasdaq_datasets,
    nasdaq_tables,
    nasdaq_wire,
    polygon_grouped,
    polygon_reference,
    polygon_snapshot,
    polygon_wire,
)
from marketfetch.sandbox.accounts import Account, Accounts
from marketfetch.sandbox.judge import Judge, KeyLog, Window
from marketfetch.sandbox.limiter import parsed
from marketfetch.sandbox.market import Market
from marketfetch.sandbox.reply import Query, Reply, one

_AGGS: Final = re.compile(r"/v2/aggs/ticker/([^/]+)/range/([^/]+)/([^/]+)/([^/]+)/([^/]+)")
_GROUPED: Final = re.compile(r"/v2/aggs/grouped/locale/us/market/stocks/([^/]+)")
_SNAPSHOT: Final = re.compile(r"/v2/snapshot/locale/us/markets/stocks/tickers/([^/]+)")
_DATASET: Final = re.compile(r"/api/v3/datasets/([^/]+)/([^/]+?)(?:/(data|metadata))?(?:\.(json|csv))?/?")
_TABLE: Final = re.compile(r"/api/v3/datatables/([^/]+/[^/.]+)(?:/(metadata))?(?:\.(json|csv))?/?")


@dataclass(frozen=True, slots=True)
class Call:
    """An incoming call, with its vendor and key. `path` is as it came: its parts are percent-decoded once, each by itself."""

    vendor: str
    key: str
    path: str
    query: Query
    accept: str = ""

    @property
    def symbol(self) -> str:
        """The requested symbol, as the log and the faults name it."""
        if self.vendor == "alpha_vantage":
            names = ("symbol", "market", "from_symbol", "to_symbol")
            return "/".join(filter(None, (one(self.query, name) for name in names)))
        if self.vendor == "polygon":
            aggs = _AGGS.fullmatch(self.path)
            return unquote(aggs.group(1) if aggs else self.path.rsplit("/", 1)[-1])
        if dataset := _DATASET.fullmatch(self.path):
            return unquote(dataset.group(2))
        asked = one(self.query, "ticker") or ",".join(self.query.get("ticker[]", []))
        return asked or self.path.removeprefix("/api/v3/datatables/")

    @property
    def form(self) -> str:
        """json or csv, for Nasdaq Data Link."""
        return "csv" if self.path.endswith(".csv") or (self.accept == "text/csv") else "json"


def call_of(path: str, query: Query, headers: Mapping[str, str]) -> Call:
    """The call of this path, query and headers: which vendor's it is, and with which key."""
    if path.startswith("/api/v3/"):
        key = headers.get("X-Api-Token") or one(query, "api_key")
        return Call("nasdaq", key, path, query, headers.get("Accept", ""))
    if path.rstrip("/") == "/query":
        return Call("alpha_vantage", one(query, "apikey"), path, query)
    bearer = headers.get("Authorization", "")
    key = bearer.removeprefix("Bearer ").strip() if bearer.startswith("Bearer ") else one(query, "apiKey")
    return Call("polygon", key, path, {name: values for name, values in query.items() if name != "apiKey"})


@dataclass(slots=True)
class Service:
    """The three vendors over one market."""

    market: Market
    accounts: Accounts = field(default_factory=Accounts)
    judge: Judge = field(default_factory=Judge)

    def put_account(self, wish: dict[str, Any]) -> None:
        """Sets an account from JSON: provider, key and the fields of Account. Raises ValueError with the reason."""
        settings = {name: value for name, value in wish.items() if name not in ("provider", "key")}
        for text in settings.get("limits") or ():
            parsed(text)
        self.accounts.put(str(wish.get("provider")), str(wish.get("key", "*")), settings)

    def log_of(self, call: Call) -> KeyLog:
        """The key's log, judged by the limits that its account has now."""
        log, account = self.judge.of(call.vendor, call.key), self.accounts.of(call.vendor, call.key)
        limits = tuple(parsed(text) for text in account.limits)
        if log.concurrency != account.concurrency or tuple(window.limit for window in log.windows) != limits:
            log.judge(limits, account.concurrency)
        return log

    def answer(self, call: Call) -> Reply:
        """The vendor's reply to a call whose arrival has been logged."""
        account, log = self.accounts.of(call.vendor, call.key), self.judge.of(call.vendor, call.key)
        if not call.key or account.refused:
            return _refused(call)
        if account.enforce and (broken := log.over()):
            return _limited(call, broken)
        if account.enforce and log.too_many_open:
            return _too_many_open(call)
        return _vendor(call, account, self.market)


def _vendor(call: Call, account: Account, market: Market) -> Reply:
    if call.vendor == "alpha_vantage":
        name = one(call.query, "function").upper()
        if name in alpha_vantage_wire.FUNCTIONS:
            return alpha_vantage_wire.answer(call.query, market=market, account=account)
        return alpha_vantage_facts.answer(name, call.query, market=market, account=account)
    if call.vendor == "polygon":
        if aggs := _AGGS.fullmatch(call.path):
            return polygon_wire.bars(tuple(map(unquote, aggs.groups())), call.query, market=market, account=account)
        if snapshot := _SNAPSHOT.fullmatch(call.path):
            return polygon_snapshot.answer(unquote(snapshot.group(1)), market=market)
        if grouped := _GROUPED.fullmatch(call.path):
            return polygon_grouped.answer(unquote(grouped.group(1)), call.query, market=market, account=account)
        return polygon_reference.answer(call.path, call.query, market=market)
    if dataset := _DATASET.fullmatch(call.path):
        database, code, part, form = dataset.groups()
        return nasdaq_datasets.answer(
            unquote(database), unquote(code), part or "", form or call.form, call.query, market=market
        )
    if table := _TABLE.fullmatch(call.path):
        code, part, form = table.groups()
        return nasdaq_tables.answer(code, part or "", form or call.form, call.query, market=market)
    return nasdaq_wire.error("QECx01", url=call.path)


def _refused(call: Call) -> Reply:
    if call.vendor == "alpha_vantage":
        return alpha_vantage_wire.note("Error Message", alpha_vantage_wire.NO_KEY)
    if call.vendor == "polygon":
        return polygon_wire.error(401, "Unknown API Key" if call.key else "API Key was not provided")
    if call.key:
        return nasdaq_wire.error("QEAx01", form=call.form)
    return nasdaq_wire.error("QEPx04", form=call.form)


def _limited(call: Call, broken: Window) -> Reply:
    limit = broken.limit
    if call.vendor == "polygon":
        return polygon_wire.error(429, polygon_wire.TOO_MANY)
    if call.vendor == "nasdaq":
        span = "10 seconds" if limit.window_s <= 10 else "10 minutes" if limit.window_s <= 600 else "day"
        words = f"{limit.count} calls per {span}"
        code = "QELx02" if limit.window_s >= 86_400 else "QELx04"
        return nasdaq_wire.error(code, form=call.form, limit=words)
    if limit.window_s >= 86_400:
        return alpha_vantage_wire.note("Information", alpha_vantage_wire.DAY_CAP.format(key=call.key, count=limit.count))
    if limit.window_s <= 1:
        return alpha_vantage_wire.note("Information", alpha_vantage_wire.BURST)
    return alpha_vantage_wire.note("Note", alpha_vantage_wire.MINUTE.format(count=limit.count))


def _too_many_open(call: Call) -> Reply:
    if call.vendor == "polygon":
        return polygon_wire.error(429, polygon_wire.TOO_MANY)
    if call.vendor == "nasdaq":
        return nasdaq_wire.error(
            "QELx04", form=call.form, limit="one call at a time by reducing the number of requests made at the same time"
        )
    return alpha_vantage_wire.note("Information", alpha_vantage_wire.BURST)
