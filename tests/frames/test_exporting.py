"""`marketfetch export`: files that other programs read, whole or not there, and an interrupted export that goes on."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fsspec
import pytest
from click.testing import CliRunner, Result
from pyarrow import parquet

import marketfetch
from marketfetch import settings
from marketfetch.cli.main import marketfetch as command
from marketfetch.frames import export_names, exporting
from marketfetch.ops.file_place import FilePlace
from tests.frames.conftest import DAY_MS, JANUARY_2, columns_of
from tests.imported_later import Later

if TYPE_CHECKING:
    import polars as pl
else:
    pl = Later("polars")

DAYS = [JANUARY_2 + n * DAY_MS for n in range(5)]
WITH_SIGNS = "WIKI/A%3F*L"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, ["export", *arguments])


def files(folder: Path) -> dict[str, int]:
    """Every file below with its inode: a file that is written again has another."""
    return {str(path.relative_to(folder)): path.stat().st_ino for path in folder.rglob("*") if path.is_file()}


def of_aapl(frame: pl.DataFrame) -> pl.DataFrame:
    found = frame.filter(pl.col("symbol") == "AAPL").select("symbol", "ts", "date", "open", "close", "vwap", "partial")
    return found.with_columns(pl.col("ts").cast(pl.Datetime("ms", "UTC")))


@pytest.fixture
def three(in_sqlite: Any) -> None:
    in_sqlite("AAPL", columns_of(DAYS, nulls=2))
    in_sqlite("MSFT", columns_of(DAYS))
    in_sqlite(WITH_SIGNS, columns_of(DAYS), provider="nasdaq", adjustment="raw")


@pytest.mark.parametrize("to", ["parquet", "csv", "arrow"])
def test_each_format_has_the_stored_rows_and_a_manifest(three, tmp_path, to):
    done = run("--to", to, "out", "--json")
    assert json.loads(done.stdout) == {
        "files": 3,
        "skipped": 0,
        "rows": 15,
        "destination": "out",
        "new_folder": "",
    }, done.output
    name = f"provider=polygon/symbol=AAPL/timespan=1d/adjustment=split/bars.{to}"
    read = {"parquet": pl.read_parquet, "csv": lambda one: pl.read_csv(one, try_parse_dates=True), "arrow": pl.read_ipc}[to]
    columns = ["symbol", "ts", "date", "open", "close", "vwap", "partial"]
    assert of_aapl(read(tmp_path / "out" / name)).equals(marketfetch.bars("AAPL", columns=columns))
    manifest = json.loads((tmp_path / "out" / "_manifest.json").read_text())
    assert sorted(one["file"] for one in manifest["files"]) == sorted(set(files(tmp_path / "out")) - {"_manifest.json"})
    assert manifest["rows"] == 15
    assert {(one["first_ts"], one["last_ts"]) for one in manifest["files"]} == {(DAYS[0], DAYS[-1])}


def test_a_reader_of_the_folders_finds_every_symbol_as_it_was_written(three, tmp_path):
    assert run("out").exit_code == 0
    frame = pl.scan_parquet(tmp_path / "out" / "**" / "*.parquet", hive_partitioning=True).collect()
    assert sorted(frame["symbol"].unique().to_list()) == sorted(["AAPL", "MSFT", WITH_SIGNS])
    assert set(frame["provider"].unique().to_list()) == {"nasdaq", "polygon"}


def test_a_name_with_the_formats_ending_is_one_file(three, tmp_path):
    done = run("all.parquet", "--symbols", "AAPL,MSFT", "--start", "2024-01-03", "--end", "2024-01-04")
    assert done.stdout == "Wrote 1 file to all.parquet, 4 rows in all.\n", done.output
    frame = pl.read_parquet(tmp_path / "all.parquet")
    assert frame.columns == ["provider", "symbol", "timespan", "adjustment", *marketfetch.bars("AAPL").columns[1:], "zone"]
    assert frame["symbol"].to_list() == ["AAPL", "AAPL", "MSFT", "MSFT"]
    assert "is there already" in run("all.parquet").output
    assert run("all.parquet", "--overwrite").exit_code == 0
    assert pl.read_parquet(tmp_path / "all.parquet").height == 15


@pytest.mark.parametrize("ending", ["parquet", "csv", "arrow"])
def test_the_ending_chooses_the_format_and_another_one_is_refused(three, tmp_path, ending):
    assert run(f"out.{ending}").exit_code == 0
    read: dict[str, Any] = {"parquet": pl.read_parquet, "csv": pl.read_csv, "arrow": pl.read_ipc}
    assert read[ending](tmp_path / f"out.{ending}").height > 0
    other = "csv" if ending != "csv" else "arrow"
    done = run(f"out.{ending}", "--to", other, "--overwrite")
    assert done.exit_code == 1
    assert f"ends in .{ending}, and --to says {other}: leave --to out, or write another name" in done.stderr
    assert run(f"again.{ending}", "--to", ending).exit_code == 0


def test_an_interrupted_export_goes_on_and_writes_only_what_is_missing(three, tmp_path, monkeypatch):
    whole = exporting._write
    written: list[Any] = []

    def interrupted(file, found, to):
        if len(written) == 2:
            file.write(b"half")
            raise KeyboardInterrupt
        written.append(file)
        return whole(file, found, to)

    monkeypatch.setattr(exporting, "_write", interrupted)
    assert run("out").exit_code == 130
    before = files(tmp_path / "out")
    assert len([name for name in before if name.endswith(".parquet")]) == 2
    assert "_manifest.json" not in before
    assert not [name for name in before if "tmp" in name]
    monkeypatch.setattr(exporting, "_write", whole)
    assert "asked for something else" in run("out", "--start", "2024-01-03").output
    done = run("out")
    assert done.stdout == "Wrote 1 file to out (2 files of the run before), 15 rows in all.\n"
    after = files(tmp_path / "out")
    assert {name: after[name] for name in before if name.endswith(".parquet")}.items() <= before.items()
    assert len(after) == 4
    assert "_unfinished.json" not in after


def test_a_killed_export_leaves_nothing_that_a_later_one_keeps(three, tmp_path):
    """Killed before it could note its files: these are written again, and its half file is removed."""
    place = tmp_path / "out" / "provider=polygon"
    place.mkdir(parents=True)
    (place / "_bars.parquet.0123abcd.tmp").write_bytes(b"half")
    assert run("out").exit_code == 0
    assert not [name for name in files(tmp_path / "out") if name.endswith(".tmp")]


KILLED = """
import os, signal
from click.testing import CliRunner
from marketfetch.cli.main import marketfetch as command
from marketfetch.frames import exporting
whole, seen = exporting._write, []
def killed(file, found, to):
    seen.append(file)
    if len(seen) == 3:
        file.write(b"half")
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(file, found, to)
exporting._write = killed
CliRunner().invoke(command, ["export", "out"])
"""


def test_after_kill_9_in_the_middle_of_a_file_no_name_has_half_of_it_and_the_same_command_ends_the_export(three, tmp_path):
    url = {"MARKETFETCH_DATABASE_URL": f"sqlite:///{tmp_path}/bars.db"}
    done = subprocess.run(
        [sys.executable, "-c", KILLED], cwd=tmp_path, env=settings.environment(**url), check=False, timeout=300
    )
    assert done.returncode == -signal.SIGKILL
    left = files(tmp_path / "out")
    assert len([name for name in left if name.endswith(".tmp")]) == 1, "it was in the middle of a file"
    assert "_manifest.json" not in left
    assert [parquet.read_metadata(tmp_path / "out" / name).num_rows for name in left if name.endswith(".parquet")] == [5, 5]
    assert run("out").exit_code == 0
    after = files(tmp_path / "out")
    assert sorted(name.rpartition("/")[2] for name in after) == ["_manifest.json", *["bars.parquet"] * 3]
    assert pl.read_parquet(tmp_path / "out" / "**" / "*.parquet", hive_partitioning=True).height == 15
    assert json.loads((tmp_path / "out" / "_manifest.json").read_text())["rows"] == 15


def test_a_whole_export_is_replaced_only_by_who_says_so(three, in_sqlite, tmp_path):
    assert run("out").exit_code == 0
    refused = run("out")
    assert refused.exit_code == 1
    assert "has a whole export of" in refused.output
    assert "--overwrite" in refused.output
    done = run("out", "--overwrite", "--symbols", "AAPL")
    assert done.stdout == "Wrote 1 file to out, 5 rows in all.\n"
    assert len(files(tmp_path / "out")) == 2


def test_any_url_of_fsspec_is_a_destination(three):
    assert run("memory://bucket/out").exit_code == 0
    there = fsspec.filesystem("memory")
    assert there.exists("/bucket/out/_manifest.json")
    assert len(there.glob("/bucket/out/**/bars.parquet")) == 3
    assert run("memory://one.parquet").exit_code == 0
    assert there.exists("/one.parquet")
    there.store.clear()


@pytest.mark.parametrize(
    ("destination", "says"),
    [("nowhere://u:S3CR3T@x/y", "no place that fsspec knows"), ("/proc/nowhere/out", "can't be used")],
)
def test_a_place_that_can_not_be_written_is_one_sentence_without_a_password(three, destination, says):
    done = run(destination)
    assert done.exit_code == 1
    assert says in done.output
    assert "S3CR3T" not in done.output
    assert len(done.output.splitlines()) == 1


def test_a_file_that_could_not_be_written_whole_is_not_there_and_the_older_one_stays(tmp_path):
    place = FilePlace(str(tmp_path), then="It goes on where it stopped.")
    place.write("one.json", {"a": 1})

    def fails():
        with place.replacing("one.json") as file:
            file.write(b"half")
            raise OSError("disk full")

    with pytest.raises(marketfetch.UnavailableError, match="goes on where it stopped"):
        fails()
    assert place.read("one.json") == {"a": 1}
    assert list(files(tmp_path)) == ["one.json"]


def test_rows_are_written_while_they_are_read(in_sqlite, tmp_path):
    """A row group for each batch: 150,000 rows are never in memory together."""
    in_sqlite("AAPL", columns_of([JANUARY_2 + n * 60_000 for n in range(150_000)]), timespan="1m")
    assert run("out.parquet").exit_code == 0
    found = parquet.ParquetFile(tmp_path / "out.parquet").metadata
    assert [found.row_group(n).num_rows for n in range(found.num_row_groups)] == [65_535, 65_536, 18_929]


def test_nothing_stored_or_an_unknown_symbol_is_said_before_a_file_is_made(three, tmp_path):
    assert "Did you mean AAPL?" in run("out", "--symbols", "AAPLE").output
    assert "write" in run("out", "--symbols", "AAPL", "--provider", "nasdaq").output.lower()
    assert "No 1h bars are stored." in run("out", "--timespan", "1h").output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("destination", "says"),
    [
        (
            "bars.cvs",
            "bars.cvs ends in .cvs, which is no format of an export. Did you mean .csv? A file ends in .parquet, .csv",
        ),
        ("x.xlsx", "x.xlsx ends in .xlsx, which is no format of an export. A file ends in .parquet, .csv or .arrow."),
        ("sub/BARS.CSV", "Did you mean .csv?"),
        ("b.parquets", "Did you mean .parquet?"),
        ("AAPL", "AAPL is a stored symbol, and the argument is where the bars go: to export this symbol write --symbols AAPL"),
    ],
)
def test_a_name_that_is_perhaps_a_slip_makes_no_folder(three, tmp_path, destination, says):
    before = files(tmp_path)
    done = run(destination)
    assert (done.exit_code, done.stdout) == (2, "")
    assert says in done.stderr
    assert f"For a folder of this name write {destination}/ with the slash." in done.stderr
    assert files(tmp_path) == before


def test_a_slash_makes_any_name_a_folder_and_a_named_symbol_may_be_one(three, tmp_path):
    for destination, more in (("AAPL/", ()), ("all.csv/", ()), ("MSFT", ("--symbols", "MSFT")), ("bars.2024", ())):
        assert run(destination, *more).exit_code == 0, destination
        assert (tmp_path / destination / "_manifest.json").is_file()


@pytest.mark.parametrize(
    ("destination", "ending"),
    [
        ("s3://my.bucket", None),
        ("s3://my.bucket/bars.csv", "csv"),
        ("memory://one.arrow", "arrow"),
        ("simplecache::s3://b/x.y", None),
        ("simplecache::s3://b/x.csv", "csv"),
        ("v1.5", None),
    ],
)
def test_a_bucket_with_a_dot_in_its_name_is_no_slip(destination, ending):
    export_names.refuse_unlikely(destination, ())
    assert export_names.format_of(destination) == ending


def test_a_new_folder_and_a_range_without_bars_are_said(three, tmp_path):
    done = run("new/deep/a.csv", "--start", "2030-01-01")
    assert done.stdout == "Wrote 1 file to new/deep/a.csv, 0 rows in all.\n", done.output
    assert "The folder new/deep is new." in done.stderr
    assert "No row is stored in this range" in done.stderr
    again = run("new/deep/b.csv")
    assert (again.exit_code, again.stderr) == (0, "")


def test_what_is_done_of_a_long_export_is_noted_on_the_way(three, tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "_NOTE_S", -1.0)
    whole, noted = exporting._write, []

    def written(*arguments):
        unfinished = tmp_path / "out" / exporting.UNFINISHED
        noted.append(len(json.loads(unfinished.read_text())["files"]) if unfinished.exists() else 0)
        return whole(*arguments)

    monkeypatch.setattr(exporting, "_write", written)
    done = run("out")
    assert done.exit_code == 0, done.output
    assert noted == [*range(len(noted))]
    assert len(noted) > 1
    assert not (tmp_path / "out" / exporting.UNFINISHED).exists()
