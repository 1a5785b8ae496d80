"""The wheel in a user's project, whose own modules have the names that ours once had: neither side meets the other's."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import tomllib
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

import celeryconfig
from marketfetch import settings
from marketfetch.local.sandbox_process import start_sandbox
from marketfetch.local.valkey_server import start_valkey
from tests.built_wheel import ROOT, Installed
from tests.waiting import eventually

#: Written by the user, and imported by nobody but the user.
PROJECT = {
    "tasks.py": """
        import os
        from celery import Celery, shared_task
        import marketfetch

        app = Celery("theirs", broker=os.environ["THEIR_BROKER"], backend=os.environ["THEIR_BROKER"])
        app.conf.task_default_queue = "theirs"

        @shared_task
        def order(symbol):
            job = marketfetch.submit("polygon", [symbol], start="2024-01-02", end="2024-01-05", adjustment="raw")
            return [job.job_id, order.app.main]
        """,
    "settings.py": "NAME = 'theirs'",
    "providers.py": "NAME = 'theirs'",
    "storage.py": "NAME = 'theirs'",
    "cli/__init__.py": "NAME = 'theirs'",
    "celeryconfig.py": "broker_url = 'memory://theirs'\ntask_acks_late = False\ntask_serializer = 'json'",
    "manage.py": """
        import os, sys
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
        from django.core.management import execute_from_command_line
        execute_from_command_line(sys.argv)
        """,
    "shop/__init__.py": "",
    "shop/settings.py": """
        SECRET_KEY = "for tests"
        ROOT_URLCONF = "shop.urls"
        INSTALLED_APPS = []
        ALLOWED_HOSTS = ["testserver"]
        USE_TZ = True
        """,
    "shop/urls.py": """
        from datetime import date
        from django.http import JsonResponse
        from django.urls import path
        import marketfetch

        CODES = {marketfetch.UnknownJob: 404, marketfetch.BadRequestError: 422, marketfetch.UnavailableError: 503}

        def answered(ask):
            try:
                return JsonResponse(ask())
            except tuple(CODES) as error:
                code = next(code for kind, code in CODES.items() if isinstance(error, kind))
                return JsonResponse({"error": str(error)}, status=code)

        def order(request, symbol):
            def ask():
                job = marketfetch.submit("polygon", [symbol], start=date(2024, 1, 2), end=date(2024, 1, 5), adjustment="raw")
                return {"job": job.job_id}
            return answered(ask)

        def look(request, job):
            return answered(lambda: marketfetch.status(job).model_dump())

        urlpatterns = [path("order/<str:symbol>", order), path("job/<str:job>", look)]
        """,
}
#: Asks the views as a browser would: `answers` are status and body of each path.
BROWSER = """
import json, os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "shop.settings"
import django
django.setup()
from django.test import Client
answers = [Client().get(path) for path in sys.argv[1:]]
print(json.dumps([[one.status_code, one.json()] for one in answers]))
"""


class Project:
    """The user's folder, with the environment in which the wheel is installed."""

    def __init__(self, folder: Path, installed: Installed, stack: contextlib.ExitStack, **variables: str) -> None:
        self.folder, self.installed, self.stack = folder, installed, stack
        plain = {name: value for name, value in settings.environment().items() if not name.startswith("MARKETFETCH_")}
        plain.pop("PYTHONPATH", None)
        self.env = {**plain, **variables, "PATH": f"{installed.bin}{os.pathsep}{plain['PATH']}"}
        for name, text in PROJECT.items():
            (folder / name).parent.mkdir(exist_ok=True)
            lines = text.strip("\n").splitlines()
            indent = len(lines[0]) - len(lines[0].lstrip()) if lines else 0
            (folder / name).write_text("".join(f"{line[indent:]}\n" for line in lines))

    def run(self, *arguments: str, **variables: str) -> str:
        """`python ...` in the folder; what it prints."""
        command = [str(self.installed.python), *arguments]
        env = self.env | variables
        done = subprocess.run(command, cwd=self.folder, env=env, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start(self, *words: str, log: str, **variables: str) -> subprocess.Popen[bytes]:
        """A script of the environment, in the background: ended with the module. Its words are in the file `log`."""
        with (self.folder / log).open("ab") as file:
            process = subprocess.Popen(
                [str(self.installed.python), "-m", *words],
                cwd=self.folder, env=self.env | variables, stdout=file, stderr=file, start_new_session=True,
            )  # fmt: skip
        self.stack.callback(ended, process)
        return process

    def says(self, log: str, words: str) -> None:
        eventually(lambda: words in self.log(log), within_s=60, what=f"{words!r} in {log}")

    def log(self, name: str) -> str:
        return (self.folder / name).read_text(encoding="utf-8")


def ended(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)


@pytest.fixture(scope="module")
def project(installed, tmp_path_factory) -> Iterator[Project]:
    """Its workers fetch from a sandbox, by settings in the environment as in production."""
    folder = tmp_path_factory.mktemp("project")
    with contextlib.ExitStack() as stack:
        valkey = stack.enter_context(start_valkey(tmp_path_factory.mktemp("valkey")))
        vendors = stack.enter_context(start_sandbox(seed=7))
        variables = {
            "MARKETFETCH_REDIS_URL": valkey.url,
            "MARKETFETCH_PROVIDERS__POLYGON__API_KEYS": '["main:S3CR3T"]',
            "MARKETFETCH_PROVIDERS__POLYGON__BASE_URL": vendors.url,
            "MARKETFETCH_PROVIDERS__POLYGON__LIMITS": "[]",
            "THEIR_BROKER": f"{valkey.url.rpartition('/')[0]}/5",
        }
        yield Project(folder, installed, stack, **variables)


NAMED = ("--loglevel", "info", "--hostname", "ours@here")


@pytest.fixture(scope="module")
def worker(project) -> subprocess.Popen[bytes]:
    """`celery -A marketfetch worker`, ready."""
    process = project.start("celery", "-A", "marketfetch", "worker", "-c", "1", "-E", *NAMED, log="worker.log")
    project.says("worker.log", " ready.")
    return process


# --- what is in it ----------------------------------------------------------------------------------------------------


def test_it_installs_one_name_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as packed:
        names = packed.namelist()
        (top_level,) = [name for name in names if name.endswith(".dist-info/top_level.txt")]
        assert packed.read(top_level).decode().split() == ["marketfetch"]
        metadata = packed.read(top_level.replace("top_level.txt", "METADATA")).decode()
    assert {name.partition("/")[0] for name in names} == {"marketfetch", top_level.partition("/")[0]}
    assert [name for name in names if "/" not in name or name.endswith("celeryconfig.py")] == [
        "marketfetch/tasks/celeryconfig.py"
    ]
    assert "License-Expression: Apache-2.0" in metadata.splitlines()
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_every_source_file_is_in_it(wheel):
    """Packages and data files are listed in pyproject.toml by hand: a new folder or a new kind of file is easily forgotten."""
    with zipfile.ZipFile(wheel) as packed:
        names = set(packed.namelist())
    installed_as = {"marketfetch": "marketfetch", "providers": "marketfetch/providers", "tasks": "marketfetch/tasks"}
    missing = [
        str(path.relative_to(ROOT))
        for folder, name in installed_as.items()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and f"{name}/{path.relative_to(ROOT / folder)}" not in names
    ]
    assert missing == []


def test_the_example_of_the_settings_in_it_is_the_one_of_the_checkout(wheel):
    with zipfile.ZipFile(wheel) as packed:
        packed_text = packed.read("marketfetch/marketfetch.toml.example").decode()
    assert packed_text == (ROOT / "marketfetch.toml.example").read_text(encoding="utf-8")
    tomllib.loads(packed_text)


# --- what it does -----------------------------------------------------------------------------------------------------


def test_each_side_finds_its_own_modules(project):
    code = (
        "import json, marketfetch.tasks.celeryconfig, marketfetch.providers, marketfetch.settings, marketfetch.storage\n"
        "import tasks, settings, providers, storage, cli, celeryconfig\n"
        "theirs = [one.__file__ for one in (tasks, settings, providers, storage, cli, celeryconfig)]\n"
        "ours = [marketfetch.tasks.celeryconfig.__file__, marketfetch.providers.__file__, marketfetch.settings.__file__]\n"
        "print(json.dumps([theirs, ours]))"
    )
    theirs, ours = json.loads(project.run("-c", code))
    assert all(Path(one).is_relative_to(project.folder) for one in theirs)
    assert all(Path(one).is_relative_to(project.installed.site / "marketfetch") for one in ours)


def test_a_django_project_submits_and_a_worker_stores(project, worker):
    project.run("manage.py", "check")
    (answer,) = json.loads(project.run("-c", BROWSER, "/order/AAPL"))
    assert answer[0] == 200, answer
    job = answer[1]["job"]
    waited = project.run("-c", f"import marketfetch; print(marketfetch.wait({job!r}, timeout_s=60).rows)")
    assert waited.strip() == "4"
    answers = json.loads(project.run("-c", BROWSER, f"/job/{job}", "/job/absent", "/order/a%20b"))
    assert [status for status, _ in answers] == [200, 404, 422]
    assert (answers[0][1]["state"], answers[0][1]["rows"]) == ("done", 4)
    # Redis is away: the app can say so.
    away = json.loads(project.run("-c", BROWSER, "/order/MSFT", MARKETFETCH_REDIS_URL="redis://127.0.0.1:1/0"))
    assert away[0][0] == 503, away
    assert "[marketfetch.store] outcome=stored" in project.log("worker.log")


def test_the_installed_worker_has_our_settings_and_not_those_of_the_project(project, worker):
    code = (
        "import json, marketfetch\n"
        "(found,) = marketfetch.app.control.inspect(['ours@here'], timeout=300).conf().values()\n"
        "print(json.dumps({name: found[name] for name in ('task_acks_late', 'visibility_timeout', 'broker_transport_options',"
        " 'task_reject_on_worker_lost', 'worker_prefetch_multiplier', 'result_backend_transport_options')}))"
    )
    found = json.loads(project.run("-c", code))
    assert (found["task_acks_late"], found["visibility_timeout"]) == (True, 900)
    assert found["task_acks_late"] == celeryconfig.task_acks_late
    assert found["visibility_timeout"] == celeryconfig.visibility_timeout
    for name in ("broker_transport_options", "result_backend_transport_options"):
        assert found[name]["visibility_timeout"] == getattr(celeryconfig, name)["visibility_timeout"]
    assert found["task_reject_on_worker_lost"] == celeryconfig.task_reject_on_worker_lost
    assert found["worker_prefetch_multiplier"] == celeryconfig.worker_prefetch_multiplier


def test_beat_starts(project):
    project.start("celery", "-A", "marketfetch", "beat", "--loglevel", "info", "--schedule", "beat-state", log="beat.log")
    project.says("beat.log", "beat: Starting")
    assert "Traceback" not in project.log("beat.log")


def test_flower_answers(project, worker):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    project.start("celery", "-A", "marketfetch", "flower", "--address=127.0.0.1", f"--port={port}", log="flower.log")

    def answers() -> bool:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=300) as page:
            return page.status == 200 and "Flower" in page.read().decode()
        return False

    eventually(answers, within_s=60, what="Flower's page")


