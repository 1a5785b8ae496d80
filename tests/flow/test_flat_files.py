"""A vendor's files from its S3 service to the rows: real processes, a real server, and children that die between the parts."""

from __future__ import annotations

import gzip
import json
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from datetime import date

import psutil
import pytest

from marketfetch.sandbox.market import Market
from marketfetch.sandbox.polygon_files import day_file, minute_file, path_of
from tests.s3_server import S3Server, s3_server
from tests.waiting import eventually

MARKET = Market(seed=1, today=date(2024, 12, 31))
DAYS = (date(2024, 7, 3), date(2024, 7, 5))


def lines_of(body: bytes) -> list[tuple[str, ...]]:
    return [tuple(line.split(",")) for line in gzip.decompress(body).decode().splitlines()[1:]]


def rows_of(body: bytes) -> list[tuple[object, ...]]:
    """The rows of a file as SQL gives them."""
    return sorted((one[0], int(one[6]) // 1_000_000, *map(float, (*one[1:6], one[7]))) for one in lines_of(body))


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with s3_server("flatfiles") as server:
        for day in DAYS:
            server.put(path_of(day), day_file(MARKET, day))
        server.put(path_of(DAYS[0], timespan="1m"), minute_file(MARKET, DAYS[0]))
        yield server


@pytest.fixture
def filed(place, s3):
    return with_files(place, s3)


def with_files(place, s3):
    """A place whose polygon has an S3 service."""
    place.env |= {
        "MARKETFETCH_PROVIDERS__POLYGON__FILES_URL": s3.url,
        "MARKETFETCH_PROVIDERS__POLYGON__FILE_KEYS": json.dumps({"main": s3.credentials}),
        "TMPDIR": str(place.folder),
    }
    s3.asked_for.clear()
    return place


def stored(place, timespan: str) -> list[tuple[object, ...]]:
    ts = "ts" if place.env["MARKETFETCH_DATABASE_URL"].startswith("sqlite") else "(extract(epoch FROM ts) * 1000)::bigint"
    columns = f"symbol, {ts}, volume, open, close, high, low, trades"
    return sorted(place.rows(f"SELECT {columns} FROM bars WHERE timespan = '{timespan}' AND provider = 'polygon'"))


def left_of_parts(place) -> set[str]:
    """What Redis and the disk still have of the parts of a file."""
    keys = {key.decode() for key in place.redis().keys("mf:{polygon}:*")}
    kept = {key for key in keys if ":batch:" in key or ":req:" in key or ":pages:" in key}
    return kept | {path.name for path in place.folder.glob("marketfetch-files-*/*")}


def test_a_session_is_one_call_is_checked_covered_and_never_asked_for_again(any_place, s3):
    filed = with_files(any_place, s3)
    filed.worker(concurrency=2)
    status = filed.fetch("polygon", start="2024-07-03", end="2024-07-07", dataset="flat_files")
    assert (status["requests"]["total"], status["requests"]["stored"]) == (2, 2)
    assert sorted(s3.asked_for) == [path_of(day) for day in DAYS]
    assert stored(filed, "1d") == sorted(row for day in DAYS for row in rows_of(day_file(MARKET, day)))
    assert filed.rows("SELECT DISTINCT adjustment, partial, zone FROM bars") == [("raw", False, "America/New_York")]
    again = filed.fetch("polygon", start="2024-07-03", end="2024-07-05", dataset="flat_files")
    assert (again["requests"]["total"], len(s3.asked_for)) == (0, 2)
    # Over long ago, and not published: the vendor has no such file, which is no empty one.
    lost = filed.fetch("polygon", start="2024-07-08", end="2024-07-08", dataset="flat_files")
    assert "no file of 2024-07-08" in lost["failures"][0]["reason"]
    secret = s3.credentials.partition(":")[2]
    assert secret not in filed.worker_log
    assert "Signature=" not in filed.worker_log


def test_minutes_come_in_parts_of_one_call_and_survive_the_death_of_children(filed, s3):
    filed.env["MARKETFETCH_PROVIDERS__POLYGON__PAGE_LIMIT"] = "4000"
    # A lease ends 14 s after its start: only then does another child take what a dead one has left.
    filed.env |= {f"MARKETFETCH_TIMINGS__{name}": value for name, value in (("CALL", "2"), ("END_BY", "4"), ("SWEEP", "2"))}
    filed.env["MARKETFETCH_PROVIDERS__POLYGON__FILES_SECONDS"] = "8"
    marker = filed.folder / "killed"
    unarmed = dict(filed.env)
    # The file is on the disk, and its first part is not reported: that call is made once more.
    filed.env["MARKETFETCH_FAILPOINT"] = f"finish:before@{marker}"
    worker = filed.worker(concurrency=2)
    filed.env = unarmed
    wish = ("--dataset", "flat_files", "--timespan", "1m", "--start", "2024-07-03", "--end", "2024-07-03", "--json")
    job = json.loads(filed.marketfetch("fetch", "polygon", *wish).stdout)["job"]
    eventually(lambda: filed.rows("SELECT count(*) FROM ledger")[0][0] >= 2, within_s=60, what="two parts")
    for child in psutil.Process(worker.pid).children():
        with suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGKILL)
    last = "SELECT count(*) FROM ledger WHERE next_cursor IS NULL AND outcome = 'stored'"
    eventually(lambda: filed.rows(last)[0][0], within_s=60, what="the last part is stored")
    eventually(lambda: not left_of_parts(filed), within_s=60, what=lambda: f"nothing is left, but {left_of_parts(filed)}")
    assert filed.status(job)["state"] == "done"
    assert marker.exists()
    assert stored(filed, "1m") == rows_of(minute_file(MARKET, DAYS[0]))
    pages = filed.rows("SELECT page, outcome, calls FROM ledger ORDER BY page")
    assert [one[:2] for one in pages] == [(number, "stored") for number in range(len(pages))]
    assert len(pages) > 5
    # A death costs the call that was open, if one was: the other parts are read from the file on the disk.
    assert 2 <= len(s3.asked_for) < len(pages)
    covered = filed.rows("SELECT dataset, symbol, first_day, last_day, final_to FROM coverage")
    assert covered == [("flat_files", "*", "2024-07-03", "2024-07-03", "2024-07-03")]
