"""A user's own Celery project beside ours, with real workers of both: no message is lost, each side runs its own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from marketfetch.ops import alerts
from tests.flow.conftest import ROOT, Place, a_place, end_group
from tests.waiting import eventually

DAYS = "start='2024-01-02', end='2024-01-05', adjustment='raw'"
PAGE = (ROOT / "docs" / "celery.md").read_text(encoding="utf-8")
#: The programs of the page, by the names of their files.
PROGRAMS = dict(re.findall(r"^```python\n# (\w+\.py)[^\n]*\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL))

#: A project that has left everything as Celery has it: its queue is `celery`, as ours is.
PLAIN = """
import os
from celery import Celery

app = Celery("plain", broker=os.environ["MARKETFETCH_REDIS_URL"], backend=os.environ["MARKETFETCH_REDIS_URL"])

@app.task
def double(number):
    return 2 * number
"""

#: One that also imports our tasks, so that Celery shares them with its app.
CURIOUS = """
import os
from celery import Celery
from marketfetch.tasks.fetch import polygon

app = Celery("curious", broker=os.environ["MARKETFETCH_REDIS_URL"], backend=os.environ["MARKETFETCH_REDIS_URL"])
app.conf.task_default_queue = "curious"
"""

#: Tasks in our worker that end its children.
UNLUCKY = """
import os, signal
from pathlib import Path
from celery import shared_task

@shared_task
def crash():
    with Path("crashes").open("a") as file:
        file.write("x")
    os.kill(os.getpid(), signal.SIGKILL)

@shared_task
def crash_once():
    if not Path("crashed").exists():
        Path("crashed").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "whole"
"""


@pytest.fixture(scope="module")
def project(vendors, tmp_path_factory) -> Iterator[Place]:
    """The user's folder, and one worker of ours, which runs the tasks of two modules and has never heard of the rest."""
    vendors.control.reset(keys=True)
    folder = tmp_path_factory.mktemp("project")
    with a_place(folder, vendors_url=vendors.url, database_url="sqlite:///marketfetch.db") as place:
        place.env["PYTHONPATH"] = f"{folder}:{place.env['PYTHONPATH']}"
        place.env["APART_REDIS_URL"] = f"{place.redis_url.rpartition('/')[0]}/5"
        for name, text in {**PROGRAMS, "plain.py": PLAIN, "curious.py": CURIOUS, "unlucky.py": UNLUCKY}.items():
            (folder / name).write_text(text)
        place.env["MARKETFETCH_INCLUDE"] = "desk,unlucky"
        options = ("-c", "2", "--loglevel", "info", "-n", "ours@%h")
        place.celery("worker", *options, log="worker.log", app="marketfetch")
        eventually(lambda: " ready." in place.worker_log, within_s=30, what="our worker ready")
        yield place


def theirs(project: Place, app: str, *arguments: str):
    """A worker of the user's app, ready."""
    process = project.celery(
        "worker", "-c", "1", "--loglevel", "info", "-n", f"{app}@%h", *arguments, log=f"{app}.log", app=app
    )
    eventually(lambda: " ready." in log_of(project, app), within_s=30, what=f"worker of {app} ready")
    return process


def log_of(project: Place, app: str) -> str:
    path = project.folder / f"{app}.log"
    return path.read_text(encoding="utf-8") if path.exists() else ""


