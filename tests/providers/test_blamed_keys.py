"""Whose fault an error body says it is: the key's only in the vendor's own words. For each vendor, and for recorded bodies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from marketfetch.schemas.page import Page
from marketfetch.schemas.request import Request
from marketfetch.vendors import errors, vendor
from marketfetch.vendors.error_bodies import without_urls
from marketfetch.vendors.errors import FetchError, Unavailable
from marketfetch.vendors.http import HttpReply
from marketfetch.vendors.reading import read
from marketfetch.vendors.reply_parsing import quoted

RECORDINGS = Path(__file__).parent.parent / "recordings" / "cases"
VENDORS = ("alpha_vantage", "nasdaq", "polygon")
KEY = "QWERTYUIOPASDFGH"
FINAL = (errors.BadRequest, errors.UnknownSymbol, errors.Gone)


def read_body(name: str, body: object, *, status: int = 200, content_type: str = "application/json") -> Page | FetchError:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    options = vendor(name).options(base_url="http://vendor.test")
    request = Request(provider=name, symbol="ZZZ")
    try:
        return read(
            request, HttpReply(status, {"content-type": content_type}, data), options, max_reject_share=0.2, secrets=(KEY,)
        )
    except FetchError as error:
        return error


@pytest.mark.parametrize(
    ("name", "status", "kind"),
    [
        ("alpha_vantage/internal_error_with_demo_url.json", 200, "Unavailable"),
        ("alpha_vantage/internal_error_plain.json", 200, "Unavailable"),
        ("alpha_vantage/cf_1020.txt", 403, "Unavailable"),
        ("alpha_vantage/info_sparingly_2025.json", 200, "RateLimited"),
        ("polygon/cf_1020.txt", 403, "Unavailable"),
        ("polygon/cursor_400.json", 400, "BadRequest"),
        ("polygon/go_404.txt", 404, "BadRequest"),
        ("nasdaq/error_bom.json", 403, "RateLimited"),
        ("nasdaq/no_such_datatable.json", 404, "UnknownSymbol"),
    ],
)
def test_a_recorded_error_is_its_class(name, status, kind):
    content_type = "text/plain" if name.endswith(".txt") else "application/json"
    found = read_body(name.split("/")[0], (RECORDINGS / name).read_bytes(), status=status, content_type=content_type)
    assert type(found).__name__ == kind
    # Words that are known count neither as a refusal of the key nor as a sentence to report.
    assert not isinstance(found, Unavailable) or not found.unknown


def test_a_greeting_beside_good_data_is_no_error():
    found = read_body("alpha_vantage", (RECORDINGS / "alpha_vantage/greeting_note_with_data.json").read_bytes())
    assert isinstance(found, Page)
    assert found.reply_rows == 5


BARS = {
    "Time Series (Daily)": {"2024-01-12": {"1. open": "1", "2. high": "1", "3. low": "1", "4. close": "1", "5. volume": "1"}}
}


@pytest.mark.parametrize(
    ("sentence", "outcome"),
    [
        ({"Note": "Welcome"}, "Page"),
        ({"Information": "You may subscribe to instantly unlock all premium endpoints"}, "Page"),
        ({"Information": "This is a premium endpoint. The sample data below is artificial"}, "NotEntitled"),
        ({"Error Message": "Invalid API call. Please retry"}, "UnknownSymbol"),
    ],
)
def test_data_comes_first_and_only_an_error_or_made_up_rows_beside_it_count(sentence, outcome):
    assert type(read_body("alpha_vantage", {**BARS, **sentence})).__name__ == outcome
    assert type(read_body("alpha_vantage", {**sentence, **BARS})).__name__ == outcome


@pytest.mark.parametrize("empty", [{"Global Quote": {}}, {"bestMatches": []}, {"Time Series (Daily)": {}}])
def test_a_sentence_beside_empty_data_counts(empty):
    limit = {"Note": "Our standard API call frequency is 5 calls per minute"}
    assert isinstance(read_body("alpha_vantage", {**empty, **limit}), errors.RateLimited)


def test_a_known_sentence_counts_before_an_unknown_one():
    body = {"Information": "Welcome to our service", "Note": "Our standard API call frequency is 5 calls per minute"}
    assert isinstance(read_body("alpha_vantage", body), errors.RateLimited)


@pytest.mark.parametrize("field", ["Error Message", "Information", "Note"])
def test_an_unknown_sentence_is_asked_again_quoted_and_marked(field):
    found = read_body("alpha_vantage", {field: f"The wind has turned for {KEY}, see https://v.test/query?x=1&apikey=demo"})
    assert isinstance(found, Unavailable)
    assert found.unknown == "sentence"
    assert "a sentence we do not know" in found.message
    assert "The wind has turned" in found.message
    assert KEY not in found.message
    assert "=demo" not in found.message


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("polygon", {"status": "ERROR", "error": "The wind has turned"}),
        ("nasdaq", {"quandl_error": {"code": "QEZx99", "message": "The wind has turned"}}),
    ],
)
def test_an_unknown_error_of_a_200_is_an_unknown_sentence(name, body):
    found = read_body(name, body)
    assert isinstance(found, Unavailable)
    assert (found.unknown, "The wind has turned" in found.message) == ("sentence", True)


def test_an_unknown_sentence_with_a_status_that_says_more_is_a_bad_request():
    found = read_body("alpha_vantage", {"Error Message": "The wind has turned"}, status=400)
    assert isinstance(found, errors.BadRequest)
    assert "The wind has turned" in found.message


@pytest.mark.parametrize("name", VENDORS)
@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize(
    "body", [b"{}", b"Forbidden", b"", b'{"detail": "no"}', f"not today, {KEY}".encode(), b'{"error": "cut']
)
def test_an_unknown_refusal_is_unavailable_and_marked(name, status, body):
    found = read_body(name, body, status=status)
    assert isinstance(found, Unavailable)
    assert found.unknown == "refusal"
    assert KEY not in found.message


@pytest.mark.parametrize("name", VENDORS)
@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("body", [b"error code: 1020", b"<html><body>blocked</body></html>", b"RBAC: access denied"])
def test_what_a_cdn_says_is_no_refusal_of_the_key(name, status, body):
    found = read_body(name, body, status=status)
    assert isinstance(found, Unavailable)
    assert found.unknown == ""


WORDS = "see e.g. https://vendor.test/query?api_key=demo, your api key page is at https://vendor.test/api-key/invalid"


@pytest.mark.parametrize("status", [200, 401, 403])
@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("alpha_vantage", {"Error Message": WORDS}),
        ("polygon", {"status": "ERROR", "error": WORDS}),
        ("nasdaq", {"quandl_error": {"code": "QEZx99", "message": WORDS}}),
        ("nasdaq", {"quandl_error": {"code": "QEPx04", "message": "https://vendor.test/a valid-api-key-is-required"}}),
    ],
)
def test_an_example_url_condemns_no_key(name, body, status):
    assert not isinstance(read_body(name, body, status=status), errors.BadCredentials)


VERDICTS = [
    ("alpha_vantage", 200, {"Error Message": "the parameter apikey is invalid or missing. Please claim your free API key"}),
    ("alpha_vantage", 403, {"Information": "The **demo** API key is for demo purposes only."}),
    ("polygon", 401, {"status": "ERROR", "error": "Unknown API Key"}),
    ("polygon", 401, {"status": "ERROR", "error": "API Key was not provided"}),
    ("polygon", 200, {"status": "ERROR", "error": "Unknown API Key"}),
    ("nasdaq", 400, {"quandl_error": {"code": "QEAx01", "message": "We could not recognize your API key."}}),
]


@pytest.mark.parametrize(("name", "status", "body"), VERDICTS)
def test_the_vendors_own_words_are_a_verdict_with_a_byte_order_mark_and_in_latin_1_too(name, status, body):
    plain = json.dumps(body).encode()
    for data in (plain, b"\xef\xbb\xbf" + plain, plain.replace(b"{", b'{"by": "Jos\xe9", ', 1)):
        found = read_body(name, data, status=status)
        assert isinstance(found, errors.BadCredentials), (data, found)


@pytest.mark.parametrize("form", ["json", "csv"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_an_error_code_is_read_in_every_encoding(form, mark):
    body = '{"quandl_error": {"code": "QECx02", "message": "Code José"}}' if form == "json" else "code,message\nQECx02,José\n"
    for data in (mark + body.encode(), body.encode("latin-1")):
        assert isinstance(read_body("nasdaq", data, status=404), errors.UnknownSymbol)


@pytest.mark.parametrize("name", VENDORS)
@pytest.mark.parametrize("body", [b"404 page not found\n", b"Not Found", b"Jos\xe9 is not here"])
def test_a_plain_404_is_final(name, body):
    found = read_body(name, body, status=404, content_type="text/plain")
    assert isinstance(found, FINAL)
    assert "address is unknown" in found.message


@pytest.mark.parametrize("name", VENDORS)
@pytest.mark.parametrize("body", [b"<html>not here</html>", b"error code: 1001", b"default backend - 404", b""])
def test_a_404_of_a_page_or_a_proxy_is_not_final(name, body):
    assert isinstance(read_body(name, body, status=404, content_type="text/plain"), Unavailable)


def test_the_newer_burst_sentence_names_no_time_so_that_its_pauses_grow():
    found = read_body("alpha_vantage", (RECORDINGS / "alpha_vantage/info_sparingly_2025.json").read_bytes())
    assert isinstance(found, errors.RateLimited)
    assert (found.scope, found.retry_after_ms) == ("second", None)


def test_a_plan_is_known_by_its_words_and_any_other_403_is_not():
    entitled = {"status": "ERROR", "error": "You are not entitled to this data. Please upgrade your plan at https://x.test"}
    assert isinstance(read_body("polygon", entitled, status=403), errors.NotEntitled)
    assert isinstance(read_body("polygon", {"status": "NOT_AUTHORIZED"}, status=403), errors.NotEntitled)
    assert isinstance(read_body("polygon", {"status": "ERROR", "error": "Unknown API Key"}, status=403), errors.BadCredentials)


def test_urls_are_no_words_and_their_queries_are_not_quoted():
    assert without_urls("see (https://x.test/a?apikey=demo) now").split() == ["see", "(", "now"]
    assert quoted("see (https://x.test/a?apikey=demo) now") == "see (https://x.test/a?…) now"
