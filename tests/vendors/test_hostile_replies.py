"""The border around every vendor's reader: bounded, redacted, printable, and no exception outside the error tree."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from marketfetch.printable import printable
from marketfetch.schemas.bars import BarColumns, BarSeries
from marketfetch.schemas.page import Page, Quirk, Reject
from marketfetch.schemas.rejects import MOST_KEPT, MOST_REASONS, Rejects
from marketfetch.schemas.request import Request
from marketfetch.settings import environment
from marketfetch.vendors import names, reading
from marketfetch.vendors.errors import (
    BadRequest,
    FetchError,
    PlanError,
    RateLimited,
    TooManyRejects,
    TooManyRows,
    Unavailable,
)
from marketfetch.vendors.http import HttpReply
from marketfetch.vendors.protocol import Vendor
from marketfetch.vendors.reply_parsing import LONGEST_WAIT_MS, calls_counted, retry_after_ms
from marketfetch.vendors.reply_size import check_size
from tests.vendors import fuzz
from tests.vendors.worst_bodies import KINDS, all_vendors, body_of, request_for

ROOT = Path(__file__).parents[2]
VENDORS = all_vendors()
EVERY = pytest.mark.parametrize("name", sorted(VENDORS))
#: Files have tests of their own: they are no JSON.
DATASETS = [(name, one.name) for name, known in VENDORS.items() for one in known.datasets if not one.from_files]
SECRETS = ("Zq9X+pW/7=&k%3Tmv", "a\"b\\c'd<e", "hunterzz")
HOSTILE = "\x1b]0;owned\x07\x1b[31m\r\n\u202eabc\ud800\x00"
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def read_by(monkeypatch) -> Callable[..., Page]:
    """Reads a reply of a vendor, the fourth one too; `reader` stands in for the vendor's own read_reply."""

    def read(name: str, reply: HttpReply, *, reader: Any = None, request: Request | None = None, **how: Any) -> Page:
        known: Vendor[Any] = VENDORS[name] if reader is None else replace(VENDORS[name], read_reply=reader)
        monkeypatch.setattr(reading, "vendor", lambda _: known)
        asked = request or Request(provider=name, symbol="IBM")
        return reading.read(
            asked, reply, known.options(base_url="http://vendor.test"), max_reject_share=how.pop("share", 1.0), **how
        )

    return read


def raising(error: BaseException) -> Any:
    def reader(*_: object) -> Page:
        raise error

    return reader


def giving(page: Page) -> Any:
    return lambda *_: page


OK = HttpReply(200, {}, b"{}")


# --- no exception outside the tree


@EVERY
@pytest.mark.parametrize(
    "error",
    [
        ValueError(f"http://x?apikey={SECRETS[0]}"), OverflowError("x"), KeyError("t"), RecursionError(), MemoryError(),
        TypeError(), AttributeError(), UnicodeEncodeError("utf-8", "\ud800", 0, 1, "x"), StopIteration(), AssertionError(),
    ],
    ids=lambda one: type(one).__name__,
)  # fmt: skip
def test_whatever_a_reader_raises_is_unavailable_and_says_only_its_kind(read_by, name, error):
    with pytest.raises(Unavailable, match=re.escape(f"the response could not be read ({type(error).__name__})")) as caught:
        read_by(name, OK, reader=raising(error))
    assert type(caught.value) is Unavailable
    assert caught.value.__context__ is caught.value.__cause__ is None
    assert SECRETS[0] not in str(caught.value)


@EVERY
def test_a_plan_error_stays_what_it_is(read_by, name):
    with pytest.raises(PlanError, match="no such dataset"):
        read_by(name, OK, reader=raising(PlanError("no such dataset")))


@EVERY
@pytest.mark.parametrize(
    "what", ["x", "TS", "²", "9" * 5_000, "1e400", "NaN", "-Infinity", "9999-12-31", "0001-01-01", "\\ud800"]
)
def test_a_good_body_with_an_odd_value_anywhere_ends_in_the_tree(read_by, name, what):
    for dataset in VENDORS[name].datasets:
        body = body_of(name, dataset.name, "good rows out of range", 300, 50)
        for found in list(re.finditer(rb'"[^"]*"|[0-9.]+', body))[:24]:
            for value in (what.encode(), b'"' + what.encode() + b'"'):
                reply = HttpReply(200, {}, body[: found.start()] + value + body[found.end() :])
                try:
                    page = read_by(name, reply, request=request_for(name, dataset.name))
                except FetchError as error:
                    assert error.message.isprintable()  # noqa: PT017 (most of them are no error)
                else:
                    assert all(one.value.isprintable() for one in page.rejects)


