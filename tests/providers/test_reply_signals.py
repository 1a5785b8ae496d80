"""The small signals in a reply: when to come back, and what of the vendor's words may be shown."""

from __future__ import annotations

import copy
import inspect
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketfetch.schemas.page import Page, Reject
from marketfetch.vendors import errors
from marketfetch.vendors.reply_parsing import calls_counted, quoted, retry_after_ms

NOW = "Sun, 22 Nov 2026 10:00:00 GMT"


@pytest.mark.parametrize(
    ("value", "expected_ms"),
    [
        ("5", 5_000),
        (" 60 ", 60_000),
        ("1.5", 1_500),
        ("Sun, 22 Nov 2026 10:00:30 GMT", 30_000),
        ("Sun, 22 Nov 2026 10:00:30 -0000", 30_000),
        ("0", None),
        ("-3", None),
        ("Sun, 22 Nov 2026 09:59:59 GMT", None),
        ("soon", None),
        ("", None),
    ],
)
def test_retry_after_is_read_in_seconds_or_as_a_date_seen_from_the_replys_own_date(value, expected_ms):
    assert retry_after_ms({"retry-after": value, "date": NOW}) == expected_ms


def test_a_retry_after_date_without_the_replys_date_is_no_wait_that_we_could_know():
    assert retry_after_ms({"retry-after": NOW}) is None
    assert retry_after_ms({}) is None


@given(st.text())
def test_any_retry_after_is_a_positive_number_or_none(text):
    found = retry_after_ms({"retry-after": text, "date": NOW})
    assert found is None or found > 0


@given(key=st.text(alphabet="ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=12, max_size=40))
def test_a_vendors_sentence_is_shown_without_what_might_be_a_key(key):
    assert key not in quoted(f"The value {key} of the parameter is wrong")
    assert quoted("Could not parse the time\n parameter: 'from'.") == "Could not parse the time parameter: 'from'."


TREE = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.FetchError)]


@pytest.mark.parametrize("kind", TREE)
def test_every_error_comes_back_whole_from_a_pickle(kind):
    options: dict[str, object] = {"status": 418}
    if issubclass(kind, errors.RateLimited):
        options |= {"scope": "minute", "retry_after_ms": 5}
    if issubclass(kind, errors.TooManyRejects):
        options["page"] = Page(rejects=(Reject.of(3, "close", -1, "bad"),))
    error = kind("what, why, and what to do", **options)
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(again) is kind
        assert str(again) == "what, why, and what to do"
        assert again.__dict__ == error.__dict__
        assert again.args == error.args


@pytest.mark.parametrize(
    ("headers", "counted"),
    [
        ({"x-ratelimit-limit": "50000", "x-ratelimit-remaining": "49994"}, (50_000, 6)),
        ({"x-ratelimit-limit": "300", "x-ratelimit-remaining": "0"}, (300, 300)),
        ({"x-ratelimit-limit": "300", "x-ratelimit-remaining": "400"}, (300, 0)),
        ({"x-ratelimit-limit": "300"}, None),
        ({"x-ratelimit-limit": "many", "x-ratelimit-remaining": "1"}, None),
        ({"x-ratelimit-limit": "-5", "x-ratelimit-remaining": "1"}, None),
        ({}, None),
    ],
)
def test_what_a_vendor_has_counted_is_read_from_its_headers(headers, counted):
    assert calls_counted(headers) == counted
