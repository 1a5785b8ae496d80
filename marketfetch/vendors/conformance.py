"""The contract of a vendor as tests that any package can run with pytest. They need no network and take about a second.

    class TestAcme(VendorConformance):
        vendor = VENDOR
        recordings = (Recording(Path("day.json").read_bytes(), rows=5),)

A failure is an AssertionError whose message names the wish, the request or the response. docs/add-a-vendor.md shows it in use.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from types import MappingProxyType
from typing import Any, ClassVar, Final, NoReturn
from unittest import mock
from urllib.parse import urlsplit

from marketfetch.schemas.job_spec import JobSpec
from marketfetch.schemas.page import Page
from marketfetch.schemas.request import Request
from marketfetch.schemas.timespans import Timespan
from marketfetch.vendors.errors import BadCredentials, FetchError, NotEntitled, PlanError, RateLimited, Unavailable
from marketfetch.vendors.finality import is_final
from marketfetch.vendors.http import HttpReply
from marketfetch.vendors.protocol import Vendor, VendorOptions
from marketfetch.vendors.times import day_start_ms, period_end, period_start, zone_info

_BASE: Final = "http://vendor.test/below"
_AS_OF: Final = "2026-11-20"
#: A closed year, a single leap day, a range that is still open at `_AS_OF`, and ten years.
_RANGES: Final = (
    (date(2024, 1, 1), date(2024, 12, 31)),
    (date(2024, 2, 29), date(2024, 2, 29)),
    (date(2026, 11, 2), date(2026, 11, 20)),
    (date(2014, 3, 5), date(2024, 3, 4)),
)
#: The number of places where the suite truncates a recorded body.
_CUTS: Final = 97
_DAY_MS: Final = 86_400_000
#: A Wednesday that is a holiday of no large exchange.
_SESSION: Final = date(2024, 11, 13)
#: A month, and the longest delay that settings allow.
_LATEST_DAYS: Final = 31 + 30 + 4
_HTML: Final = b"<!DOCTYPE html><html><body>Incident 42: request blocked</body></html>"


@dataclass(frozen=True, slots=True)
class Recording:
    """The body of a good response, and the number of its good rows. `dataset` and `symbol` are those of its request."""

    body: bytes
    rows: int
    dataset: str = "bars"
    symbol: str = "ASKED"
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


class VendorConformance:
    """Subclass it with a `vendor`, and with `recordings` of good replies; pytest runs every test below.

    `options` are the vendor's options other than `base_url`.
    """

    vendor: ClassVar[Vendor[Any]]
    recordings: ClassVar[Sequence[Recording]] = ()
    options: ClassVar[Mapping[str, Any]] = MappingProxyType({})

    # --- the Vendor value ---

    def test_every_plan_names_its_source_and_when_it_was_read(self) -> None:
        for name, plan in self.vendor.plans.items():
            _must(plan.source.startswith("https://"), f"the plan {name} names no https source")
            _must(len(plan.read_on) >= 7 and plan.read_on[:4].isdigit(), f"the plan {name}: read_on is a month (2026-11)")

    def test_the_options_have_defaults_and_the_base_url_is_https(self) -> None:
        base_url = self.vendor.options().base_url
        _must(base_url.startswith("https://"), f"{base_url}: a key must not travel without TLS")

    def test_every_symbol_form_can_be_planned_built_and_has_a_zone(self) -> None:
        for spec in self._wishes():
            for request in self._plan(spec):
                zone_info(self.vendor.zone(request, self._options()))
                self.vendor.build_request(request, self._options())

    # --- plan ---

    def test_a_plan_is_the_same_every_time_without_network_and_clock(self) -> None:
        for spec in self._wishes():
            with _isolated():
                first, second = self._plan(spec), self._plan(JobSpec.model_validate_json(spec.model_dump_json()))
            _must(first == second, f"two plans of {spec} differ")
            ids = [request.id for request in first]
            _must(len(set(ids)) == len(ids), f"two requests of {spec} are the same")
            _must({request.provider for request in first} <= {self.vendor.name}, f"a request of {spec} is another vendor's")

    def test_the_requests_cover_every_asked_day_once(self) -> None:
        for spec in self._wishes():
            pieces: dict[str, list[Request]] = {}
            for request in self._plan(spec):
                for symbol in request.symbol.split(","):
                    pieces.setdefault(symbol, []).append(request)
            _must(sorted(pieces) == sorted(spec.symbols), f"the plan of {spec} is for {sorted(pieces)}")
            for symbol, requests in pieces.items():
                self._cover(spec, symbol, requests)

    def _cover(self, spec: JobSpec, symbol: str, requests: list[Request]) -> None:
        expected = spec.start
        for request in sorted(requests, key=lambda one: one.start or date.min):
            _must(request.start is not None and request.end is not None, f"{symbol}: a request has no range")
            assert request.start is not None
            assert request.end is not None
            whole = period_start(expected, spec.timespan) <= request.start <= expected or request.start == expected
            _must(whole, f"{symbol}: the request from {request.start} leaves a gap or an overlap at {expected} ({spec})")
            expected = request.end + timedelta(days=1)
        _must(
            spec.end < expected <= period_end(spec.end, spec.timespan) + timedelta(days=1), f"{symbol}: ends before {expected}"
        )

    # --- finality ---

    def test_bars_are_final_some_time_after_their_day_and_not_before(self) -> None:
        for request in (request for spec in self._wishes() for request in self._plan(spec)):
            with _isolated():
                finality = self.vendor.finality_of(request, self._options())
            what = f"{request.symbol}, bars of {request.timespan} until {_SESSION}"
            begins_ms = day_start_ms(_SESSION, self.vendor.zone(request, self._options()))
            noon_ms, late_ms = begins_ms + _DAY_MS // 2, begins_ms + _LATEST_DAYS * _DAY_MS
            _must(not is_final(finality, request.timespan, _SESSION, noon_ms), f"{what}: final at noon of that day")
            _must(is_final(finality, request.timespan, _SESSION, late_ms), f"{what}: not final after {_LATEST_DAYS} days")

    # --- calls ---

    def test_a_call_stays_below_the_base_url_and_carries_no_key(self) -> None:
        for request in self._requests():
            for page in (request, request.next_page("//evil.test/x"), request.next_page("https://evil.test/x?a=b")):
                with _isolated():
                    call = self.vendor.build_request(page, self._options())
                _must(call == self.vendor.build_request(page, self._options()), f"two calls of {page} differ")
                url = urlsplit(_BASE + call.path)
                below = url.netloc == urlsplit(_BASE).netloc and url.path.startswith("/below/") and not url.fragment
                _must(below and ".." not in url.path.split("/"), f"{call.path} leaves {_BASE}")
                _must("{key}" in call.key.form and bool(call.key.name), f"{call.key} has no place for the key")
                taken = {name.lower() for name, _ in call.params} | {name.lower() for name in call.headers}
                _must(
                    call.key.name.lower() not in taken,
                    f"the call already has a parameter or header {call.key.name}, which is for the key",
                )

    # --- replies ---

    def test_recorded_replies_give_their_rows_every_time_without_network_and_clock(self) -> None:
        for number, recording in enumerate(self.recordings):
            with _isolated():
                page, again = self._read(recording, recording.body), self._read(recording, recording.body)
            good = page.reply_rows
            _must(good == recording.rows, f"recording {number} has {recording.rows} good rows, {good} were read")
            _must(_bars(page) == _bars(again), f"recording {number} is read differently the second time")

    def test_a_cut_body_is_never_a_success(self) -> None:
        for number, recording in enumerate(self.recordings):
            whole = recording.body.rstrip()
            is_json = whole[:1] in (b"{", b"[")
            for end in sorted({1, 2, len(whole) - 1, *range(0, len(whole), max(1, len(whole) // _CUTS))}):
                body = whole[:end]
                if is_json or not body.endswith(b"\n"):  # a CSV cut behind a line end is whole; Content-Length tells
                    self._raises(Unavailable, body, what=f"recording {number} cut after {end} bytes", recording=recording)

    def test_rows_in_another_order_or_twice_never_make_a_wrong_series(self) -> None:
        for number, recording in enumerate(self.recordings):
            original = set(_bars(self._read(recording, recording.body)))
            for what, body in _shuffled(recording.body):
                try:
                    found = _bars(self._read(recording, body))
                except FetchError:
                    continue
                _must(set(found) <= original, f"recording {number}, {what}: bars that the response does not have")
                _must(len(set(found)) == len(found), f"recording {number}, {what}: a duplicate bar")
                order = [(bar[0], bar[1]) for bar in found]
                _must(order == sorted(order), f"recording {number}, {what}: a series is out of order")

    def test_what_is_no_answer_of_the_vendor_is_unavailable(self) -> None:
        pages = [(200, _HTML), (403, _HTML), (404, _HTML), (200, b""), (200, b" \r\n")]
        noise = [(200, b"Service temporarily unavailable\n"), (200, b"null"), (200, b"[" * 100_000), (200, b'{"\xff": 1}')]
        for status, body in (*pages, *noise, *((status, b"{}") for status in (500, 502, 503, 504))):
            self._raises(Unavailable, body, what=f"status {status} with {body[:40]!r}", status=status)

    def test_a_429_is_a_rate_limit_that_keeps_the_vendors_retry_after(self) -> None:
        for body in (b"", b"{}", _HTML):
            error = self._raises(RateLimited, body, what="a 429", status=429, headers={"retry-after": "7"})
            _must(isinstance(error, RateLimited) and error.retry_after_ms == 7_000, "the 429's Retry-After of 7 s is lost")

    def test_a_refused_key_is_never_rows(self) -> None:
        for status in (401, 403):
            for body in (b'{"error": "no"}', b"", _HTML):
                self._raises((BadCredentials, NotEntitled, Unavailable), body, what=f"status {status}", status=status)

    # --- wishes, requests and responses for the tests ---

    def _options(self) -> VendorOptions:
        found: VendorOptions = self.vendor.options(base_url=_BASE, **self.options)
        return found

    def _wishes(self) -> Iterator[JobSpec]:
        """Yields every symbol form over every range. A vendor that serves only recent data may refuse the old ones."""
        for form in self.vendor.symbol_forms:
            for start, end in _RANGES:
                yield _wish(self.vendor.name, form.dataset, form.examples, form.timespan, start, end)
        for dataset in self.vendor.datasets:
            for form in self.vendor.symbol_forms:
                for timespan in dataset.timespans if form.dataset == dataset.name else ():
                    spec = _wish(self.vendor.name, form.dataset, form.examples, timespan, *_RANGES[2])
                    try:
                        self._plan(spec)
                    except PlanError:  # not every symbol has every timespan
                        continue
                    yield spec

    def _plan(self, spec: JobSpec) -> list[Request]:
        return self.vendor.plan(spec, self._options())

    def _requests(self) -> Iterator[Request]:
        """Yields the first request of every wish."""
        for spec in self._wishes():
            yield self._plan(spec)[0]

    def _read(self, recording: Recording, body: bytes) -> Page:
        request = Request(provider=self.vendor.name, dataset=recording.dataset, symbol=recording.symbol)
        return self.vendor.read_reply(request, HttpReply(200, recording.headers, body), self._options())

    def _raises(
        self,
        kind: type[FetchError] | tuple[type[FetchError], ...],
        body: bytes,
        *,
        what: str,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        recording: Recording | None = None,
    ) -> FetchError:
        asked = [] if recording else list(self._requests())[:1]
        known = recording or Recording(b"", 0)
        request = asked[0] if asked else Request(provider=self.vendor.name, dataset=known.dataset, symbol=known.symbol)
        try:
            page = self.vendor.read_reply(request, HttpReply(status, headers or known.headers, body), self._options())
        except kind as error:
            return error
        except Exception as error:
            raise AssertionError(f"{what}: raised {type(error).__name__} ({error}) instead of {_names(kind)}") from error
        raise AssertionError(f"{what}: gave {page.rows} rows instead of {_names(kind)}")


def _wish(provider: str, dataset: str, symbols: Sequence[str], timespan: Timespan, start: date, end: date) -> JobSpec:
    return JobSpec(
        provider=provider, dataset=dataset, symbols=tuple(symbols), timespan=timespan, start=start, end=end, as_of=_AS_OF
    )


def _bars(page: Page) -> list[tuple[str, int, float]]:
    """Returns every bar as (series, ts, close), in the page's order."""
    return [
        (f"{one.symbol} {one.timespan} {one.adjustment}", int(ts), float(close))
        for one in sorted(page.series, key=lambda one: (one.symbol, one.timespan, one.adjustment))
        for ts, close in zip(one.bars.ts, one.bars.close, strict=True)
    ]


