"""Every recorded reply is read as its line in MANIFEST.tsv says; what can be taken from the line's words is taken from them."""

from __future__ import annotations

import csv
import re
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from marketfetch.schemas.page import Page
from marketfetch.schemas.request import Request
from marketfetch.vendors import errors, vendor
from marketfetch.vendors.http import HttpReply
from marketfetch.vendors.reading import read

RECORDINGS = Path(__file__).parent.parent / "recordings"


def _manifest() -> dict[str, dict[str, str]]:
    with (RECORDINGS / "MANIFEST.tsv").open() as lines:
        return {line["file"]: line for line in csv.DictReader(lines, delimiter="\t")}


MANIFEST = _manifest()


def _names_an_error(line: dict[str, str]) -> bool:
    word = re.match(r"\w+", line["what a good client makes of it"])
    return word is not None and isinstance(getattr(errors, word[0], None), type)


ERRORS = {name: line for name, line in MANIFEST.items() if _names_an_error(line)}
ROWS = {name: line for name, line in MANIFEST.items() if name not in ERRORS}

#: What the reply's reader is told, as `marketfetch read` would be; "bars" wherever the reply speaks for itself.
DATASETS = {
    "alpha_vantage/digital_currency_daily_BTCEUR.csv": "DIGITAL_CURRENCY_DAILY",
    "polygon/docs_grouped_2020-10-14.json": "grouped",
    "polygon/mock_marketstatus_now.json": "market_status",
}
#: Series of values, and rows unsorted over several symbols: "first" and "last" of the file are no bar of one series.
SEVERAL_SYMBOLS = ("nasdaq/wiki_prices_table_export.csv", "nasdaq/datatable_NDAQ_RTAT10_excerpt.json")
ONLY_DATES = "nasdaq/v1_dataset_112.csv"


def read_recording(name: str, *, max_reject_share: float = 0.0) -> Page:
    status = re.search(r"HTTP (\d{3})", MANIFEST[name]["what"])
    request = Request(provider=name.split("/")[0], dataset=DATASETS.get(name, "bars"), symbol="ASKED")
    reply = HttpReply(status=int(status[1]) if status else 200, headers={}, body=(RECORDINGS / name).read_bytes())
    options = vendor(request.provider).options(base_url="http://vendor.test")
    return read(request, reply, options, max_reject_share=max_reject_share)


def test_the_manifest_and_the_folder_name_the_same_files():
    files = {str(path.relative_to(RECORDINGS)) for path in RECORDINGS.rglob("*") if path.is_file()}
    # No vendor's words: what our own earlier releases left behind, and their sources.
    ours = {name for name in files if name.startswith(("databases/", "gate/", "releases/", "results/"))}
    with (RECORDINGS / "cases" / "MANIFEST.tsv").open() as lines:
        cases = {f"cases/{line['file']}" for line in csv.DictReader(lines, delimiter="\t")}
    assert files - ours == {*MANIFEST, *cases, "MANIFEST.tsv", "cases/MANIFEST.tsv"}


@pytest.mark.parametrize("name", sorted(ERRORS))
def test_an_error_body_is_the_error_its_line_names(name):
    named = re.match(r"\w+", MANIFEST[name]["what a good client makes of it"])
    assert named is not None
    with pytest.raises(getattr(errors, named[0])) as caught:
        read_recording(name)
    assert type(caught.value).__name__ == named[0]


@pytest.mark.parametrize(
    ("name", "scope", "retry_after_ms"),
    [
        ("alpha_vantage/err_note_5_per_min_legacy.json", "minute", 60_000),
        ("alpha_vantage/err_info_daily_cap.json", "day", None),
        ("polygon/err_429.json", "minute", None),
        ("nasdaq/err_429_QELx04_speed.json", "window", None),
    ],
)
def test_a_rate_limit_names_its_window_and_when_to_come_back_if_the_vendor_does(name, scope, retry_after_ms):
    with pytest.raises(errors.RateLimited) as caught:
        read_recording(name)
    assert (caught.value.scope, caught.value.retry_after_ms) == (scope, retry_after_ms)


def test_the_key_that_the_daily_cap_echoes_is_in_no_message():
    with pytest.raises(errors.RateLimited) as caught:
        read_recording("alpha_vantage/err_info_daily_cap.json")
    assert "XXXX" not in repr(caught.value)
    assert "XXXX" not in str(caught.value)


@pytest.mark.parametrize("name", sorted(set(ROWS) - {ONLY_DATES}))
def test_a_reply_with_data_has_the_rows_its_line_counts_and_no_reject(name):
    line = MANIFEST[name]["what a good client makes of it"]
    counted = re.search(r"(\d+) (?:rows|bars|monthly rows)|n_results=(\d+)", line)
    assert counted is not None
    page = read_recording(name)
    assert page.reply_rows == int(counted[1] or counted[2])
    assert page.rejects == ()


def _first_and_last(line: str) -> tuple[str, str] | None:
    by_file = re.search(r"first\(file order\)=([\d-]+(?: [\d:]+)?) last=([\d-]+(?: [\d:]+)?)", line)
    if by_file:
        return by_file[2], by_file[1]  # Alpha Vantage: newest first.
    by_range = re.search(r"(\d{4}-\d\d-\d\d)\.\.(\d{4}-\d\d-\d\d)", line)
    return (by_range[1], by_range[2]) if by_range else None