def answer(project: Place, code: str):
    done = project.run("-c", f"import json\n{code}\nprint(json.dumps(answer))")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_two_apps_with_the_same_queue_lose_no_message(project):
    """Sent while no worker of theirs runs, then while both do: a worker of ours returns what it does not know."""
    redis = project.redis()
    ids, fetched = answer(
        project,
        "import plain\nids = [plain.double.delay(number).id for number in range(12)]\n"
        f"fetch = plain.app.send_task('tasks.fetch.polygon', ('AAPL',), dict({DAYS}))\n"
        "answer = [ids, fetch.get(timeout=300)]",
    )
    assert fetched["outcome"] == "stored", "it stood behind the others"
    (alert,) = [one for one in alerts.sentences(redis) if "plain.double" in one]
    assert "a queue of its own (task_default_queue)" in alert
    assert not redis.exists("mf:dead")

    worker = theirs(project, "plain")
    doubled = answer(
        project,
        f"import plain\nsent = [*map(plain.app.AsyncResult, {ids}), *(plain.double.delay(one) for one in range(12, 60))]\n"
        "answer = [one.get(timeout=300) for one in sent]",
    )
    assert doubled == [2 * number for number in range(60)]
    eventually(lambda: (redis.llen("celery"), redis.hlen("unacked")) == (0, 0), what="every message is acknowledged")
    assert not redis.exists("mf:dead")
    end_group(worker)  # it would discard what the other tests send to us


def test_a_worker_of_theirs_that_has_imported_our_tasks_hands_them_on(project):
    """Celery shares tasks among the apps of a process: without our sender such a worker would send it to itself for ever."""
    theirs(project, "curious")
    found = answer(
        project,
        f"import curious\nsent = curious.app.send_task('tasks.fetch.polygon', ('MSFT',), dict({DAYS}))\n"
        "answer = sent.get(timeout=300)",
    )
    assert found["outcome"] == "stored"
    assert log_of(project, "curious").count("stray task parked") == 1
    assert "fetched" not in log_of(project, "curious")


def test_a_chain_from_a_project_that_does_not_know_us_ends_in_its_own_worker(project):
    theirs(project, "shop")
    found = answer(
        project,
        "import shop\nsent = [shop.reported('AAPL'), shop.fetched('MSFT')]\nanswer = [one.get(timeout=300) for one in sent]",
    )
    assert (found[0], found[1]["outcome"]) == ("AAPL: stored, 4 rows", "stored")
    assert "shop.report" in log_of(project, "shop")
    assert "Received unregistered task" not in log_of(project, "shop")


def test_a_project_with_a_redis_of_its_own_goes_on_in_a_small_worker_of_its_own(project):
    theirs(project, "apart:market", "-Q", "apart")
    assert answer(project, "import apart\nanswer = apart.reported('KO').get(timeout=300)") == "KO: stored, 4 rows"


def test_their_tasks_run_in_our_worker_with_retries_and_a_countdown(project):
    done = project.run("ask_desk.py")
    assert (done.stdout, done.returncode) == ("AAPL: stored, 4 rows, after 2 retries\n", 0), done.stderr
    # By name, from an app that does not know them either; a second later.
    code = (
        "import time, shop\nbegun = time.monotonic()\n"
        "sent = shop.app.send_task('desk.publish', ('later',), queue='celery', countdown=1)\n"
        "answer = [sent.get(timeout=300), time.monotonic() - begun]"
    )
    text, took_s = answer(project, code)
    assert text == "later, after 2 retries"
    assert took_s > 1


def test_a_child_that_is_killed_costs_their_task_a_second_run_and_no_task_ends_children_for_ever(project):
    code = (
        "import shop\nnames = ('unlucky.crash_once', 'unlucky.crash')\n"
        "once, ever = (shop.app.send_task(name, queue='celery') for name in names)\n"
        "answer = [once.get(timeout=300), str(ever.get(timeout=300, propagate=False)), ever.id]"
    )
    once, ever, task_id = answer(project, code)
    assert once == "whole"
    assert ever.startswith("its task has ended 3 child processes (")
    assert (project.folder / "crashes").read_text() == "xxx"
    letters = json.loads(project.marketfetch("dead", "--json").stdout)["messages"]
    assert [one["task_id"] for one in letters] == [task_id]
    assert answer(project, "import shop\nanswer = shop.fetched('IBM').get(timeout=300)['outcome']") == "stored"