def _shuffled(body: bytes) -> Iterator[tuple[str, bytes]]:
    """Yields a JSON response with its longest list or object reordered, and with a duplicate row; nothing for other formats."""
    try:
        for what in ("reversed", "rotated", "a row twice"):
            document = json.loads(body)
            longest = max(_containers(document), key=len)
            rows: list[Any] = list(longest.items()) if isinstance(longest, dict) else list(longest)
            changed = {"reversed": rows[::-1], "rotated": rows[1:] + rows[:1], "a row twice": [*rows, *rows[-1:]]}[what]
            longest.clear()
            longest.update(changed) if isinstance(longest, dict) else longest.extend(changed)
            yield what, json.dumps(document).encode()
    except ValueError:
        return


def _containers(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list):
        yield value
        for one in value.values() if isinstance(value, dict) else value:
            yield from _containers(one)


@contextmanager
def _isolated() -> Iterator[None]:
    """Makes sockets and `time.time` fail in this block."""

    def refuse(*_: object, **__: object) -> NoReturn:
        raise AssertionError("a vendor's functions are pure: this one used the network or the clock")

    with mock.patch.object(socket, "socket", refuse), mock.patch.object(time, "time", refuse):
        yield


def _names(kind: type[FetchError] | tuple[type[FetchError], ...]) -> str:
    return " or ".join(one.__name__ for one in (kind if isinstance(kind, tuple) else (kind,)))


def _must(fact: bool, sentence: str) -> None:
    if not fact:
        raise AssertionError(sentence)
