"""A body cut anywhere is never a success, and never a statement about the key, the plan or the symbol."""

from __future__ import annotations

from pathlib import Path

import pytest

from marketfetch.schemas.request import Request
from marketfetch.vendors import vendor
from marketfetch.vendors.errors import FetchError, Gone, RateLimited, Unavailable
from marketfetch.vendors.http import HttpReply
from marketfetch.vendors.reading import read
from tests.providers.test_every_recording import ONLY_DATES, ROWS

RECORDINGS = Path(__file__).parent.parent / "recordings"
WITH_DATA = sorted(name for name in ROWS if name != ONLY_DATES)
#: Cuts tried per file: a prime number of steps, so that they fall on ever other places of a row.
CUTS = 97


def _read(name: str, body: bytes, status: int = 200) -> int:
    datasets = {
        "mock_splits": "splits", "mock_dividends": "dividends", "mock_tickers_page1": "tickers",
        "docs_grouped_2020-10-14": "grouped", "mock_marketstatus_now": "market_status",
    }  # fmt: skip
    provider, _, file = name.partition("/")
    request = Request(provider=provider, dataset=datasets.get(file.partition(".")[0], "bars"), symbol="ASKED")
    options = vendor(request.provider).options(base_url="http://vendor.test")
    return read(request, HttpReply(status, {}, body), options, max_reject_share=1.0).reply_rows


@pytest.mark.parametrize("name", WITH_DATA)
def test_a_body_cut_at_any_byte_is_unavailable(name):
    """A CSV cut exactly behind a line end is whole text; only Content-Length tells, which is the transport's to see."""
    body = (RECORDINGS / name).read_bytes()
    _read(name, body)
    ends = {*range(0, len(body.rstrip()), max(1, len(body) // CUTS)), 1, 2, len(body.rstrip()) - 1}
    for end in sorted(ends):
        if name.endswith(".csv") and body[:end].endswith(b"\n"):
            continue
        with pytest.raises(Unavailable):
            _read(name, body[:end])


@pytest.mark.parametrize("name", [name for name in WITH_DATA if name.endswith(".csv")])
def test_a_csv_whose_last_row_is_short_is_cut_although_its_line_ends(name):
    body = (RECORDINGS / name).read_bytes().rstrip()
    row = body.rfind(b",")
    with pytest.raises(Unavailable, match="truncated"):
        _read(name, body[:row] + b"\n")


@pytest.mark.parametrize("provider", ["alpha_vantage", "polygon", "nasdaq"])
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b""),
        (200, b"  \r\n"),
        (200, b"Service temporarily unavailable\n"),
        (200, b"<!DOCTYPE html><html><body>Incapsula incident</body></html>"),
        (403, b"<html><head></head><body>Request unsuccessful. Incapsula incident ID</body></html>"),
        (404, b"<html>not here</html>"),
        (200, b"[1, 2, 3]"),
        (200, b"null"),
        (200, b'{"something": "else"}'),
        (200, b"[" * 100_000),
        (200, b'{"\xff\xfe": 1}'),
        (499, b""),
        (500, b'{"status":"ERROR"}'),
        (503, b"<html>busy</html>"),
        (504, b""),
        (599, b"?"),
    ],
)
def test_what_is_no_answer_of_the_vendor_is_unavailable_from_all_of_them(provider, status, body):
    with pytest.raises(Unavailable):
        _read(f"{provider}/x", body, status)


@pytest.mark.parametrize("provider", ["alpha_vantage", "polygon", "nasdaq"])
@pytest.mark.parametrize("body", [b"", b"<html>slow down</html>", b"{}"])
def test_a_429_is_a_rate_limit_whatever_its_body_holds(provider, body):
    with pytest.raises(RateLimited):
        _read(f"{provider}/x", body, 429)


@pytest.mark.parametrize("provider", ["polygon", "nasdaq"])
@pytest.mark.parametrize("body", [b"", b"<html>gone</html>", b'{"quandl_error":{"code":"QECx02","message":"x"}}'])
def test_a_410_is_gone_whatever_its_body_holds(provider, body):
    with pytest.raises(Gone):
        _read(f"{provider}/x", body, 410)


@pytest.mark.parametrize("provider", ["alpha_vantage", "polygon", "nasdaq"])
@pytest.mark.parametrize("status", [201, 204, 301, 302, 400, 401, 403, 404, 406, 418, 422])
def test_every_other_status_ends_in_the_error_tree(provider, status):
    with pytest.raises(FetchError) as caught:
        _read(f"{provider}/x", b'{"detail": "no"}', status)
    assert caught.value.status in (status, None)
