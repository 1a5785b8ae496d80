"""The vendors of this repository pass the suite that any package's vendor passes."""

from __future__ import annotations

import gzip
import json
import time
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from marketfetch.sandbox.market import Market
from marketfetch.sandbox.polygon_files import day_file
from marketfetch.schemas.page import Page
from marketfetch.schemas.record_kinds import Records
from marketfetch.vendors import vendor
from marketfetch.vendors.conformance import RecordedError, Recording, VendorConformance
from marketfetch.vendors.errors import BadCredentials, PlanError, Unavailable
from marketfetch.vendors.finality import Finality
from marketfetch.vendors.http import HttpRequest, KeyPlace
from marketfetch.vendors.protocol import Vendor

RECORDINGS = Path(__file__).parent.parent / "recordings"
_GOOD = vendor("polygon")
#: As the sandbox makes it: no file of the vendor's own is recorded.
_FILE = day_file(Market(seed=1, today=date(2024, 7, 3)), date(2024, 7, 3), ("AAPL", "BRK.B", "IBM", "KO", "MSFT"))


def recorded(name: str, rows: int, dataset: str = "bars") -> Recording:
    return Recording((RECORDINGS / name).read_bytes(), rows, dataset=dataset)


def refused(name: str, kind: str, status: int = 200) -> RecordedError:
    return RecordedError(status, (RECORDINGS / name).read_bytes(), kind)


class TestAlphaVantage(VendorConformance):
    vendor = vendor("alpha_vantage")
    recordings = (
        recorded("alpha_vantage/daily_small.json", 2),
        recorded("alpha_vantage/daily_adjusted_small.json", 2),
        recorded("alpha_vantage/intraday_1min_MSFT.json", 100),
        recorded("alpha_vantage/fx_daily_EURUSD.csv", 100),
        recorded("alpha_vantage/market_status.json", 2, dataset="market_status"),
        recorded("alpha_vantage/symbol_search_MSF.json", 1, dataset="search"),
        recorded("alpha_vantage/splits_IBM.csv", 2, dataset="splits"),
        recorded("alpha_vantage/dividends_IBM.csv", 110, dataset="dividends"),
    )
    errors = (
        refused("alpha_vantage/err_missing_key.json", "BadCredentials"),
        refused("alpha_vantage/err_info_daily_cap.json", "RateLimited"),
        refused("alpha_vantage/err_invalid_call_unknown_symbol.json", "UnknownSymbol"),
    )


class TestPolygon(VendorConformance):
    vendor = vendor("polygon")
    options = {"file_keys": {"*": "id:secret"}}  # noqa: RUF012
    recordings = (
        recorded("polygon/mock_aggs_daily_AAPL.json", 2),
        recorded("polygon/openbb_equity_daily_AAPL_2023-01-01_2023-01-10.json", 6),
        recorded("polygon/mock_snapshot_AAPL.json", 1, dataset="snapshots"),
        recorded("polygon/docs_grouped_2020-10-14.json", 3, dataset="grouped"),
        recorded("polygon/mock_marketstatus_now.json", 6, dataset="market_status"),
        recorded("polygon/mock_splits.json", 10, dataset="splits"),
        recorded("polygon/mock_dividends.json", 10, dataset="dividends"),
        recorded("polygon/mock_tickers_page1.json", 2, dataset="symbols"),
        Recording(gzip.decompress(_FILE), 5, dataset="flat_files", symbol="*"),
    )
    errors = (
        refused("polygon/err_401_unknown_key.json", "BadCredentials", 401),
        refused("polygon/err_403_entitlement.json", "NotEntitled", 403),
        refused("polygon/err_400_bad_date.json", "BadRequest", 400),
    )


class TestNasdaq(VendorConformance):
    vendor = vendor("nasdaq")
    recordings = (
        recorded("nasdaq/dataset_MULTPL_SP500_PE_excerpt.json", 12, dataset="datasets"),
        recorded("nasdaq/datatable_NDAQ_RTAT10_excerpt.json", 12, dataset="NDAQ/RTAT10"),
        recorded("nasdaq/wiki_prices_table_export.csv", 916, dataset="WIKI/PRICES"),
        recorded("nasdaq/dataset_MULTPL_SP500_PE_excerpt.json", 12, dataset="values"),
        recorded("nasdaq/datatable_NDAQ_RTAT10_excerpt.json", 12, dataset="values"),
    )
    errors = (
        refused("nasdaq/err_403_QEPx04.json", "NotEntitled", 403),
        refused("nasdaq/err_404_QECx02.json", "UnknownSymbol", 404),
        refused("nasdaq/err_422_QESx08.json", "BadRequest", 422),
    )


