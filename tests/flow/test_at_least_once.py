"""docs/at-least-once.md is executed: a killed child, or a batch offered again, makes its tasks run twice, without harm."""

from __future__ import annotations

import json
import re
import socketserver
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from tasks.reference import Reference
from tests.flow.conftest import ROOT
from tests.waiting import eventually

PAGE = (ROOT / "docs" / "at-least-once.md").read_text(encoding="utf-8")
PROGRAMS = dict(re.findall(r"^```python\n# (\w+\.py)[^\n]*\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL))
(SQL,) = re.findall(r"^```sql\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)

#: What the page does not show: where this test's post office is, and a child that dies when its task has done its work.
UNLUCKY = """
import os, signal
from pathlib import Path
import counted, mailed, report
from mine import app
from marketfetch import connections

mailed.SERVER = ("127.0.0.1", {port})

def noted(task):
    run = task.run
    def note(*arguments, **named):
        found = run(*arguments, **named)
        connections.redis().rpush(f"runs:{{task.name}}", app.backend.encode([task.request.id, arguments, found]))
        if {dies} and not Path(task.name).exists():
            Path(task.name).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return found
    task.run = note

for one in (counted.add, mailed.tell, report.closes):
    noted(one)
"""


class PostOffice(socketserver.ThreadingTCPServer):
    """Takes every letter, as far as SMTP needs it."""

    daemon_threads = allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Counter)
        self.letters: list[str] = []


class _Counter(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self._say("220 here")
        for line in self.rfile:
            word = line.decode().split()[0].upper()
            if word == "DATA":
                self._say("354 go on")
                letter = b"".join(iter(self.rfile.readline, b".\r\n")).decode()
                assert isinstance(self.server, PostOffice)
                self.server.letters.append(letter)
            self._say("221 bye" if word == "QUIT" else "250 ok")
            if word == "QUIT":
                return

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())


@pytest.fixture
def post() -> Iterator[PostOffice]:
    with PostOffice() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def started(place, post):
    """The page's programs in a folder, and a worker that has loaded them."""

    def start(*, dies: bool) -> None:
        for name, text in PROGRAMS.items():
            (place.folder / name).write_text(text)
        (place.folder / "unlucky.py").write_text(UNLUCKY.format(port=post.server_address[1], dies=dies))
        place.env["PYTHONPATH"] = f"{place.folder}:{ROOT}"
        place.celery("worker", "-c", "4", "--loglevel", "info", log="worker.log", app="unlucky")
        eventually(lambda: " ready." in place.worker_log, within_s=30, what="worker ready")

    return start


def send(place) -> None:
    done = place.run("send.py")
    assert done.returncode == 0, done.stderr


def runs(place, name: str) -> list:
    """Per run of a task that came to its end: its id, its arguments, what it returned."""
    return [json.loads(one) for one in place.redis().lrange(f"runs:{name}", 0, -1)]


def has_run(place, name: str, times: int) -> list:
    eventually(lambda: len(runs(place, name)) >= times, within_s=30, what=f"{name} has run {times} times")
    return runs(place, name)


def no_harm_was_done(place, post) -> None:
    with closing(sqlite3.connect(Path(place.folder) / "mine.db")) as mine:
        assert mine.execute("SELECT symbol, requests FROM totals").fetchall() == [("AAPL", 1)]
    (letter,) = post.letters
    assert "Subject: MSFT: " in letter
    bodies = [found for _, _, found in runs(place, "report.closes")]
    assert {json.dumps(one) for one in bodies} == {json.dumps(bodies[0])}
    closes = dict(place.rows("SELECT symbol, close FROM bars WHERE symbol IN ('KO', 'IBM') ORDER BY ts"))
    assert bodies[0] == closes
    assert place.rows("SELECT outcome, calls FROM ledger") == [("stored", 1)] * 4


def test_tasks_whose_child_is_killed_when_they_have_done_their_work_run_twice_and_do_no_harm(place, post, started, sandbox):
    started(dies=True)
    send(place)
    for name, found in (("counted.add", [True, False]), ("mailed.tell", ["sent", "was sent before"])):
        assert [returned for _, _, returned in has_run(place, name, 2)] == found
    has_run(place, "report.closes", 2)
    for name in ("counted.add", "mailed.tell", "report.closes"):
        assert len({(task, json.dumps(arguments)) for task, arguments, _ in runs(place, name)}) == 1, "the same id and argument"
    no_harm_was_done(place, post)
    assert sandbox.log()["calls"] == 4


def test_chains_whose_batch_is_offered_again_go_on_twice_and_do_no_harm(place, post, started):
    place.env["MARKETFETCH_TIMINGS__HELD_AGAIN"] = "1"
    started(dies=False)
    place.run("-c", "from marketfetch import connections; connections.store()")  # the tables are there
    with closing(sqlite3.connect(place.folder / "marketfetch.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        send(place)
        # Every child waits for the locked database, so each offer is a message more in the broker.
        eventually(lambda: place.redis().llen("fetch.polygon") >= 8, within_s=30, what="batches are offered again")
        other.execute("COMMIT")
    for name in ("counted.add", "mailed.tell"):
        found = has_run(place, name, 2)
        assert len({(task, arguments[0]["request"]) for task, arguments, _ in found}) == 1
        assert {arguments[0]["outcome"] for _, arguments, _ in found} <= {"stored", "held", "over"}
        assert all(not arguments[0]["rows"] for _, arguments, _ in found if arguments[0]["outcome"] in ("held", "over"))
    has_run(place, "report.closes", 1)
    eventually(lambda: not place.redis().hlen("unacked") and not place.redis().llen("store"), what="nothing is under way")
    assert len(runs(place, "report.closes")) == 1
    no_harm_was_done(place, post)


def test_bars_are_found_by_the_id_in_the_reference(place, started):
    started(dies=False)
    send(place)
    ((_, (ref,), _),) = has_run(place, "counted.add", 1)
    with closing(sqlite3.connect(place.folder / "marketfetch.db")) as database:
        found = database.execute(SQL, {"request": ref["request"]}).fetchall()
    assert [symbol for symbol, _, _ in found] == ["AAPL"] * ref["rows"]


def test_the_page_names_every_field_and_outcome_of_the_reference():
    hints = get_type_hints(Reference)
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \|", PAGE, flags=re.MULTILINE)
    assert dict(rows) == {name: kind.__name__ if isinstance(kind, type) else "str" for name, kind in hints.items()}
    table = PAGE.partition("| outcome | meaning |")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE)) == {
        *get_args(hints["outcome"]),
        "done",
    }  # of a task that stands for a job
