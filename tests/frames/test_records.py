"""Stored records read back: as rows, frames and files, as they are and as they were known, on both databases."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from click.testing import CliRunner

import marketfetch
from marketfetch.cli.main import marketfetch as command
from marketfetch.frames.record_questions import DATASETS, columns_of, question
from marketfetch.schemas.record_kinds import KINDS
from marketfetch.storage import stored_records
from tests.storage.test_stores_keep_records import reply, split

DAY = 86_400_000


def run(*words: str, code: int = 0) -> Any:
    done = CliRunner().invoke(command, list(words))
    assert done.exit_code == code, done.output
    return done


@pytest.fixture
def kept(configured: str, store: Any) -> Any:
    """AAPL's split is corrected on the third day; KO has one; a table has two rows."""
    apple = [split("2014-06-09", 7.0), split("2020-08-31", 3.0)]
    store.store([reply(10, *apple, root="a"), reply(11, split("2012-08-13", symbol="KO"), symbol="KO", root="k")])
    store.store([reply(2 * DAY + 5, apple[0], split("2020-08-31", 4.0), root="b")])
    rows = [("ZACKS/FC", json.dumps({"n": n}), f"2024-01-0{n}", json.dumps({"n": n, "eps": n / 2})) for n in (1, 2)]
    store.store([reply(20, *rows, kind="value_rows", symbol="ZACKS/FC?x=1", root="v")])
    return store


def test_rows_are_those_of_today_or_of_a_day_or_all_that_were_ever_known(kept: Any) -> None:
    rows = marketfetch.records("splits", symbols="AAPL", as_="rows")
    assert [(row["ex_date"], row["new_shares"]) for row in rows] == [(date(2014, 6, 9), 7.0), (date(2020, 8, 31), 4.0)]
    assert rows[1]["first_seen"] == datetime(1970, 1, 3, 0, 0, 0, 5_000, tzinfo=UTC)
    assert tuple(rows[0]) == columns_of(KINDS["splits"])
    before = marketfetch.records("splits", provider="polygon", symbols=["AAPL"], as_of="1970-01-02", as_="rows")
    assert [row["new_shares"] for row in before] == [7.0, 3.0]
    ever = marketfetch.records("splits", symbols=["AAPL"], gone=True, as_="rows")
    assert [(row["new_shares"], row["gone_at"] is None) for row in ever] == [(7.0, True), (3.0, False), (4.0, True)]
    assert [row["symbol"] for row in marketfetch.records("splits", start="2012-01-01", end="2014-06-09", as_="rows")] == [
        "AAPL", "KO",
    ]  # fmt: skip
    assert marketfetch.records("splits", provider="nasdaq", as_="rows") == []


def test_frames_have_their_types_also_without_a_row(kept: Any) -> None:
    table = marketfetch.records("splits", as_="arrow")
    assert table.column("new_shares").to_pylist() == [7.0, 4.0, 2.0]
    empty = marketfetch.records("dividends", as_="arrow")
    assert empty.num_rows == 0
    assert str(empty.schema.field("frequency").type) == "int64"
    assert marketfetch.records("splits").schema == marketfetch.records("splits", symbols="NONE").schema
    assert len(marketfetch.records("values", as_="pandas")) == 2


