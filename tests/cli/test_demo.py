"""`marketfetch demo` as a newcomer runs it: to its end, and interrupted; nothing of it stays."""

from __future__ import annotations

import contextlib
import re
import shlex
import signal
import sqlite3
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from marketfetch.cli.demo_plan import UNKNOWN, WISHES
from tests.cli.modes import open_to_others


@pytest.fixture(scope="module")
def ended(make_shell: Callable[[], Any]) -> tuple[Any, Any, list[Any]]:
    """A demo run to its end, with every process it was seen to start."""
    shell = make_shell()
    started = shell.start("demo")
    seen: dict[int, Any] = {}

    def over() -> bool:
        seen.update({one.pid: one for one in started.family()})
        return started.process.poll() is not None

    while not over():
        with contextlib.suppress(subprocess.TimeoutExpired):
            started.process.wait(0.1)
    return shell, started, list(seen.values())


def test_it_ends_well_and_says_what_came(ended: tuple[Any, Any, list[Any]]) -> None:
    shell, started, _ = ended
    assert started.process.returncode == 0, started.text
    requests = sum(len(wish.symbols) for wish in WISHES)
    assert requests >= 60
    out = started.out.read_text()
    calls = re.search(rf"{requests} of {requests} requests are in the ledger \(1 failed\) after (\d+) calls", out)
    assert calls is not None, out
    assert int(calls[1]) == requests + 3  # a 503, an unasked 429 and half a reply were asked again
    for wish in WISHES:
        assert re.search(rf"^{wish.provider} job [0-9a-f]{{16}} is (done|over)", out, re.MULTILINE)
    assert f"failed: {UNKNOWN}: UnknownSymbol" in out
    assert "rejected: " in out
    assert "Traceback" not in started.text
    with sqlite3.connect(shell.folder / ".marketfetch" / "demo" / "marketfetch.db") as database:
        (ledger,) = database.execute("SELECT count(*) FROM ledger").fetchone()
        series = database.execute("SELECT provider, symbol, count(*) FROM bars GROUP BY 1, 2, adjustment").fetchall()
    database.close()
    assert ledger == requests
    assert {(wish.provider, symbol) for wish in WISHES for symbol in wish.symbols} - {
        (provider, symbol) for provider, symbol, _ in series
    } == {("alpha_vantage", UNKNOWN)}
    assert min(count for *_, count in series) > 1200


def test_what_it_leaves_is_its_owners_alone(ended: tuple[Any, Any, list[Any]]) -> None:
    shell, _, _ = ended
    assert open_to_others(shell.folder / ".marketfetch") == {}


def test_nothing_that_it_started_is_left(ended: tuple[Any, Any, list[Any]], gone: Callable[[list[Any]], bool]) -> None:
    _, _, seen = ended
    assert len(seen) >= 8  # demo, Valkey, sandbox, worker and its four
    assert gone(seen)


def test_the_commands_that_it_proposes_work_as_they_are_printed(ended: tuple[Any, Any, list[Any]]) -> None:
    shell, started, _ = ended
    look, up, fetch = [line[2:] for line in started.out.read_text().splitlines()[-3:]]
    rows = subprocess.run(look, shell=True, cwd=shell.folder, capture_output=True, text=True, check=True)
    assert "polygon" in rows.stdout or "alpha_vantage" in rows.stdout
    name, *arguments = shlex.split(up, comments=True)
    assert name == "marketfetch"
    running = shell.start(*arguments)
    try:
        running.until(lambda: "In another terminal" in running.text)
        name, *arguments = shlex.split(fetch)
        done = shell.run(*arguments)
    finally:
        assert running.end() == 0, running.text
    assert done.returncode == 0, done.stderr
    assert re.search(r"2 requests \(2 stored\), 1,\d{3} rows", done.stdout)


def test_ctrl_c_in_the_middle_leaves_nothing_and_the_users_own_settings_play_no_part(
    shell: Any, gone: Callable[[list[Any]], bool]
) -> None:
    (shell.folder / "marketfetch.toml").write_text("this is no TOML")
    (shell.folder / "tasks.py").write_text("raise SystemExit('somebody else's tasks')")
    shell.variables["MARKETFETCH_REDIS_URL"] = "redis://127.0.0.1:1/0"
    started = shell.start("demo")
    started.until(lambda: re.search(r"^polygon: [1-9]", started.text, re.MULTILINE))
    those = started.family()
    assert started.end() == 130
    assert gone(those)
    assert "stopped; nothing was left running" in started.text
    assert "Traceback" not in started.text


def test_a_sigterm_while_it_starts_leaves_nothing(shell: Any, gone: Callable[[list[Any]], bool]) -> None:
    started = shell.start("demo")
    started.until(lambda: len(started.family()) > 1)
    those = started.family()
    assert started.end(signal.SIGTERM) == 130
    assert gone(those)
    assert "Traceback" not in started.text


def test_after_a_kill_the_next_demo_ends_what_was_left(shell: Any, gone: Callable[[list[Any]], bool]) -> None:
    started = shell.start("demo")
    started.until(lambda: re.search(r"^polygon: ", started.text, re.MULTILINE))
    left = started.family()[1:]
    started.end(signal.SIGKILL)
    again = shell.start("demo")
    again.until(lambda: gone(left))
    assert again.end() == 130


def test_two_at_once_in_a_folder_are_refused(shell: Any, one_sentence: Callable[[Any], str]) -> None:
    started = shell.start("demo")
    started.until(lambda: "Starting" in started.text)
    assert "`marketfetch demo` runs in this folder already" in one_sentence(shell.run("demo"))
    assert started.end() == 130


def test_a_folder_that_can_not_be_written_is_one_sentence(shell: Any, one_sentence: Callable[[Any], str]) -> None:
    (shell.folder / ".marketfetch").write_text("a file stands in the way")
    assert ".marketfetch" in one_sentence(shell.run("demo"))
