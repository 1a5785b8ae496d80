"""What `up --sandbox` invents never meets what is real: neither its requests, nor its rows, nor what is configured."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from marketfetch.cli.sandboxed import variables
from marketfetch.local import sandbox_note
from marketfetch.local.sandbox_process import Sandbox, start_sandbox
from marketfetch.local.valkey_server import find_valkey, start_valkey
from tests.cli.modes import open_to_others

DAYS = ("--start", "2023-01-03", "--end", "2023-01-31")
STATE = Path(".marketfetch")
ITS_DATABASE = sandbox_note.home(STATE) / "marketfetch.db"


@pytest.fixture
def vendor() -> Iterator[Sandbox]:
    """Another simulated market, which plays the real vendors: its bars are not those of `up --sandbox`."""
    with start_sandbox(seed=99) as real:
        yield real


@contextlib.contextmanager
def up(shell: Any, *arguments: str) -> Iterator[Any]:
    """`up` with a worker that is ready; stopped with Ctrl-C at the end of the block."""
    started = shell.start("up", "--concurrency", "1", *arguments)
    try:
        started.until(lambda: "In another terminal" in started.text)  # a `check` before that looks at what is configured
        started.until(lambda: "ready to fetch" in shell.run("check", "--json").stdout)
        yield started
    finally:
        code = started.end()
    assert code == 0, started.text


def calls(vendor: Sandbox) -> int:
    return sum(key["calls"] for keys in vendor.control.log()["providers"].values() for key in keys.values())


def fetched(shell: Any, *symbols: str) -> dict[str, Any]:
    done = shell.run("fetch", "polygon", *symbols, *DAYS, "--wait", "--json")
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def left_open(shell: Any, symbol: str) -> str:
    """A job of the running sandbox whose request stays parked: the vendor sends it away for an hour."""
    url = sandbox_note.find(shell.folder / STATE)["providers"]["polygon"]["base_url"]
    fault = json.dumps({"kind": "503", "provider": "polygon", "symbol": symbol, "retry_after": 3600}).encode()
    urllib.request.urlopen(urllib.request.Request(f"{url}/_sandbox/faults", fault), timeout=300).close()
    return str(shell.run("fetch", "polygon", symbol, *DAYS).stdout.strip())


def closes(path: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute("SELECT ts, close FROM bars WHERE symbol = 'QQQQ' ORDER BY ts").fetchall()


def jobs(shell: Any) -> set[str]:
    return {one["job"] for one in json.loads(shell.run("status", "--json").stdout)["jobs"]}


def test_after_the_sandbox_the_vendor_is_asked_anew_and_for_nothing_else(shell: Any, vendor: Sandbox) -> None:
    with up(shell, "--sandbox") as started:
        wished = fetched(shell, "QQQQ")
        parked = left_open(shell, "T")
        assert "not used while the sandbox runs" not in started.text
        assert f"database  {ITS_DATABASE}, the sandbox's own" in started.text
        (look,) = re.findall(r"sqlite3 (\S+) ", started.text)
        invented = closes(shell.folder / look)
        assert open_to_others(shell.folder / STATE) == {}
    assert len(invented) == wished["rows"] > 0
    assert find_valkey(shell.folder / sandbox_note.home(STATE)) is None

    shell.variables |= variables(vendor.base_urls, label="main")
    assert jobs(shell) == set()
    with up(shell):
        assert shell.run("resume").stdout.startswith("No job is open, so there is nothing to resume.")
        assert [one["parked"] for one in json.loads(shell.run("quotas", "--json").stdout)["keys"]] == [0, 0, 0]
        assert calls(vendor) == 0
        again = fetched(shell, "QQQQ")["job"]  # the same wish, and yet asked
        assert calls(vendor) == 1
        real = closes(shell.folder / "marketfetch.db")
        assert jobs(shell) == {again}
        assert open_to_others(shell.folder / STATE) == {}
    assert len(real) == len(invented)
    assert real != invented

    with up(shell, "--sandbox"):
        assert jobs(shell) == {wished["job"], parked}
        assert json.loads(shell.run("status", parked, "--json").stdout)["state"] == "running"
        assert calls(vendor) == 1
    assert closes(shell.folder / ITS_DATABASE) == invented
    assert closes(shell.folder / "marketfetch.db") == real


def test_what_is_configured_is_named_once_and_left_alone(shell: Any, vendor: Sandbox, tmp_path: Path) -> None:
    with start_valkey(tmp_path / "redis") as mine, Redis.from_url(mine.url) as redis:
        redis.set("mine", "untouched")
        shell.variables |= {"MARKETFETCH_REDIS_URL": mine.url, "MARKETFETCH_DATABASE_URL": "sqlite:///mine.db"}
        shell.variables |= variables(vendor.base_urls, label="main")
        (shell.folder / "marketfetch.toml").write_text('[providers.polygon.key_limits]\nmain = ["5/minute"]\n')
        shell.variables["MARKETFETCH_PROVIDERS__POLYGON__API_KEYS"] = '["main:secret"]'
        del shell.variables["MARKETFETCH_PROVIDERS__POLYGON__KEY_LIMITS"]
        with up(shell, "--sandbox") as started:
            assert started.text.count("the configured redis_url and database_url are not used while the sandbox runs") == 1
            assert fetched(shell, "QQQQ")["rows"] > 0
            left_open(shell, "T")
            assert mine.url not in started.text
        assert redis.keys() == [b"mine"]
        assert not (shell.folder / "mine.db").exists()
        assert calls(vendor) == 0


def test_every_command_and_a_plain_worker_follow_the_running_sandbox(shell: Any, vendor: Sandbox) -> None:
    shell.variables |= variables(vendor.base_urls, label="main")
    with up(shell, "--pool", "threads") as started:
        assert "1 threads; log" in started.text
        mine = fetched(shell, "KO")["job"]
    with up(shell, "--sandbox") as started:
        job = left_open(shell, "T")
        assert jobs(shell) == {job}
        keys = json.loads(shell.run("quotas", "--json").stdout)["keys"]
        assert {one["label"] for one in keys} == {"sandbox"}
        assert shell.run("cancel", job).returncode == 0
        assert shell.run("resume", job).returncode == 0
        assert shell.run("retry", job).returncode == 0
        assert "Nothing was old enough" in shell.run("purge", "--older-than", "3d").stdout
        assert json.loads(shell.run("dead", "--json").stdout) == {"messages": []}
        findings = json.loads(shell.run("check", "--json").stdout)["findings"]
        found = {one["subject"]: one["sentence"] for one in findings}
        assert [one["sentence"] for one in findings if "limits" in one["sentence"] and one["level"] != "ok"] == []
        assert found["polygon"].startswith("The sandbox is asked without limits")
        assert "vendors, Redis and database are its own" in found["sandbox"]
        assert found["database"].endswith(f"{ITS_DATABASE}.")

        for name in ("worker-1", "beat"):
            pid = int((shell.folder / sandbox_note.home(STATE) / "run" / f"{name}.pid").read_text().split()[0])
            assert pid in {one.pid for one in started.family()}
        with worker(shell, "mine") as log:
            started.until(lambda: "2 ready to fetch" in shell.run("check", "--json").stdout)
            assert "sandbox followed" in log.read_text()
            fetched(shell, "GE", "IBM", "F", "MSFT", "AAPL", "QQQQ")
        assert calls(vendor) == 1
    found = {one["subject"]: one["sentence"] for one in json.loads(shell.run("check", "--json").stdout)["findings"]}
    assert found["sandbox"].startswith("The sandbox of this folder is stopped")
    assert found["database"].endswith(f": {shell.folder.resolve()}/marketfetch.db.")
    assert jobs(shell) == {mine}


@contextlib.contextmanager
def worker(shell: Any, name: str) -> Iterator[Path]:
    """A plain `celery -A tasks worker` in the folder; its log."""
    log = shell.folder / f"{name}.log"
    arguments = ("worker", f"--hostname={name}@%h", "--concurrency=1", "--loglevel=INFO", "--without-mingle")
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "tasks", *arguments],
            cwd=shell.folder,
            env=shell.environment({"REMAP_SIGTERM": "SIGQUIT"}),
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        yield log
    finally:
        process.terminate()
        process.wait(300)


def test_what_a_killed_sandbox_left_is_not_followed_and_ends_with_the_next_up(
    shell: Any, vendor: Sandbox, gone: Callable[[list[Any]], bool]
) -> None:
    shell.variables |= variables(vendor.base_urls, label="main")
    killed = shell.start("up", "--sandbox", "--concurrency", "1")
    killed.until(lambda: "ready to fetch" in shell.run("check", "--json").stdout)
    left = killed.family()[1:]
    killed.end(signal.SIGKILL)
    assert jobs(shell) == set()
    with up(shell) as started:
        assert gone(left)
        assert "stopped the sandbox's Valkey, which an earlier run had left behind" in started.text
        assert fetched(shell, "QQQQ")["rows"] > 0
        assert calls(vendor) == 1
