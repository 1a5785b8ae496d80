"""The release before and this one work side by side: two workers, one Redis, one database, jobs and tasks from both sides.

The release before is unpacked from tests/recordings/releases/0.1.0.zip, which holds its sources. It had another layout (the
packages `cli`, `tasks`, `providers` ... stood at the top), so that nothing but Redis and the database is shared.
"""

from __future__ import annotations

import csv
import json
import zipfile
from pathlib import Path

import pytest

from tests.flow.conftest import SECRETS, Place
from tests.flow.recorded_gate import LETTERS
from tests.waiting import LONG_S, eventually

RELEASES = Path(__file__).parents[1] / "recordings" / "releases"
RELEASE = "0.1.0.zip"
ASKED = ("--start", "2024-01-02", "--end", "2024-01-05", "--adjustment", "raw")
OURS = tuple(f"NA{letter}" for letter in LETTERS)
THEIRS = tuple(f"NB{letter}" for letter in LETTERS)
#: Both workers have a hand in each job: neither can be done with all before the other has begun.
LIMIT = "8/second"


class Older(Place):
    """The same folder, Redis, database and settings, with the code of the release before."""

    def __init__(self, place: Place, code: Path) -> None:
        self.__dict__.update(place.__dict__)
        self.env = {**place.env, "PYTHONPATH": str(code)}
        self.env.pop("MARKETFETCH_WHOLE_MARKET_FROM")

    def marketfetch(self, *arguments: str, timeout: float = LONG_S):
        return self.run("-m", "cli", *arguments, timeout=timeout)


@pytest.fixture
def older(place, tmp_path) -> Older:
    place.env["MARKETFETCH_PROVIDERS__POLYGON__LIMITS"] = json.dumps([LIMIT])
    code = tmp_path / "release-before"
    with zipfile.ZipFile(RELEASES / RELEASE) as packed:
        packed.extractall(code)
    return Older(place, code)


def is_ready(log: Path) -> None:
    eventually(lambda: " ready." in log.read_text(encoding="utf-8"), within_s=40, what=f"{log.stem} is ready")


def submitted(place: Place, *symbols: str) -> str:
    return printed(place, "fetch", "polygon", *symbols, *ASKED)


