"""A vendor from a package outside this repository: installed beside marketfetch, it is a vendor like the others.

Both come from wheels, in a fresh venv, in a folder of their own; nothing here is on their path. docs/add-a-vendor.md tells it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.built_wheel import install, pip
from tests.vendors.acme_server import KEYS, MOST, Acme, bars, serving
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
ACME = Path(__file__).parent / "acme"
SYMBOLS = tuple(f"ANVIL{n}" for n in range(20))
#: Two calendar years, so two requests a symbol.
YEARS = (date(2022, 1, 3), date(2023, 12, 29))


@dataclass(frozen=True)
class WithAcme:
    """A venv with both wheels, and the folder in which its commands run."""

    python: Path
    folder: Path

    def run(self, *arguments: str, check: bool = True) -> str:
        done = subprocess.run(
            [self.python, *arguments], cwd=self.folder, env=clean(), capture_output=True, text=True, timeout=300, check=False
        )
        assert not check or done.returncode == 0, f"{arguments}: {done.stdout}\n{done.stderr}"
        return done.stdout

    def marketfetch(self, *arguments: str, check: bool = True) -> str:
        return self.run("-m", "marketfetch", *arguments, check=check)


def clean() -> dict[str, str]:
    """An environment in which nothing points back at this checkout."""
    return {
        name: value for name, value in os.environ.items()  # noqa: TID251 (a child's environment begins as ours)
        if not name.startswith(("MARKETFETCH_", "PYTHON", "COV", "PYTEST"))
    }  # fmt: skip


@pytest.fixture(scope="module")
def acme() -> Iterator[Acme]:
    with serving() as server:
        yield server


@pytest.fixture(scope="module")
def with_acme(wheel, tmp_path_factory, acme) -> WithAcme:
    place = tmp_path_factory.mktemp("fourth")
    shutil.copytree(ACME, place / "acme")
    pip("wheel", "--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir", str(place), str(place / "acme"))
    install(place / "venv", wheel, *place.glob("*.whl"))
    folder = place / "work"
    folder.mkdir()
    keys = json.dumps([f"one:{KEYS[0]}", f"two:{KEYS[1]}"])
    (folder / "marketfetch.toml").write_text(f'[providers.acme]\nbase_url = "{acme.url}"\napi_keys = {keys}\n')
    return WithAcme(place / "venv" / "bin" / "python", folder)


def test_it_is_installed_from_its_wheel_and_known_by_name(with_acme):
    code = "import marketfetch, acme_prices; from marketfetch.vendors import names; print(marketfetch.__file__, *names())"
    where, *names = with_acme.run("-c", code).split()
    assert str(with_acme.python.parents[1]) in where
    assert names == ["acme", "alpha_vantage", "nasdaq", "polygon"]


def test_it_passes_the_suite_that_every_vendor_passes(with_acme):
    suite = with_acme.folder.parent / "acme" / "test_acme.py"
    said = with_acme.run("-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(suite.parent), str(suite))
    assert "passed" in said


def test_check_quotas_and_read_show_it(with_acme):
    findings = json.loads(with_acme.marketfetch("check", "--json", check=False))["findings"]
    found = [(one["level"], one["sentence"]) for one in findings if one["subject"] == "acme"]
    assert {level for level, _ in found} == {"ok"}
    assert any("5/2seconds" in sentence for _, sentence in found)
    assert any("one, two" in sentence for _, sentence in found)
    told = json.loads(with_acme.marketfetch("read", "acme", "bars", str(ACME / "recordings" / "anvil.json"), "--json"))
    assert (told["outcome"], told["rows"], told["rejects"]) == ("rows", 3, [])
    refused = with_acme.marketfetch("read", "acme", "bars", str(ACME / "pyproject.toml"), "--status", "429", "--json")
    assert json.loads(refused)["outcome"] == "RateLimited"


def test_it_has_its_task_its_queue_and_its_settings(with_acme):
    code = (
        "from marketfetch.tasks import app; from marketfetch.tasks.fetch import acme; "
        "from marketfetch.configured import keys, options; print(acme.name, app.conf.task_routes[acme.name]['queue'], "
        "[one.name for one in app.conf.task_queues if 'acme' in one.name][0], options('acme').years_per_request, "
        "keys('acme')[0].limits[0].text.replace(' ', ''), 'Acme' in acme.__doc__)"
    )
    assert with_acme.run("-c", code).split() == [
        "tasks.fetch.acme",
        "fetch.acme",
        "fetch.acme",
        "1",
        "5/2seconds;strict",
        "True",
    ]


def test_a_wish_that_it_cannot_serve_and_a_mistyped_option_are_explained(with_acme):
    variables = {**clean(), "MARKETFETCH_PROVIDERS__ACME__YEARS_PER_REQEST": "2"}
    command = [with_acme.python, "-m", "marketfetch", "check"]
    done = subprocess.run(
        command, cwd=with_acme.folder, env=variables, capture_output=True, text=True, timeout=300, check=False
    )
    assert "Did you mean MARKETFETCH_PROVIDERS__ACME__YEARS_PER_REQUEST?" in done.stdout + done.stderr


def test_every_row_arrives_within_the_limits_of_both_keys_although_workers_children_are_killed(with_acme, acme):
    up = subprocess.Popen(
        [with_acme.python, "-m", "marketfetch", "up", "--concurrency", "3"],
        cwd=with_acme.folder, env=clean(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        eventually(lambda: "ready to fetch" in with_acme.marketfetch("check", check=False), within_s=60)
        job = with_acme.marketfetch("fetch", "acme", *SYMBOLS, "NOPE", "--start", str(YEARS[0]), "--end", str(YEARS[1])).strip()
        for calls in (8, 20):
            eventually(partial(acme.has_seen, calls), within_s=60)
            os.kill(a_child_of_the_worker(up.pid), signal.SIGKILL)
        eventually(lambda: status(with_acme, job)["state"] != "running", within_s=90)
        found = status(with_acme, job)
        quotas = with_acme.marketfetch("quotas")
    finally:
        up.send_signal(signal.SIGINT)
        said, _ = up.communicate(timeout=300)
    assert up.returncode == 0, said
    assert found["rows"] == len(bars(*YEARS)) * len(SYMBOLS)
    assert found["rejects"] == 0
    assert (found["requests"]["stored"], found["requests"]["failed"]) == (2 * len(SYMBOLS), 2)
    assert "Acme does not know NOPE" in json.dumps(found["failures"])
    assert acme.over == 0
    assert all(len(calls) > MOST for calls in acme.calls.values())
    assert all(words in quotas for words in ("acme", "one", "two", "5/2seconds"))
    assert rows_in_the_database(with_acme) == found["rows"]


def status(with_acme: WithAcme, job: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(with_acme.marketfetch("status", job, "--json", check=False))  # 1 when a request failed
    return found


def a_child_of_the_worker(pid: int) -> int:
    """The worker's main process is a child of `up`, the processes of its pool are children of that."""
    mains = [one for one in psutil.Process(pid).children() if "worker" in one.cmdline()]
    return next(child.pid for main in mains for child in main.children() if child.status() != psutil.STATUS_ZOMBIE)


def rows_in_the_database(with_acme: WithAcme) -> int:
    with contextlib.closing(sqlite3.connect(with_acme.folder / "marketfetch.db")) as database:
        (count,) = database.execute("SELECT count(*) FROM bars WHERE provider = 'acme' AND close = 10.75").fetchone()
    return int(count)
