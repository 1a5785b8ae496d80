"""Every program of examples/ is run: against the sandbox, by a real worker, through its own server."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from urllib.error import HTTPError

import pytest
from playwright.sync_api import expect

from tests.flow.conftest import ROOT, Place, a_place, end_group
from tests.preloaded import preloaded
from tests.waiting import LONG_S, eventually
from tests.web.page_server import chromium

EXAMPLES = ROOT / "examples"
DJANGO = EXAMPLES / "django_app"
#: How each web app is started on a free port. What they print names it.
WEB_APPS = {
    "fastapi": ("-m", "uvicorn", "--app-dir", str(EXAMPLES / "fastapi_app"), "app:app", "--port", "0"),
    "flask": ("-m", "flask", "--app", str(EXAMPLES / "flask_app" / "app.py"), "run", "--port", "0"),
    "django": (str(DJANGO / "manage.py"), "runserver", "--noreload", "127.0.0.1:0"),
}
SERVE = ("-m", "marketfetch", "serve", "--port", "0")
#: How each program of the terminal is run, with symbols behind it.
COMMANDS = {
    "bare_celery": ("python", str(EXAMPLES / "bare_celery" / "shop.py")),
    "http_python": ("python", str(EXAMPLES / "http_python" / "client.py")),
    "http_javascript": ("node", str(EXAMPLES / "http_javascript" / "client.mjs")),
}
WISH = {"symbols": ["AAPL", "MSFT", "KO"], "start": "2024-01-02", "end": "2024-01-05"}


class Running:
    """The place, a worker, and the servers by name."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.urls: dict[str, str] = {}

    def start(self, name: str, *arguments: str) -> None:
        log = self.place.folder / f"{name}.log"
        with log.open("ab") as file:
            process = preloaded().start(
                *arguments,
                cwd=self.place.folder,
                env=self.place.env,
                stdout=file.fileno(),
                stderr=file.fileno(),
                start_new_session=True,
            )
        self.place.stack.callback(end_group, process)
        self.urls[name] = eventually(
            lambda: "".join(re.findall(r"http://127\.0\.0\.1:[1-9]\d*", log.read_text())[:1]),
            within_s=60,
            what=lambda: f"{name}: {log.read_text()}",
        )

    def ask(self, name: str, path: str, body: object = None) -> tuple[int, Any]:
        """The status and the JSON of a response."""
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        asked = urllib.request.Request(self.urls[name] + path, data, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(asked, timeout=LONG_S) as response:
                return response.status, json.load(response)
        except HTTPError as error:
            with error:
                return error.code, json.load(error)

    def run(self, name: str, *symbols: str) -> subprocess.CompletedProcess[str]:
        program, *arguments = COMMANDS[name]
        if program == "python":
            return self.place.run(*arguments, *symbols)
        found = shutil.which(program)
        if not found:
            pytest.skip("there is no node on this machine; CI has it from .ci/packages.txt")
        done = subprocess.run(
            [found, *arguments, *symbols], env=self.place.env, cwd=self.place.folder, capture_output=True, timeout=LONG_S
        )
        # Not as text: that would make line feeds of the carriage returns.
        return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())

    def django(self, code: str) -> str:
        done = self.place.run("-c", f"import django\ndjango.setup()\nfrom shop.models import Wish\n{code}")
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def running(vendors, tmp_path_factory) -> Iterator[Running]:
    vendors.control.reset(keys=True)
    folder = tmp_path_factory.mktemp("examples")
    with ExitStack() as stack:
        place = stack.enter_context(a_place(folder, vendors_url=vendors.url, database_url="sqlite:///marketfetch.db"))
        place.env |= {"PYTHONPATH": f"{ROOT}:{DJANGO}", "DJANGO_SETTINGS_MODULE": "shop.settings", "PYTHONUNBUFFERED": "1"}
        found = Running(place)
        found.django("from django.core.management import call_command\ncall_command('migrate', run_syncdb=True, verbosity=0)")
        place.worker("-P", "threads")
        for name, arguments in {**WEB_APPS, "serve": SERVE}.items():
            found.start(name, *arguments)
        place.env["MARKET_URL"] = found.urls["serve"]
        yield found


@pytest.mark.parametrize("name", WEB_APPS)
def test_a_web_app_enqueues_a_wish_and_its_progress_reaches_the_end(running, name):
    with urllib.request.urlopen(running.urls[name] + "/", timeout=LONG_S) as page:
        assert "<progress" in page.read().decode()
    status, found = running.ask(name, "/jobs", WISH)
    assert status == 201, found

    def over() -> Any:
        code, job = running.ask(name, found["url"])
        assert code == 200, job
        assert 0 <= job["over"] <= job["total"]
        return job["state"] != "running" and job

    job = eventually(over, within_s=60, what=f"{name}: the job is over")
    # The first app has all of it stored; the wishes of the others are covered by then.
    assert (job["state"], job["over"]) == ("done", job["total"])
    assert running.place.rows("SELECT count(DISTINCT symbol) FROM bars WHERE date BETWEEN '2024-01-02' AND '2024-01-05'") >= [
        (3,)
    ]