def printed(place: Place, *arguments: str) -> str:
    done = place.marketfetch(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def failed(place: Place, task: str) -> str:
    """The task is sent and fails; its id."""
    code = (
        f"from tasks.fetch import alpha_vantage, polygon\nsent = {task}\nsent.get(propagate=False, timeout=300)\nprint(sent.id)"
    )
    done = place.run("-c", code)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def message(place: Place, task_id: str) -> str:
    """The error of a task as this release reads it."""
    code = (
        "from tasks import app\nfrom celery.result import AsyncResult\n"
        f"found = AsyncResult({task_id!r}, app=app)\ntry:\n    found.get(timeout=300)\n"
        "except Exception as error:\n    print(error)"
    )
    done = place.run("-c", code)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_manifest_says_where_the_release_comes_from():
    with (RELEASES / "MANIFEST.tsv").open(encoding="utf-8") as lines:
        named = {line["file"]: line["from"] for line in csv.DictReader(lines, delimiter="\t")}
    assert {path.name for path in RELEASES.glob("*.zip")} == set(named)
    assert named[RELEASE] == "commit 12d0b9a"


def test_workers_of_both_releases_share_the_work_of_both_and_store_it_once(place, older, sandbox):
    sandbox.keys("polygon", SECRETS["polygon"], limits=[LIMIT], enforce=False)
    theirs = submitted(older, *THEIRS)
    assert "workers of that release may go on" in place.marketfetch("status").stderr
    printed(place, "check", "--upgrade")
    # Two handles of one wish: the worker of the release before knows no handle, and feeds each as a job.
    ours = submitted(place, *OURS)
    named = printed(place, "fetch", "polygon", *OURS, *ASKED, "--name", "ours", "--tag", "beside")
    assert ours != named
    # Neither worker begins before the other is there: it would do all of it.
    printed(place, "quotas", "pause", "main", "--provider", "polygon")
    for one, name in ((older, "before"), (place, "now")):
        one.celery("worker", "-c", "2", "--loglevel", "info", "--hostname", f"{name}@%h", log=f"{name}.log")
        is_ready(one.folder / f"{name}.log")
    printed(place, "quotas", "resume", "main", "--provider", "polygon")

    symbols = sorted((*OURS, *THEIRS))
    eventually(lambda: place.rows("SELECT count(*) FROM ledger") == [(len(symbols),)], within_s=60, what="all are over")
    assert place.rows("SELECT symbol, outcome, rows, calls FROM ledger ORDER BY symbol") == [
        (s, "stored", 4, 1) for s in symbols
    ]
    assert place.rows("SELECT count(*), count(DISTINCT symbol) FROM bars") == [(4 * len(symbols), len(symbols))]
    for name in ("before", "now"):
        text = (place.folder / f"{name}.log").read_text(encoding="utf-8")
        assert "[marketfetch.store] outcome=stored" in text, f"the worker of the release {name} has stored nothing"
    for job in (ours, named, theirs):
        found = json.loads(place.marketfetch("status", job, "--json").stdout)
        assert found.items() >= json.loads(older.marketfetch("status", job, "--json").stdout).items()
        assert (found["state"], found["requests"]["stored"]) == ("done", 26)
    log = sandbox.log()
    assert (log["violations"], log["calls"]) == (0, len(symbols))

    # A task that one side sends and the other side's worker runs: either worker may have done it, both read its end.
    wrong = "alpha_vantage.delay('ZZZZ', start='2024-01-02', end='2024-01-05')"
    for one in (older, place):
        task = failed(one, wrong)
        assert "Alpha Vantage does not know the symbol ZZZZ" in message(place, task) == message(older, task)


@pytest.mark.parametrize("writer", ["before", "now"])
def test_the_error_of_a_task_that_one_release_has_written_is_read_by_the_other(place, older, writer):
    side = older if writer == "before" else place
    side.celery("worker", "-c", "1", "--loglevel", "info", log="one.log")
    is_ready(place.folder / "one.log")
    unknown = failed(place, "alpha_vantage.delay('ZZZZ', start='2024-01-02', end='2024-01-05')")
    unplanned = failed(older, "polygon.delay('AAPL', timespam='1d')")
    for reader in (place, older):
        assert "Alpha Vantage does not know the symbol ZZZZ" in message(reader, unknown)
        assert "timespam is no argument of ours" in message(reader, unplanned)


def test_what_the_release_before_has_recorded_and_parked_keeps_its_default_and_a_new_wish_is_raw(place, older):
    """Neither wish names an adjustment: an open job, and a task with a countdown, which is planned when its turn comes."""
    days = ("--start", "2024-01-02", "--end", "2024-01-05")
    sent = "from tasks.fetch import polygon\npolygon.apply_async(({!r},), {!r}, countdown=1)"
    for side, symbol in ((older, "MSFT"), (place, "TSLA")):
        printed(side, "fetch", "polygon", "AAPL", *days)
        done = side.run("-c", sent.format(symbol, {"start": days[1], "end": days[3]}))
        assert done.returncode == 0, done.stderr
        if side is older:
            printed(place, "check", "--upgrade")
    place.worker()
    eventually(lambda: place.rows("SELECT count(*) FROM ledger") == [(4,)], what="all are over")
    found = place.rows("SELECT symbol, adjustment, count(*) FROM bars GROUP BY symbol, adjustment ORDER BY symbol, adjustment")
    assert found == [("AAPL", "raw", 4), ("AAPL", "split", 4), ("MSFT", "split", 4), ("TSLA", "raw", 4)]


def test_a_worker_of_the_release_before_makes_the_check_that_this_one_has_parked(place, older, sandbox):
    """A check (see Page) is page 0 with a cursor, which the release before knows from other vendors' first pages."""
    code = (
        "from marketfetch import connections\nfrom marketfetch.jobs.planning import of_task\n"
        "from marketfetch.quotas import Parking\n"
        "request = of_task('polygon', ('ZZZZ',), {'start': '2024-01-02', 'end': '2024-01-31'}, task_id='t')\n"
        "check = request.check('/v3/reference/tickers/ZZZZ')\n"
        "connections.gate('polygon').park([Parking(id=check.id, arguments=check.arguments)], job='J')\n"
        "print(check.id)"
    )
    done = place.run("-c", code)
    assert done.returncode == 0, done.stderr
    older.celery("worker", "-c", "1", "--loglevel", "info", log="before.log")
    is_ready(older.folder / "before.log")
    eventually(lambda: place.rows("SELECT count(*) FROM ledger") == [(1,)], what="it is over")
    ((request, outcome, reason),) = place.rows("SELECT request_id, outcome, reason FROM ledger")
    assert (request, outcome) == (done.stdout.strip(), "failed")
    assert reason.startswith("ZZZZ: UnknownSymbol: ")
    assert sandbox.log()["calls"] == 1