def test_many_rows_come_in_parts_with_each_row_once(kept: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_records, "_ROWS_AT_ONCE", 2)
    assert [row["new_shares"] for row in marketfetch.records("splits", as_="rows")] == [7.0, 4.0, 2.0]
    assert marketfetch.records("splits", as_="arrow").num_rows == 3
    assert len(marketfetch.records("values", as_="rows")) == 2


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_kind_can_be_asked_for_by_its_datasets(configured: str, store: Any, dataset: str) -> None:
    assert marketfetch.records(dataset, as_of="1970-01-05", as_="rows") == []
    asked = question(dataset)
    if asked.kind.dated:
        assert marketfetch.records(dataset, start="2020-01-01", end="2020-12-31", as_="rows") == []
    else:
        with pytest.raises(marketfetch.BadRequestError, match="no day of their own"):
            marketfetch.records(dataset, start="2020-01-01")
    if any(one.name == "symbol" for one in asked.kind.columns):
        assert marketfetch.records(dataset, symbols="AAPL", as_="rows") == []
    else:
        with pytest.raises(marketfetch.BadRequestError, match="of no symbol"):
            marketfetch.records(dataset, symbols="AAPL")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"dataset": "splitz"}, "Did you mean splits"),
        ({"dataset": "bars"}, "read by marketfetch.bars"),
        ({"dataset": "splits", "as_": "numpy"}, "as_='polars'"),
        ({"dataset": "splits", "symbols": []}, "a word or a list of words"),
        ({"dataset": "splits", "provider": 5}, "name of a vendor"),
        ({"dataset": "splits", "provider": "polygn"}, "Did you mean 'polygon'"),
        ({"dataset": "splits", "provider": "polygn", "as_": "rows"}, "Did you mean 'polygon'"),
        ({"dataset": "splits", "start": "soon"}, "is no day"),
        ({"dataset": "splits", "start": "2020-01-02", "end": "2020-01-01"}, "range is empty"),
        ({"dataset": "splits", "as_of": "2150-01-01"}, "not known today"),
        ({"dataset": "splits", "as_of": "2020-01-01", "gone": True}, "leave one out"),
    ],
)
def test_a_wrong_argument_is_refused_with_what_to_write(configured: str, wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(marketfetch.BadRequestError, match=says):
        marketfetch.records(**wrong)


def test_show_prints_records_and_says_why_there_are_none(kept: Any) -> None:
    shown = run("show", "AAPL", "--dataset", "splits").stdout
    assert "2020-08-31" in shown
    assert "new_shares" in shown
    assert "KO" not in shown
    document = json.loads(run("show", "--dataset", "splits", "--last", "1", "--json").stdout)
    assert (document["total"], [row["symbol"] for row in document["rows"]]) == (3, ["KO"])
    values = json.loads(run("show", "ZACKS/FC", "--dataset", "values", "--json").stdout)
    assert values["rows"][0]["cells"] == {"n": 1, "eps": 0.5}
    assert "eps" in run("show", "ZACKS/FC", "--dataset", "values").stdout
    assert (
        "`marketfetch fetch PROVIDER MSFT --dataset splits` fetches them" in run("show", "MSFT", "--dataset", "splits").stderr
    )
    kept.store([replace(reply(30, symbol="MSFT", root="m"))])
    assert "the list that polygon gave on 1970-01-01 has none" in run("show", "MSFT", "--dataset", "splits").stderr
    assert run("show", "AAPL", "--dataset", "splitz", code=2).stderr.startswith("Error: No records are stored as 'splitz'.")
    run("show", "AAPL", "--dataset", "splits", "--adjustment", "raw", code=2)
    run("show", code=2)


def test_what_show_lacks_is_told_apart(kept: Any, tmp_path: Path) -> None:
    early = run("show", "AAPL", "--dataset", "splits", "--as-of", "1969-12-31").stderr
    assert "No splits of AAPL were known on 1969-12-31: the first of what is stored came on 1970-01-01." in early
    other = run("show", "AAPL", "--dataset", "splits", "--start", "2022-01-01", "--end", "2022-12-31").stderr
    assert "No splits of AAPL fit: 3 rows of other days, or corrected ones, are stored." in other
    none = ("--start", "2022-01-01", "--end", "2022-12-31")
    assert "No splits of AAPL fit: 3 rows" in run("show", "AAPL", "--dataset", "splits", *none, "--json").stderr
    written = run("export", "none.csv", "--dataset", "splits", "--symbols", "AAPL", *none)
    assert "No splits of AAPL fit: 3 rows of other days, or corrected ones, are stored. The file has no row." in written.stderr
    assert len((tmp_path / "none.csv").read_text().splitlines()) == 1
    assert "fetches them. The file has no row." in run("export", "no.csv", "--dataset", "splits", "--symbols", "T").stderr
    elsewhere = run("show", "AAPL", "--dataset", "splits", "--provider", "alpha_vantage").stderr
    assert "`marketfetch fetch alpha_vantage AAPL --dataset splits` fetches them" in elsewhere
    assert "Did you mean 'polygon'" in run("show", "AAPL", "--dataset", "splits", "--provider", "polygn", code=2).stderr
    assert "Did you mean 'polygon'" in run("export", "s.csv", "--dataset", "splits", "--provider", "polygn", code=2).stderr
    assert not (tmp_path / "s.csv").exists()


def test_rows_of_a_vendor_that_is_not_installed_any_more_are_read(kept: Any) -> None:
    kept.store(
        [replace(reply(40, split("2012-08-13"), root="o"), ledger=replace(reply(40, root="o").ledger, provider="olden"))]
    )
    assert [row["provider"] for row in marketfetch.records("splits", provider="olden", as_="rows")] == ["olden"]


def test_export_writes_one_file_of_records(kept: Any, tmp_path: Path) -> None:
    done = json.loads(run("export", "splits.csv", "--dataset", "splits", "--json").stdout)
    assert done["rows"] == 3
    first = next(csv.DictReader((tmp_path / "splits.csv").read_text().splitlines()))
    assert (first["symbol"], first["ex_date"], float(first["new_shares"])) == ("AAPL", "2014-06-09", 7.0)
    run("export", "splits.csv", "--dataset", "splits", code=1)
    run("export", "splits.csv", "--dataset", "splits", "--overwrite", "--symbols", "KO")
    assert len((tmp_path / "splits.csv").read_text().splitlines()) == 2
    run("export", "out/", "--dataset", "values")
    table = pyarrow.parquet.read_table(tmp_path / "out" / "values.parquet")
    assert table.column("symbol").to_pylist() == ["ZACKS/FC", "ZACKS/FC"]
    run("export", "x.csv", "--dataset", "splits", "--timespan", "1d", code=2)


def test_what_a_job_has_fetched_is_found_by_its_requests(kept: Any) -> None:
    from marketfetch.storage.store import Job

    kept.save_job(Job(id="j", spec="{}", created_at_ms=1), ["b"])
    found = stored_records.records_of_job(kept, KINDS["splits"], "j")
    assert [(row[1], row[3]) for row in found] == [("AAPL", 7.0), ("AAPL", 4.0)]


def test_an_ending_of_another_format_than_the_one_that_is_named_is_refused(kept, tmp_path):
    done = run("export", "splits.csv", "--dataset", "splits", "--to", "parquet", code=1)
    assert "splits.csv ends in .csv, and --to says parquet: leave --to out" in done.stderr
    assert not (tmp_path / "splits.csv").exists()
    assert run("export", "splits.csv", "--dataset", "splits", "--to", "csv").exit_code == 0


def test_the_records_of_a_universe_are_those_of_its_symbols(kept, tmp_path):
    (tmp_path / "some.txt").write_text("KO\nNEWER\nKO\n")
    found = marketfetch.records("splits", symbols=["@some.txt"], as_="arrow")
    assert set(found.column("symbol").to_pylist()) == {"KO"}


def test_the_last_rows_are_shown_and_how_many_there_are(kept):
    done = run("show", "--dataset", "splits", "--last", "1")
    assert "The last 1 of 3 rows: --last shows more, `marketfetch export` writes all." in done.stderr
    assert "The last" not in run("show", "--dataset", "splits", "--last", "3").stderr