def test_the_page_of_the_web_apps_shows_a_wish_to_its_end_and_says_what_was_refused(running):
    if shutil.which("chromium") is None:
        pytest.skip("there is no Chromium on this machine; CI has it from .ci/packages.txt")
    with chromium() as browser:
        page, raised = browser.new_page(color_scheme="dark"), []
        page.on("pageerror", lambda error: raised.append(str(error)))
        page.goto(running.urls["fastapi"] + "/")
        page.get_by_label("Symbols").fill("ORCL, CSCO")
        page.get_by_role("button", name="Fetch").press("Enter")
        expect(page.get_by_role("status")).to_have_text("2 of 2 requests, 42 rows: done", timeout=60_000)
        bar = page.get_by_role("progressbar")
        assert bar.evaluate("bar => [bar.hidden, bar.value, bar.max]") == [False, 2, 2]
        page.get_by_label("First day").fill("2024-02-01")
        page.get_by_role("button", name="Fetch").click()
        expect(page.get_by_role("status")).to_contain_text("2024-02-01", timeout=60_000)
        assert raised == []


@pytest.mark.parametrize("name", WEB_APPS)
def test_a_web_app_refuses_with_the_right_status_and_a_sentence(running, name):
    status, found = running.ask(name, "/jobs", {**WISH, "start": "someday"})
    if name == "django":  # a wish is stored first, and refused when it is enqueued
        status, found = running.ask(name, found["url"])
    assert status == 422
    assert "someday" in found["detail"]
    status, found = running.ask(name, "/jobs", {"symbols": 3})
    assert (status, bool(found["detail"])) == (422, True)
    if name != "django":
        status, found = running.ask(name, "/jobs/0123456789abcdef")
        assert status == 404
        assert "0123456789abcdef" in found["detail"]


@pytest.mark.parametrize(("name", "symbol"), [*zip(COMMANDS, ("NVDA", "IBM", "TSLA"), strict=True)])
def test_a_program_of_the_terminal_draws_a_bar_to_its_end(running, name, symbol):
    done = running.run(name, symbol)
    assert done.returncode == 0, done.stderr
    assert done.stdout.rpartition("\r")[2] == f"[{'#' * 30}] 1 of 1 requests, 21 rows: done\n"
    refused = running.run(name, "no symbol")
    assert refused.returncode == 1
    assert "no symbol" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_the_task_of_the_bare_app_is_sent_when_its_job_is_over(running):
    assert eventually(lambda: running.place.redis().llen("shop"), what="its message is in its queue")


def test_a_transaction_that_is_rolled_back_submits_nothing(running):
    jobs = running.place.rows("SELECT count(*) FROM jobs")
    code = (
        "from django.db import transaction\n"
        "try:\n"
        "    with transaction.atomic():\n"
        "        wish = Wish.objects.create(symbols=['GE'], start='2024-01-02', end='2024-01-05')\n"
        "        transaction.on_commit(wish.enqueue, robust=True)\n"
        "        {}\n"
        "except ZeroDivisionError:\n"
        "    pass\n"
        "print(Wish.objects.filter(symbols=['GE']).count())"
    )
    assert running.django(code.format("1 / 0")) == "0\n"
    assert running.place.rows("SELECT count(*) FROM jobs") == jobs
    assert running.django(code.format("pass")) == "1\n"
    assert running.place.rows("SELECT count(*) FROM jobs") == [(jobs[0][0] + 1,)]


def test_the_script_that_has_moved_fetches_all_of_it(running):
    page = (ROOT / "docs" / "how-to" / "from-a-script.md").read_text(encoding="utf-8")
    _, moved = re.findall(r"^```python\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)
    done = running.place.run("-c", moved)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"3 stored 0 failed \d+ rows\n", done.stdout), done.stdout


def test_while_redis_is_away_each_says_so_and_goes_on_when_it_is_back(running):
    running.place.valkey.stop()
    late = {**WISH, "symbols": ["XOM"]}
    try:
        for name in ("fastapi", "flask"):
            status, found = running.ask(name, "/jobs", late)
            assert (status, "Redis" in found["detail"]) == (503, True), found
        status, wish = running.ask("django", "/jobs", late)
        assert status == 201, "the wish is committed"
        status, found = running.ask("django", wish["url"])
        assert (status, "Redis" in found["detail"]) == (503, True), found
        for name in COMMANDS:
            done = running.run(name, "XOM")
            assert (done.returncode, "Redis" in done.stderr) == (1, True), done.stderr
    finally:
        running.place.restart_valkey()

    def enqueued() -> bool:
        status, found = running.ask("django", wish["url"])
        return status == 200 and found["state"] == "done"

    eventually(enqueued, within_s=120, what="the wish that was committed meanwhile is fetched")