@pytest.mark.parametrize(
    "next_url", ["http://[::1", "http://x]/y", "https://x/%", "/a\\b", "//evil.test/x", "http://h:99999999/x", 5, {}, []]
)
def test_a_damaged_next_url_is_no_exception_of_another_kind(read_by, next_url):
    body = {"status": "OK", "results": [{"t": 1704085200000, "o": 1, "h": 1, "l": 1, "c": 1}], "next_url": next_url}
    try:
        page = read_by("polygon", HttpReply(200, {}, json.dumps(body).encode()))
    except FetchError as error:
        assert "the response could not be read" not in error.message  # noqa: PT017 (a page is as good)
    else:
        assert page.next is None or page.next.startswith("/")


def test_two_thousand_mutated_replies_end_in_the_tree_each_within_two_seconds():
    found = fuzz.run(2_000, seed=20_261_120)
    assert found.failures == []
    assert found.slowest_s < fuzz.MOST_S
    assert {line.split()[0] for line in found.outcomes} == set(names())


# --- text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, with ümlauts and 株価 and emoji 📈", "plain, with ümlauts and 株価 and emoji 📈"),
        ("\x1b[31mred", "\\x1b[31mred"), ("\x9b31m", "\\x9b31m"),
        ("a\r\nb\t", "a\\r\\nb\\t"), ("\u202eabc\u2066", "\\u202eabc\\u2066"),
        ("\ud800", "\\ud800"), ("\x00", "\\x00"), ("\u2028", "\\u2028"), ("\u200b", "\\u200b"), ("a\xa0b", "a b"), ("", ""),
    ],
)  # fmt: skip
def test_what_controls_a_terminal_becomes_a_visible_escape(text, shown):
    assert printable(text) == shown
    assert printable(shown).isprintable()


@pytest.mark.parametrize("text", ["x" * 5_000, "\x1b" * 5_000, "\ud800" * 99, "x" * 98 + "\x1b"])
def test_a_printable_text_is_bounded_and_encodable(text):
    shown = printable(text, most=100)
    assert len(shown) <= 100
    assert shown.isprintable()
    assert shown.endswith("...")
    assert shown.encode()


def harmless(text: str, most: int) -> bool:
    return text.isprintable() and len(text) <= most and not any(secret in text for secret in SECRETS)


def hostile_page(**more: Any) -> Page:
    said = f"{HOSTILE}{' '.join(SECRETS)}{'x' * 9_000}"
    bars = BarColumns.build(np.array([0, 1]), close=np.array([1.0, 2.0]))
    rejects = tuple(Reject(n, said, said, said, said) for n in range(3))
    return Page(series=(BarSeries("x", HOSTILE, "1d", "raw", bars),), rejects=rejects, quirks=(Quirk(said, 1),), **more)


@EVERY
def test_every_text_of_a_page_is_harmless_behind_the_border(read_by, name):
    page = read_by(name, OK, reader=giving(hostile_page()), secrets=SECRETS)
    texts = [text for one in page.rejects for text in (one.field, one.value, one.reason, one.symbol)]
    texts += [*page.reject_counts, *(one.name for one in page.quirks)]
    assert all(harmless(text, 600) for text in texts)
    assert all(len(one.value) <= 200 for one in page.rejects)
    assert all(one.symbol.isprintable() for one in page.series)
    assert page.rejected == 3


@EVERY
@pytest.mark.parametrize("kind", [Unavailable, BadRequest, TooManyRejects, TooManyRows])
def test_every_error_is_harmless_behind_the_border(read_by, name, kind):
    error = kind(f"{HOSTILE}{' '.join(SECRETS)}{'x' * 99_999}")
    if kind is TooManyRejects:
        error.page = hostile_page(next=HOSTILE)
    with pytest.raises(kind) as caught:
        read_by(name, OK, reader=raising(error), secrets=SECRETS)
    assert harmless(str(caught.value), 1_000)
    assert harmless(str(caught.value.args[0]), 1_000)
    for one in caught.value.page.rejects if kind is TooManyRejects else ():
        assert harmless(one.value, 200)


@EVERY
@pytest.mark.parametrize("secret", SECRETS)
def test_the_vendors_own_words_are_in_no_message_with_the_key(read_by, name, secret):
    for status in (200, 400, 401, 403, 404, 422, 429, 500):
        for field in ("error", "message", "Error Message", "Information", "Note", "status", "next_url"):
            for body in ({field: f"your key {secret} {HOSTILE}"}, {"quandl_error": {"code": "QESx08", "message": secret}}):
                try:
                    read_by(name, HttpReply(status, {}, json.dumps(body).encode()), secrets=(secret,))
                except FetchError as error:
                    assert secret not in error.message  # noqa: PT017 (most of them are no error)
                    assert error.message.isprintable()  # noqa: PT017 (most of them are no error)


