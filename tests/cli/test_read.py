"""`marketfetch read`: every recorded reply, read from the command line as its manifest line says."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from marketfetch.cli.main import marketfetch
from marketfetch.vendors import errors

RECORDINGS = Path(__file__).parents[1] / "recordings"
LINES = list(csv.DictReader((RECORDINGS / "MANIFEST.tsv").read_text().splitlines(), delimiter="\t"))
#: What the file holds where that is no bars of a dataset that "bars" would find.
DATASETS = {
    "alpha_vantage/global_quote_IBM.csv": "GLOBAL_QUOTE",
    "alpha_vantage/splits_IBM.csv": "SPLITS",
    "alpha_vantage/dividends_IBM.csv": "DIVIDENDS",
    "polygon/docs_grouped_2020-10-14.json": "grouped",
    "polygon/mock_splits.json": "splits",
    "polygon/mock_dividends.json": "dividends",
    "polygon/mock_tickers_page1.json": "tickers",
    "polygon/mock_marketstatus_now.json": "market_status",
    "nasdaq/wiki_prices_table_export.csv": "WIKI/PRICES",
    "nasdaq/datatable_NDAQ_RTAT10_excerpt.json": "NDAQ/RTAT10",
    "nasdaq/dataset_MULTPL_SP500_PE_excerpt.json": "MULTPL/SP500_PE_RATIO_MONTH",
}
#: A column of dates and nothing else: rows without a price.
WITHOUT_PRICES = "nasdaq/v1_dataset_112.csv"

Read = Callable[..., Result]


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Read:
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()
    return lambda *arguments, **more: runner.invoke(marketfetch, ["read", *arguments], **more)


def told(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    document: dict[str, Any] = json.loads(result.stdout)
    return document


@pytest.mark.parametrize("line", LINES, ids=[line["file"] for line in LINES])
def test_every_recording_is_told_as_its_manifest_line_says(read: Read, line: dict[str, str]) -> None:
    name, expected = line["file"], line["what a good client makes of it"]
    status = re.search(r"HTTP (\d{3})", line["what"])
    arguments = ["--status", status[1]] if status else []
    provider = name.partition("/")[0]
    document = told(read(provider, DATASETS.get(name, "bars"), str(RECORDINGS / name), *arguments, "--json"))
    assert {"outcome", "rows", "rejects", "first_ts", "last_ts", "next", "retry_after"} <= set(document)
    if name == WITHOUT_PRICES:
        assert (document["outcome"], document["rejected"]) == ("TooManyRejects", 132)
        assert len(document["rejects"]) == 100
        return
    kind = re.match(r"\w+", expected)
    if kind and issubclass(getattr(errors, kind[0], object), errors.FetchError):
        assert (document["outcome"], document["rows"]) == (kind[0], 0)
    else:
        rows = re.search(r"n_results=(\d+)|(\d+) (?:monthly )?(?:rows|bars)", expected)
        assert rows is not None
        assert document["outcome"] == "rows"
        assert document["rows"] == int(rows[1] or rows[2])
        assert document["rejects"] == []
    assert (document["next"] is not None) == ("MORE PAGES" in expected or "next_url=http" in expected)


def test_times_are_the_starts_of_the_first_and_the_last_bar(read: Read) -> None:
    file = RECORDINGS / "polygon" / "mock_aggs_daily_AAPL.json"
    document = told(read("polygon", "bars", str(file), "--json"))
    assert (document["first_ts"], document["last_ts"]) == (1112331600000, 1112587200000)


def test_headers_and_status_are_read_as_they_would_come(read: Read) -> None:
    file = str(RECORDINGS / "polygon" / "err_429.json")
    with_header = told(read("polygon", "bars", file, "--status", "429", "--header", "Retry-After: 5", "--json"))
    without = told(read("polygon", "bars", file, "--status", "429", "--json"))
    assert (with_header["outcome"], with_header["retry_after"]) == ("RateLimited", 5.0)
    assert without["retry_after"] is None


def test_the_body_may_come_from_stdin_and_rejects_are_told_with_their_reasons(read: Read) -> None:
    body = json.loads((RECORDINGS / "polygon" / "openbb_equity_daily_AAPL_2023-01-01_2023-01-10.json").read_text())
    body["results"][3]["h"] = 1.0
    document = told(read("polygon", "bars", "-", "--json", input=json.dumps(body).encode()))
    assert (document["outcome"], document["rows"]) == ("rows", 5)
    (reject,) = document["rejects"]
    assert (reject["row"], reject["field"], reject["value"]) == (3, "h", "1.0")
    assert "high is below" in reject["reason"]


def test_people_get_a_calm_table(read: Read) -> None:
    result = read("alpha_vantage", "bars", str(RECORDINGS / "alpha_vantage" / "ts_daily_IBM.csv"), "--symbol", "IBM")
    assert result.exit_code == 0
    assert "outcome    rows" in result.stdout
    assert "IBM 1d raw (traded prices): 100 bars" in result.stdout
    assert "2025-12-22 05:00 to 2026-05-15 04:00 (UTC" in result.stdout


def test_the_key_that_a_vendor_echoes_is_not_repeated(read: Read) -> None:
    file = RECORDINGS / "alpha_vantage" / "err_info_daily_cap.json"
    echoed = re.search(r"API key as (\S+)", file.read_text())
    assert echoed is not None
    result = read("alpha_vantage", "bars", str(file), "--json")
    assert told(result)["outcome"] == "RateLimited"
    assert echoed[1] not in result.output


@pytest.mark.parametrize("provider", ["alpha_vantage", "polygon", "nasdaq"])
@pytest.mark.parametrize(
    ("body", "status"), [(b'{"results": [{"o": 1', 200), (b"<html>busy</html>", 200), (b"", 502), (b"\x00\xff", 200)]
)
def test_what_is_no_reply_is_never_rows(read: Read, provider: str, body: bytes, status: int) -> None:
    document = told(read(provider, "bars", "-", "--status", str(status), "--json", input=body))
    assert document["outcome"] == "Unavailable"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["polygn", "bars"], "Did you mean 'polygon'"),
        (["polygon", "barz"], "no dataset 'barz'"),
        (["alpha_vantage", "TIME_SERIES_DALY"], "Did you mean TIME_SERIES_DAILY"),
    ],
)
def test_a_vendor_or_dataset_that_is_none_is_one_sentence(read: Read, arguments: list[str], says: str) -> None:
    result = read(*arguments, "-", input=b"{}")
    assert result.exit_code == 2
    assert len(result.output.strip().splitlines()) == 1
    assert says.lower() in result.output.lower()
