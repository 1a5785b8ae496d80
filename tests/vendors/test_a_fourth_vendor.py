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
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.vendors.acme_server import KEYS, MOST, Acme, bars, serving
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
ACME = Path(__file__).parent / "acme"
SYMBOLS = tuple(f"ANVIL{n}" for n in range(20))
#: Two calendar years, so two requests a symbol.
YEARS = (date(2022, 1, 3), date(2023, 12, 29))


@dataclass(frozen=True)
class Installed:
    """A venv with both wheels, and the folder in which its commands run."""

    python: Path
    folder: Path

    def run(self, *arguments: str, check: bool = True) -> str:
        done = subprocess.run(
            [self.python, *arguments], cwd=self.folder, env=clean(), capture_output=True, text=True, timeout=100, check=False
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
def installed(tmp_path_factory, acme) -> Installed:
    place = tmp_path_factory.mktemp("fourth")
    wheels = [wheel(source_of_ours(place / "ours"), place), wheel(shutil.copytree(ACME, place / "acme"), place)]
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place / "venv"], check=True, timeout=100)
    python = place / "venv" / "bin" / "python"
    pip("--python", str(python), "install", "--no-index", "--no-deps", *map(str, wheels))
    # The dependencies are those of this test run; the folder comes after the venv's own, so both wheels go before it.
    (home,) = (place / "venv" / "lib").glob("python*/site-packages")
    (home / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    folder = place / "work"
    folder.mkdir()
    keys = json.dumps([f"one:{KEYS[0]}", f"two:{KEYS[1]}"])
    (folder / "marketfetch.toml").write_text(f'[providers.acme]\nbase_url = "{acme.url}"\napi_keys = {keys}\n')
    return Installed(python, folder)


def source_of_ours(target: Path) -> Path:
    """A copy to build from: a build leaves its folders behind."""
    target.mkdir()
    leave = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in ("marketfetch", "tasks", "providers"):
        shutil.copytree(ROOT / name, target / name, ignore=leave)
    for file in (ROOT / "pyproject.toml", *ROOT.glob("*.md"), *ROOT.glob("LICENSE*")):
        shutil.copy(file, target)
    return target


def wheel(source: Path, place: Path) -> Path:
    target = place / f"wheel-of-{source.name}"
    pip("wheel", "--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir", str(target), str(source))
    (built,) = target.glob("*.whl")
    return built


def pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    done = subprocess.run(command, env=clean(), capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_is_installed_from_its_wheel_and_known_by_name(installed):
    code = "import marketfetch, acme_prices; from marketfetch.vendors import names; print(marketfetch.__file__, *names())"
    where, *names = installed.run("-c", code).split()
    assert str(installed.python.parents[1]) in where
    assert names == ["acme", "alpha_vantage", "nasdaq", "polygon"]


def test_it_passes_the_suite_that_every_vendor_passes(installed):
    suite = installed.folder.parent / "acme" / "test_acme.py"
    said = installed.run("-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(suite.parent), str(suite))
    assert "passed" in said


def test_check_quotas_and_read_show_it(installed):
    findings = json.loads(installed.marketfetch("check", "--json", check=False))["findings"]
    found = [(one["level"], one["sentence"]) for one in findings if one["subject"] == "acme"]
    assert {level for level, _ in found} == {"ok"}
    assert any("5/2seconds" in sentence for _, sentence in found)
    assert any("one, two" in sentence for _, sentence in found)
    told = json.loads(installed.marketfetch("read", "acme", "bars", str(ACME / "recordings" / "anvil.json"), "--json"))
    assert (told["outcome"], told["rows"], told["rejects"]) == ("rows", 3, [])
    refused = installed.marketfetch("read", "acme", "bars", str(ACME / "pyproject.toml"), "--status", "429", "--json")
    assert json.loads(refused)["outcome"] == "RateLimited"


def test_it_has_its_task_its_queue_and_its_settings(installed):
    code = (
        "from marketfetch.tasks import app; from marketfetch.tasks.fetch import acme; "
        "from marketfetch.configured import keys, options; print(acme.name, app.conf.task_routes[acme.name]['queue'], "
        "[one.name for one in app.conf.task_queues if 'acme' in one.name][0], options('acme').years_per_request, "
        "keys('acme')[0].limits[0].text.replace(' ', ''), 'Acme' in acme.__doc__)"
    )
    assert installed.run("-c", code).split() == [
        "tasks.fetch.acme",
        "fetch.acme",
        "fetch.acme",
        "1",
        "5/2seconds;strict",
        "True",
    ]


def test_a_wish_that_it_cannot_serve_and_a_mistyped_option_are_explained(installed):
    variables = {**clean(), "MARKETFETCH_PROVIDERS__ACME__YEARS_PER_REQEST": "2"}
    command = [installed.python, "-m", "marketfetch", "check"]
    done = subprocess.run(
        command, cwd=installed.folder, env=variables, capture_output=True, text=True, timeout=100, check=False
    )
    assert "Did you mean MARKETFETCH_PROVIDERS__ACME__YEARS_PER_REQUEST?" in done.stdout + done.stderr


def test_every_row_arrives_within_the_limits_of_both_keys_although_workers_children_are_killed(installed, acme):
    up = subprocess.Popen(
        [installed.python, "-m", "marketfetch", "up", "--concurrency", "3"],
        cwd=installed.folder, env=clean(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        eventually(lambda: "ready to fetch" in installed.marketfetch("check", check=False), within_s=60)
        job = installed.marketfetch("fetch", "acme", *SYMBOLS, "NOPE", "--start", str(YEARS[0]), "--end", str(YEARS[1])).strip()
        for calls in (8, 20):
            eventually(partial(acme.has_seen, calls), within_s=60)
            os.kill(a_child_of_the_worker(up.pid), signal.SIGKILL)
        eventually(lambda: status(installed, job)["state"] != "running", within_s=90)
        found = status(installed, job)
        quotas = installed.marketfetch("quotas")
    finally:
        up.send_signal(signal.SIGINT)
        said, _ = up.communicate(timeout=60)
    assert up.returncode == 0, said
    assert found["rows"] == len(bars(*YEARS)) * len(SYMBOLS)
    assert found["rejects"] == 0
    assert (found["requests"]["stored"], found["requests"]["failed"]) == (2 * len(SYMBOLS), 2)
    assert "Acme does not know NOPE" in json.dumps(found["failures"])
    assert acme.over == 0
    assert all(len(calls) > MOST for calls in acme.calls.values())
    assert all(words in quotas for words in ("acme", "one", "two", "5/2seconds"))
    assert rows_in_the_database(installed) == found["rows"]


def status(installed: Installed, job: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(installed.marketfetch("status", job, "--json", check=False))  # 1 when a request failed
    return found


def a_child_of_the_worker(pid: int) -> int:
    """The worker's main process is a child of `up`, the processes of its pool are children of that."""
    mains = [one for one in psutil.Process(pid).children() if "worker" in one.cmdline()]
    return next(child.pid for main in mains for child in main.children() if child.status() != psutil.STATUS_ZOMBIE)


def rows_in_the_database(installed: Installed) -> int:
    with contextlib.closing(sqlite3.connect(installed.folder / "marketfetch.db")) as database:
        (count,) = database.execute("SELECT count(*) FROM bars WHERE provider = 'acme' AND close = 10.75").fetchone()
    return int(count)