def _fails(broken: Vendor[Any], name: str) -> bool:
    suite = type("Broken", (TestPolygon,), {"vendor": broken})()
    try:
        getattr(suite, name)()
    except (AssertionError, IndexError, PlanError):
        return True
    return False


def _asks_the_clock(spec, options):
    time.time()
    return _GOOD.plan(spec, options)


def _leaves_a_day_out(spec, options):
    found = _GOOD.plan(spec, options)
    return [one.model_copy(update={"start": spec.start + timedelta(days=1)}) for one in found]


def _refuses_its_own(spec, options):
    raise PlanError("no symbol is right")


def _calls_another_host(request, options):
    return HttpRequest("@evil.test/x", (), KeyPlace("query", "key"))


def _blames_the_key_for_a_status(request, reply, options):
    if reply.status in (401, 403):
        raise BadCredentials("the key is rejected", status=reply.status)
    return _GOOD.read_reply(request, reply, options)


def _asks_again_for_a_missing_address(request, reply, options):
    if reply.status == 404:
        raise Unavailable("retry later", status=reply.status)
    return _GOOD.read_reply(request, reply, options)


def _never_final(request, options):
    return Finality(calendar="XNYS", delay_minutes=60 * 24 * 365)


def _final_before_the_session(request, options):
    return Finality(calendar="24/7", zone="Pacific/Kiritimati", delay_minutes=0)


def _asks_the_clock_for_the_delay(request, options):
    return Finality(delay_minutes=int(time.time()))


def _asks_for_a_range_of_a_list(spec, options):
    ranged = {"start": date(2020, 1, 1), "end": date(2020, 12, 31)}
    return [one if one.start else one.model_copy(update=ranged) for one in _GOOD.plan(spec, options)]


def _keeps_every_row_of_a_list(request, reply, options):
    page = _GOOD.read_reply(request, reply, options)
    rows = json.loads(reply.body).get("results", []) if reply.body.startswith(b"{") else []
    return replace(page, records=Records(page.records.kind, tuple((repr(row),) for row in rows))) if len(page.records) else page


def _never_raises(request, reply, options):
    return Page()


@pytest.mark.parametrize(
    ("change", "found_by"),
    [
        ({"plan": _leaves_a_day_out}, "test_the_requests_cover_every_asked_day_once"),
        ({"plan": _asks_the_clock}, "test_a_plan_is_the_same_every_time_without_network_and_clock"),
        (
            {"plan": _asks_for_a_range_of_a_list},
            "test_a_list_is_asked_for_whole_once_a_symbol_and_its_records_are_of_a_known_kind",
        ),
        ({"read_reply": _keeps_every_row_of_a_list}, "test_rows_in_another_order_or_twice_are_the_same_series"),
        ({"finality": _never_final}, "test_bars_are_final_some_time_after_their_day_and_not_before"),
        ({"finality": _final_before_the_session}, "test_bars_are_final_some_time_after_their_day_and_not_before"),
        ({"finality": _asks_the_clock_for_the_delay}, "test_bars_are_final_some_time_after_their_day_and_not_before"),
        ({"check_wish": _refuses_its_own}, "test_the_vendors_own_symbol_forms_are_not_refused"),
        ({"build_request": _calls_another_host}, "test_a_call_stays_below_the_base_url_and_carries_no_key"),
        ({"read_reply": _blames_the_key_for_a_status}, "test_the_text_of_a_proxy_is_unavailable_and_blames_no_key"),
        (
            {"read_reply": _blames_the_key_for_a_status},
            "test_an_unknown_refusal_is_unavailable_counts_and_is_quoted_without_a_key",
        ),
        ({"read_reply": _asks_again_for_a_missing_address}, "test_a_404_in_plain_text_is_final"),
        ({"read_reply": _never_raises}, "test_a_sentence_that_quotes_an_example_url_blames_no_key"),
        ({"read_reply": _never_raises}, "test_a_recorded_error_is_its_class_with_a_byte_order_mark_and_in_latin_1_too"),
        ({"read_reply": _never_raises}, "test_a_refused_key_is_never_rows"),
        ({"read_reply": _never_raises}, "test_a_cut_body_is_never_a_success"),
    ],
)
def test_the_suite_finds_a_vendor_that_does_not_conform(change, found_by):
    assert not _fails(_GOOD, found_by)
    assert _fails(replace(_GOOD, **change), found_by)