def test_a_shared_task_of_the_users_app_stays_in_it(project):
    """Also in a process that imports our Celery app: it sends to both."""
    code = (
        "import json, tasks\nfrom celery import current_app\n"
        "def facts():\n    app = tasks.app\n"
        "    return [app.conf.broker_url, app.conf.task_acks_late, app.conf.task_default_queue, type(app.amqp).__name__]\n"
        "before = facts()\n"
        "import marketfetch\nfrom marketfetch.tasks.fetch import polygon\nassert marketfetch.app.main == 'marketfetch'\n"
        "after = facts()\n"
        "print(json.dumps([before == after, current_app.main, tasks.order.app.main, polygon.app.main, before]))"
    )
    same, current, order, ours, before = json.loads(project.run("-c", code))
    assert (same, current, order, ours) == (True, "theirs", "theirs", "marketfetch")
    assert before == [project.env["THEIR_BROKER"], False, "theirs", "AMQP"]

    project.start("celery", "-A", "tasks", "worker", "-c", "1", "--loglevel", "info", log="theirs.log")
    project.says("theirs.log", " ready.")
    sent = json.loads(project.run("-c", "import json, tasks; print(json.dumps(tasks.order.delay('MSFT').get(timeout=300)))"))
    assert sent[1] == "theirs"
    job = json.loads(project.run("-m", "marketfetch", "status", sent[0], "--json"))
    assert job["requests"]["total"] == 1
    log = project.log("theirs.log")
    assert "transport:   redis" in log
    assert "tasks.fetch.polygon" not in log
    assert "INFO/MainProcess]" in log, "their worker logs as they have set it"