# --- the next cursor


@EVERY
@pytest.mark.parametrize("cursor", ["\x1b[31m", "a\nb", "é", "\ud800", "c" * 8_193, f"abc{SECRETS[0]}", f"/x/{SECRETS[2]}?a=b"])
def test_a_damaged_cursor_is_a_damaged_reply(read_by, name, cursor):
    with pytest.raises(Unavailable, match="the reply is damaged") as caught:
        read_by(name, OK, reader=giving(Page(next=cursor)), secrets=SECRETS)
    assert harmless(str(caught.value), 1_000)


@EVERY
def test_a_cursor_loses_the_parameter_that_holds_the_key(read_by, name):
    for spelled in (SECRETS[0], "Zq9X%2BpW%2F7%3D%26k%253Tmv", "Zq9X%252BpW%252F7%253D%2526k%25253Tmv"):
        given = f"/v3/x?cursor=1&access_token={spelled}&limit=5"
        page = read_by(name, OK, reader=giving(Page(next=given)), secrets=SECRETS)
        assert page.next is not None
        assert "cursor=1" in page.next
        assert "limit=5" in page.next
        assert "Zq9X" not in page.next
    assert read_by(name, OK, reader=giving(Page(next="/v3/x?a=b&c")), secrets=SECRETS).next == "/v3/x?a=b&c"


# --- rows come from the untouched bytes


@pytest.mark.parametrize(("name", "dataset"), DATASETS)
def test_a_key_that_equals_a_symbol_a_number_or_a_date_changes_no_row(read_by, name, dataset):
    body = body_of(name, dataset, "good rows out of range", 3_000, 50)
    request = request_for(name, dataset).model_copy(update={"start": None, "end": None})
    plain, hidden = (
        read_outcome(read_by, name, body, request, secrets) for secrets in ((), ("IBM", "1000", "2.5", "1990-01-01"))
    )
    assert plain == hidden
    assert plain[0] in ("rows", "NoData", "TooManyRejects")


def read_outcome(read_by: Any, name: str, body: bytes, request: Request, secrets: tuple[str, ...]) -> tuple[Any, ...]:
    try:
        page = read_by(name, HttpReply(200, {}, body), request=request, secrets=secrets)
    except FetchError as error:
        return type(error).__name__, error.status
    columns = [
        (one.symbol, one.timespan, one.adjustment, one.bars.ts.tolist(), one.bars.close.tolist(), str(one.bars.volume.tolist()))
        for one in page.series
    ]
    return "rows", columns, page.records.rows, page.rejected


# --- when to come back, and other numbers


@pytest.mark.parametrize(
    ("value", "expected_ms"),
    [
        ("9" * 5_000, LONGEST_WAIT_MS), ("99999999", 99_999_999_000), ("999999999999", LONGEST_WAIT_MS),
        ("1e400", None), ("-5", None),
        ("²", None), ("٣", None), ("nan", None), ("inf", None), ("\ud800", None), ("5" + " " * 99_999, 5_000),
        ("0.0000001", None),
        ("Fri, 20 Nov 2026 12:05:00 GMT", 300_000), ("Fri, 31 Dec 9999 23:59:59 -1200", None),
        ("Sun, 32 Nov 2026 10:00:00 GMT", None),
    ],
)  # fmt: skip
@EVERY
def test_any_retry_after_is_bounded_and_a_date_is_counted_by_our_clock(read_by, name, value, expected_ms):
    with pytest.raises(RateLimited) as caught:
        read_by(name, HttpReply(429, {"retry-after": value}, b"{}"), now=NOW)
    wait_ms = caught.value.retry_after_ms
    if expected_ms is None:
        # What is no wait leaves the vendor's own default.
        assert wait_ms is None or wait_ms <= 60_000
    else:
        assert wait_ms == expected_ms


def test_a_date_is_counted_from_the_replys_own_date_where_it_has_one_that_can_be_read():
    late = "Fri, 20 Nov 2026 12:05:00 GMT"
    for said, expected_ms in (("Fri, 20 Nov 2026 12:04:00 GMT", 60_000), ("yesterday", 300_000), ("", 300_000)):
        reply = reading._dated(HttpReply(429, {"retry-after": late, "date": said}, b""), NOW)
        assert retry_after_ms(reply.headers) == expected_ms