DATED = [
    name
    for name, line in ROWS.items()
    if name not in (*SEVERAL_SYMBOLS, ONLY_DATES)
    and "polygon" not in name
    and _first_and_last(line["what a good client makes of it"])
    and not re.search(r"splits|dividends", name)
]


@pytest.mark.parametrize("name", DATED)
def test_the_first_and_the_last_bar_start_when_the_line_says_in_the_exchanges_zone(name):
    dates = _first_and_last(MANIFEST[name]["what a good client makes of it"])
    assert dates is not None
    series = read_recording(name).series[0]
    zone = ZoneInfo("UTC" if re.search("fx_|digital", name) else "America/New_York")
    for ts, text in zip((series.bars.ts[0], series.bars.ts[-1]), dates, strict=True):
        local = datetime.fromtimestamp(int(ts) / 1000, UTC).astimezone(zone)
        told = datetime.fromisoformat(text).replace(tzinfo=zone)
        if series.timespan == "1w":
            assert local.weekday() == 0
            assert 0 <= (told - local).days < 7
        else:
            assert local == told


@pytest.mark.parametrize("name", [name for name in ROWS if "first t=" in ROWS[name]["what a good client makes of it"]])
def test_polygons_first_and_last_t_are_taken_as_they_are(name):
    moments = re.findall(r"t=(\d{13})", MANIFEST[name]["what a good client makes of it"])
    (series,) = read_recording(name).series
    assert [str(series.bars.ts[0]), str(series.bars.ts[-1])] == moments
    assert series.adjustment == "split"


@pytest.mark.parametrize(
    ("name", "next_page"),
    [
        ("polygon/mock_tickers_page1.json", "/v3/reference/tickers?cursor="),
        ("nasdaq/datatable_NDAQ_RTAT10_excerpt.json", "djFfMzM2MF8xNzE5NDg0MTg2"),
    ],
)
def test_a_page_that_is_not_the_last_names_the_next_one(name, next_page):
    found = read_recording(name).next
    assert found is not None
    assert found.startswith(next_page)
    assert "://" not in found


def test_only_the_two_paged_recordings_have_a_next_page():
    assert [name for name in sorted(set(ROWS) - {ONLY_DATES}) if read_recording(name).next] == [
        "nasdaq/datatable_NDAQ_RTAT10_excerpt.json",
        "polygon/mock_tickers_page1.json",
    ]


def test_the_dataset_that_holds_only_dates_has_132_rejects_and_fails_whole():
    """Its recording lost every column but the date: 132 rows, each without the value that a bar needs."""
    with pytest.raises(errors.TooManyRejects, match="132 of 132") as caught:
        read_recording(ONLY_DATES, max_reject_share=0.99)
    page = caught.value.page
    assert page is not None
    assert (page.rejected, len(page.rejects)) == (132, 100)
    assert {(reject.field, reject.value) for reject in page.rejects} == {("close", "")}


def test_an_adjusted_reply_gives_the_printed_and_the_adjusted_series():
    raw, adjusted = read_recording("alpha_vantage/weekly_adjusted.json").series
    assert (raw.adjustment, adjusted.adjustment) == ("raw", "split_dividend")
    assert (raw.bars.close[0], adjusted.bars.close[0]) == (17.4, 3.48)
    assert adjusted.bars.low[0] == pytest.approx(14.98 * 3.48 / 17.4)
    assert raw.bars.volume.tolist() == adjusted.bars.volume.tolist()


def test_wiki_prices_gives_two_series_per_ticker():
    page = read_recording("nasdaq/wiki_prices_table_export.csv")
    assert {(one.symbol, one.adjustment): len(one.bars) for one in page.series} == {
        (symbol, adjustment): rows
        for symbol, rows in (("AAPL", 252), ("BRK_A", 252), ("MSFT", 252), ("ZEN", 160))
        for adjustment in ("raw", "split_dividend")
    }
    apple = page.series[0].bars
    assert (apple.open[0], apple.close[0], apple.volume[0]) == (555.68, 553.13, 8381600.0)


def test_records_hold_what_the_recordings_say():
    quote = read_recording("alpha_vantage/global_quote_IBM.csv").records.named()[0]
    assert (quote["symbol"], quote["price"], quote["day"], quote["previous_close"]) == ("IBM", 219.3, "2026-05-15", 218.37)
    splits = read_recording("alpha_vantage/splits_IBM.csv").records.named()
    assert [(one["ex_date"], one["new_shares"], one["old_shares"]) for one in splits] == [
        ("1999-05-27", 2.0, 1.0),
        ("2021-11-04", 1.046, 1.0),
    ]
    dividend = read_recording("alpha_vantage/dividends_IBM.csv").records.named()[0]
    assert (dividend["ex_date"], dividend["amount"], dividend["paid"]) == ("1999-02-08", 0.22, None)
    (google,) = (one for one in read_recording("polygon/mock_splits.json").records.named() if one["symbol"] == "GOOGL")
    assert (google["ex_date"], google["new_shares"], google["old_shares"]) == ("2022-07-18", 20, 1)
