"""The contract of a vendor as tests that any package can run with pytest. They need no network and take about a second.

    class TestAcme(VendorConformance):
        vendor = VENDOR
        recordings = (Recording(Path("day.json").read_bytes(), rows=5),)

A failure is an AssertionError whose message names the wish, the request or the response. docs/add-a-vendor.md shows it in use.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from types import MappingProxyType
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

from marketfetch.schemas.job_spec import WHOLE_END, WHOLE_START, JobSpec
from marketfetch.schemas.page import Page
from marketfetch.schemas.record_kinds import KINDS
from marketfetch.schemas.request import Request
from marketfetch.schemas.symbol_text import WHOLE_MARKET
from marketfetch.schemas.timespans import Timespan
from marketfetch.vendors.asked_days import missed_days, missed_sessions
from marketfetch.vendors.errors import (
    BadCredentials,
    BadRequest,
    Fatal,
    FetchError,
    Gone,
    NotEntitled,
    PlanError,
    RateLimited,
    Unavailable,
    UnknownSymbol,
)
from marketfetch.vendors.finality import is_final
from marketfetch.vendors.http import HttpReply
from marketfetch.vendors.protocol import Vendor, VendorOptions
from marketfetch.vendors.purity import isolated
from marketfetch.vendors.reply_parsing import as_utf8
from marketfetch.vendors.reply_variants import WORDS, fields_of, in_other_bytes, shuffled, with_values
from marketfetch.vendors.times import day_start_ms, zone_info
from marketfetch.vendors.whole_market import is_whole_market

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
_PROXIES: Final = (
    *(b"error code: 1020", b"error code: 1015\n", b"RBAC: access denied", b"default backend - 404", b"no healthy upstream"),
    b"upstream connect error or disconnect/reset before headers. reset reason: connection failure",
)
#: Words that no vendor knows, with what might be a key, and a sentence of the kind that ended a good key.
_LEAK: Final = "QWERTYUIOPASDFGH"
_UNKNOWN: Final = f"the wind has turned for {_LEAK}"
_EXAMPLE_URL: Final = "the wind has turned, for a quote see e.g. https://vendor.test/query?symbol=ZZZ&apikey=demo."
_SENTENCES: Final = ("error", "message", "detail", "Error Message", "Information")


@dataclass(frozen=True, slots=True)
class Recording:
    """The body of a good response, and the number of its good rows. `dataset` and `symbol` are those of its request."""

    body: bytes
    rows: int
    dataset: str = "bars"
    symbol: str = "ASKED"
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class RecordedError:
    """An error of the vendor as it came, and the name of its class in the error tree."""

    status: int
    body: bytes
    kind: str


class VendorConformance:
    """Subclass it with a `vendor`, with `recordings` of good replies and `errors`; pytest runs every test below.

    `options` are the vendor's options other than `base_url`.
    """

    vendor: ClassVar[Vendor[Any]]
    recordings: ClassVar[Sequence[Recording]] = ()
    errors: ClassVar[Sequence[RecordedError]] = ()
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
            usual = {"adjustment": self.vendor.usual_adjustment(spec.dataset, spec.timespan)}
            for request in (*self._plan(spec), *self._plan(spec.model_copy(update=usual))):
                zone_info(self.vendor.zone(request, self._options()))
                self.vendor.build_request(request, self._options())

    def test_the_vendors_own_symbol_forms_are_not_refused(self) -> None:
        for spec in (one for one in self._wishes() if one.start == _RANGES[3][0]):
            self.vendor.check_wish(spec, self._options())  # its PlanError names the symbol

    # --- plan ---

    def test_a_plan_is_the_same_every_time_without_network_and_clock(self) -> None:
        for spec in self._wishes():
            with isolated():
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
                if is_whole_market(self.vendor, spec.dataset):
                    calendar = self.vendor.finality_of(requests[0], self._options()).calendar
                    missed = missed_sessions(spec, requests, calendar=calendar)
                else:
                    missed = missed_days(spec, requests)
                _must(not missed, f"{symbol}: {missed}")

    def test_a_list_is_asked_for_whole_once_a_symbol_and_its_records_are_of_a_known_kind(self) -> None:
        for dataset in (one for one in self.vendor.datasets if one.records):
            _must(dataset.records in KINDS and not dataset.has_bars, f"{dataset.name}: no records of a kind of record_kinds.py")
            forms = [form for form in self.vendor.symbol_forms if form.dataset == dataset.name] or self.vendor.symbol_forms[:1]
            symbols = (WHOLE_MARKET,) if dataset.whole_market else forms[0].examples
            spec = _wish(self.vendor.name, dataset.name, symbols, "1d", WHOLE_START, WHOLE_END)
            self.vendor.check_wish(spec, self._options())
            with isolated():
                first = self._plan(spec)
            _must([one.symbol for one in first] == list(spec.symbols), f"{dataset.name}: one request for each symbol is asked")
            _must(all(one.start is one.end is None for one in first), f"{dataset.name}: a list has no range")
            for request in first:
                self.vendor.build_request(request, self._options())
                zone_info(self.vendor.zone(request, self._options()))

    # --- finality ---

    def test_bars_are_final_some_time_after_their_day_and_not_before(self) -> None:
        for request in (request for spec in self._wishes() for request in self._plan(spec)):
            with isolated():
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
                with isolated():
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
            with isolated():
                page, again = self._read(recording, recording.body), self._read(recording, recording.body)
            good = page.reply_rows
            _must(good == recording.rows, f"recording {number} has {recording.rows} good rows, {good} were read")
            _must(_rows(page) == _rows(again), f"recording {number} is read differently the second time")

    def test_a_cut_body_is_never_a_success(self) -> None:
        for number, recording in enumerate(self.recordings):
            whole = recording.body.rstrip()
            is_json = whole[:1] in (b"{", b"[")
            for end in sorted({1, 2, len(whole) - 1, *range(0, len(whole), max(1, len(whole) // _CUTS))}):
                body = whole[:end]
                if is_json or not body.endswith(b"\n"):  # a CSV cut behind a line end is whole; Content-Length tells
                    self._raises(Unavailable, body, what=f"recording {number} cut after {end} bytes", recording=recording)

    def test_rows_in_another_order_or_twice_are_the_same_series(self) -> None:
        for number, recording in enumerate(self.recordings):
            original = _rows(self._read(recording, recording.body))
            for what, body in shuffled(recording.body) if original else ():
                page = self._read(recording, body)
                _must(_rows(page) == original, f"recording {number}, {what}: other rows than the response has")
                _must(not page.rejects, f"recording {number}, {what}: {list(page.rejects)[:1]}")

    def test_an_absent_value_is_absent_in_every_spelling_or_a_reject(self) -> None:
        for number, recording in enumerate(self.recordings):
            original = _rows(self._read(recording, recording.body))
            for row, name in fields_of(recording.body) if original else ():
                where = f"recording {number}, {name!r} of row {row}"
                found = {one: self._good_and_bad(recording, with_values(recording.body, row, name, one)) for one in WORDS}
                odd = [word for word, counts in found.items() if counts != found[None]]
                _must(not odd, f"{where}: {odd} are read otherwise than null: {found}")
                _must(sum(found[None]) >= recording.rows, f"{where}: without it the row is neither a row nor a reject")

    def test_the_same_bytes_in_another_spelling_are_the_same_rows(self) -> None:
        for number, recording in enumerate(self.recordings):
            original = self._read(recording, recording.body)
            for what, body in in_other_bytes(recording.body):
                page = self._read(recording, body)
                _must(_rows(page) == _rows(original), f"recording {number}: {what} changes the rows")

    def test_bad_rows_never_take_the_good_ones_with_them(self) -> None:
        for number, recording in enumerate(self.recordings):
            original = _rows(self._read(recording, recording.body))
            for row, name in fields_of(recording.body) if original else ():
                good, bad = self._good_and_bad(recording, with_values(recording.body, row, name, -1))
                _must(good >= recording.rows - 1, f"recording {number}: -1 in {name!r} of row {row} costs {bad} rows")

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

    # --- verdicts on keys: docs/decisions/0020 ---

    def test_the_text_of_a_proxy_is_unavailable_and_blames_no_key(self) -> None:
        for status in (200, 401, 403, 404):
            for body in _PROXIES:
                error = self._raises(Unavailable, body, what=f"status {status} with {body[:40]!r}", status=status)
                blamed = isinstance(error, Unavailable) and error.unknown == "refusal"
                _must(not blamed, f"status {status} with {body[:40]!r} counts as a refusal of the key")

    def test_an_unknown_refusal_is_unavailable_counts_and_is_quoted_without_a_key(self) -> None:
        for status in (401, 403):
            for said in (_UNKNOWN, _EXAMPLE_URL):
                quotes = [json.dumps({name: said}).encode() for name in _SENTENCES]
                for body in (said.encode(), *quotes):
                    error = self._raises(Unavailable, body, what=f"status {status} with {body[:60]!r}", status=status)
                    counts = isinstance(error, Unavailable) and error.unknown == "refusal"
                    _must(counts, f"status {status} with {body[:60]!r} is not raised by unknown_refusal")
                    _must("the wind" in error.message, f"the words of {body[:60]!r} are not quoted: {error.message}")
                    _must(_LEAK not in error.message and "=demo" not in error.message, f"quoted with a key: {error.message}")
            self._raises(Unavailable, b"{}", what=f"status {status} with an empty object", status=status)

    def test_a_sentence_that_quotes_an_example_url_blames_no_key(self) -> None:
        for status in (200, 400, 404, 422):
            for name in _SENTENCES:
                error = self._raises(FetchError, json.dumps({name: _EXAMPLE_URL}).encode(), what="a sentence", status=status)
                _must(not isinstance(error, BadCredentials), f"status {status}, {name}: an example URL blames the key")

    def test_a_404_in_plain_text_is_final(self) -> None:
        for body in (b"404 page not found\n", b"Not Found", b"no such page"):
            error = self._raises(Fatal, body, what=f"a 404 with {body!r}", status=404, headers={"content-type": "text/plain"})
            final = isinstance(error, BadRequest | UnknownSymbol | Gone)
            _must(final, f"a 404 with {body!r} is {type(error).__name__}, not BadRequest, UnknownSymbol or Gone")

    def test_a_recorded_error_is_its_class_with_a_byte_order_mark_and_in_latin_1_too(self) -> None:
        for number, one in enumerate(self.errors):
            bodies = [one.body, b"\xef\xbb\xbf" + one.body]
            if one.body.lstrip()[:1] == b"{":
                bodies.append(one.body.replace(b"{", b'{"served by": "Jos\xe9", ', 1))
            for body in bodies:
                error = self._raises(FetchError, body, what=f"error {number}", status=one.status)
                found = type(error).__name__
                _must(found == one.kind, f"error {number} ({body[:60]!r}) is {found}, not {one.kind}")

    # --- wishes, requests and responses for the tests ---

    def _options(self) -> VendorOptions:
        found: VendorOptions = self.vendor.options(base_url=_BASE, **self.options)
        return found

    def _wishes(self) -> Iterator[JobSpec]:
        """Yields every symbol form over every range. A vendor that serves only recent data may refuse the old ones."""
        lists = {dataset.name for dataset in self.vendor.datasets if dataset.records}
        for form in (one for one in self.vendor.symbol_forms if one.dataset not in lists):
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
        return self.vendor.read_reply(request, as_utf8(HttpReply(200, recording.headers, body)), self._options())

    def _good_and_bad(self, recording: Recording, body: bytes) -> tuple[int, int]:
        """The rows of the response that are read, and those that are rejects; without any row, all are bad."""
        try:
            page = self._read(recording, body)
        except FetchError:
            return 0, recording.rows
        return page.reply_rows, page.bad_rows

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
            reply = as_utf8(HttpReply(status, headers or known.headers, body))
            page = self.vendor.read_reply(request, reply, self._options())
        except kind as error:
            return error
        except Exception as error:
            raise AssertionError(f"{what}: raised {type(error).__name__} ({error}) instead of {_names(kind)}") from error
        raise AssertionError(f"{what}: gave {page.rows} rows instead of {_names(kind)}")


def _wish(provider: str, dataset: str, symbols: Sequence[str], timespan: Timespan, start: date, end: date) -> JobSpec:
    return JobSpec(
        provider=provider, dataset=dataset, symbols=tuple(symbols), timespan=timespan, start=start, end=end, as_of=_AS_OF
    )


def _rows(page: Page) -> list[tuple[Any, ...]]:
    """Returns every bar as (series, ts, close), in the page's order, and every record."""
    bars = [
        (f"{one.symbol} {one.timespan} {one.adjustment}", int(ts), float(close))
        for one in sorted(page.series, key=lambda one: (one.symbol, one.timespan, one.adjustment))
        for ts, close in zip(one.bars.ts, one.bars.close, strict=True)
    ]
    return [*bars, *page.records.rows]


def _names(kind: type[FetchError] | tuple[type[FetchError], ...]) -> str:
    return " or ".join(one.__name__ for one in (kind if isinstance(kind, tuple) else (kind,)))


def _must(fact: bool, sentence: str) -> None:
    if not fact:
        raise AssertionError(sentence)