@EVERY
@pytest.mark.parametrize("wait", [-5, 0, float("nan"), float("inf"), 10**400, "soon", True])
def test_a_wait_that_a_vendors_reader_made_is_bounded_too(read_by, name, wait):
    for error in (RateLimited("x", scope="minute", retry_after_ms=wait), Unavailable("x", retry_after_ms=wait)):
        with pytest.raises(FetchError) as caught:
            read_by(name, OK, reader=raising(error))
        found = caught.value.retry_after_ms  # type: ignore[attr-defined]
        assert found is None or 0 < found <= LONGEST_WAIT_MS


@pytest.mark.parametrize("text", ["9" * 5_000, "²", "٣", "-1", "1e9", "", "99999999999999999999"])
def test_a_count_that_is_no_number_of_calls_is_none(text):
    assert calls_counted({"x-ratelimit-limit": text, "x-ratelimit-remaining": "1"}) is None
    assert calls_counted({"x-ratelimit-limit": "5", "x-ratelimit-remaining": text}) is None


# --- how much


@pytest.mark.parametrize(("name", "dataset"), [one for one in DATASETS if one[1] != "snapshots"])
def test_more_rows_than_a_reply_can_have_fail_with_both_numbers(read_by, name, dataset):
    most = VENDORS[name].most_rows
    body = body_of(name, dataset, "good rows out of range", 7_500_000, most)
    with pytest.raises(TooManyRows, match=f"{most:,}") as caught:
        read_by(name, HttpReply(200, {}, body), request=request_for(name, dataset))
    assert re.search(r"sent (at least )?[\d,]+ (rows|objects and lists|values)", caught.value.message)
    assert "none was kept" in caught.value.message


@pytest.mark.parametrize("status", [400, 401, 429, 500])
@EVERY
def test_an_error_body_of_many_brackets_keeps_its_meaning(read_by, name, status):
    with pytest.raises(FetchError) as caught:
        read_by(name, HttpReply(status, {}, b"[" * 262_144))
    assert not isinstance(caught.value, TooManyRows)


def test_brackets_and_commas_inside_texts_are_no_rows():
    text = json.dumps({"note": '[{,\\"' * 600_000, "x": ["\\\\", '"'] * 3}).encode()
    check_size(HttpReply(200, {}, text), most_rows=10, who="x")
    with pytest.raises(TooManyRows, match="4,002 objects and lists"):
        check_size(HttpReply(200, {}, b'{"a":[' + b",".join([b'{"x":"[[{{"}'] * 4_000) + b"]}"), most_rows=10, who="x")


@EVERY
def test_all_rejects_are_counted_and_the_first_hundred_of_each_reason_kept(read_by, name):
    def page(*_: object) -> Page:
        return Page(rejects=tuple(Reject(n, "close", str(n), f"reason {n % 2}") for n in range(1_000)))

    found = read_by(name, OK, reader=page)
    assert (found.rejected, found.bad_rows, len(found.rejects)) == (1_000, 1_000, 2 * MOST_KEPT)
    assert found.reject_counts == {"close: reason 0": 500, "close: reason 1": 500}
    assert [one.row for one in found.rejects] == list(range(200))
    assert "1,000 rows failed their checks" in found.left_out
    with pytest.raises(TooManyRejects, match=r"1000 of 1000 .* reason 0 \(500\)"):
        read_by(name, OK, reader=page, share=0.5)


def test_reasons_are_bounded_too():
    rejects = Rejects.together(Reject(n, "close", "x", f"reason {n}") for n in range(5_000))
    assert rejects.total == 5_000
    assert len(rejects.counts) <= MOST_REASONS + 1
    assert len(rejects) <= (MOST_REASONS + 1) * MOST_KEPT


@pytest.mark.parametrize("name", sorted(VENDORS))
def test_the_worst_bodies_cost_six_times_their_bytes_and_ten_seconds_at_most(name):
    """Every dataset and kind, in seconds of CPU; a peak is that of the whole process, which has 200 MB for itself.

    Two hundred bodies are many, so these have 1 MB. `make fuzz` reads those of the size limit, 64 MB.
    """
    done = subprocess.run(
        [sys.executable, "-m", "tests.vendors.worst_bodies", "1", name],
        cwd=ROOT,
        # Where branches are counted they are not counted here: that would be what is measured.
        env={variable: value for variable, value in environment().items() if not variable.startswith("COVERAGE_")},
        capture_output=True,
        text=True,
        timeout=800,
        check=False,
    )
    assert done.returncode == 0, "\n".join(line for line in done.stdout.splitlines() if "TOO MUCH" in line) + done.stderr
    assert len(done.stdout.splitlines()) == len(KINDS) * len(VENDORS[name].datasets)
    assert "NOT IN THE TREE" not in done.stdout