def test_the_default_app_of_a_user_reads_the_users_celeryconfig(project):
    """Without an app of its own, Celery configures itself from a top-level module `celeryconfig`: none of ours may be there."""
    code = (
        "import marketfetch; marketfetch.app\nfrom celery import current_app as app\n"
        "print(app.main, app.conf.broker_url, app.conf.task_acks_late)"
    )
    assert project.run("-c", code).split() == ["default", "memory://theirs", "False"]


def test_up_with_the_sandbox_runs_and_ctrl_c_stops_all_of_it(project, tmp_path):
    for name in PROJECT:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text((project.folder / name).read_text())
    other = Project(tmp_path, project.installed, project.stack)
    up = other.start("marketfetch", "up", "--sandbox", "--concurrency", "1", log="up.log")
    other.says("up.log", "In another terminal")
    family = [psutil.Process(up.pid), *psutil.Process(up.pid).children(recursive=True)]
    document = json.loads(
        other.run(
            str(other.installed.bin / "marketfetch"),
            *("fetch", "polygon", "AAPL", "--start", "2024-01-02", "--end", "2024-01-05", "--wait", "--json"),
        )
    )
    assert (document["state"], document["rows"]) == ("done", 4)
    os.kill(up.pid, signal.SIGINT)
    assert up.wait(300) == 0, other.log("up.log")
    assert "everything is stopped" in other.log("up.log")
    eventually(
        lambda: not [one for one in family if one.is_running() and one.status() != psutil.STATUS_ZOMBIE],
        what="no process is left",
    )
