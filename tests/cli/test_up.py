"""`marketfetch up` runs everything for one machine; the other commands of the folder find it; Ctrl-C leaves nothing."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from marketfetch import vendors
from marketfetch.cli import up
from marketfetch.local import sandbox_note
from marketfetch.local.valkey_server import find_valkey
from tests.preloaded import preloaded
from tests.waiting import LONG_S, early_in_a_minute

#: The state folder of `up --sandbox`.
SANDBOX = sandbox_note.home(Path(".marketfetch"))

with socket.socket() as _probe, socket.socket() as _other:
    _probe.bind(("127.0.0.1", 0))
    _other.bind(("127.0.0.1", 0))
    FLOWER, WEB = int(_probe.getsockname()[1]), int(_other.getsockname()[1])


#: A user's own project in the folder: an app with a worker of its own, and a module for our workers.
PROJECT = {
    "shop.py": """
import os
from celery import Celery
app = Celery("shop", broker=os.environ["MARKETFETCH_REDIS_URL"], backend=os.environ["MARKETFETCH_REDIS_URL"])
app.conf.task_default_queue = "shop"
@app.task
def double(number):
    return 2 * number
""",
    "desk.py": """
from celery import shared_task
print("a module may print")
@shared_task
def triple(number):
    import helping  # from the folder, while the task runs
    return helping.TIMES * number
""",
    "helping.py": "TIMES = 3",
    "broken.py": "raise RuntimeError('no licence')",
    "leaving.py": "import os; os._exit(3)",
    "empty.py": "",
}


def with_project(shell: Any) -> Any:
    for name, text in PROJECT.items():
        (shell.folder / name).write_text(text)
    return shell


@pytest.fixture(scope="module")
def running(make_shell: Callable[[], Any], gone: Callable[[list[Any]], bool]) -> Iterator[tuple[Any, Any]]:
    """A folder in which `up --sandbox` runs, its workers ready."""
    shell = with_project(make_shell())
    project = ("--include", "desk", "--app", "shop")
    (shell.folder / "marketfetch.toml").write_text(f'[serve]\nport = {WEB}\nhost = "0.0.0.0"\n')
    viewers = ("--flower", str(FLOWER), "--web")
    started = shell.start("up", "--sandbox", "--workers", "2", "--concurrency", "1", *viewers, *project)
    try:
        started.until(lambda: workers(shell) == 2)
        yield shell, started
    finally:
        those = started.family()
        code = started.end()
    assert code == 0, started.text
    assert "everything is stopped" in started.text
    assert gone(those)
    assert not list((shell.folder / SANDBOX / "run").iterdir())


def workers(shell: Any) -> int:
    findings = json.loads(shell.run("check", "--json").stdout)["findings"]
    words = [one["sentence"] for one in findings if (one["subject"], one["level"]) == ("workers", "ok")]
    return int(words[0].split()[0]) if words else 0


def test_fetch_waits_for_the_rows_and_says_what_came(running: tuple[Any, Any]) -> None:
    shell, _ = running
    days = ("--start", "2022-12-30", "--end", "2023-01-31")
    done = shell.run("fetch", "polygon", "AAPL", "MSFT", *days, "--wait", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["state"] == "done"
    assert document["requests"] == {"total": 2, "parked": 0, "running": 0, "stored": 2, "failed": 0, "cancelled": 0}
    assert (document["rows"], document["rejects"], document["failures"]) == (42, 0, [])
    assert document["eta_seconds"] == 0
    with sqlite3.connect(shell.folder / SANDBOX / "marketfetch.db") as database:
        sql = "SELECT open, close FROM bars WHERE symbol = 'AAPL' AND ts = 1672722000000"
        assert database.execute(sql).fetchall() == [(130.28, 125.07)]  # as recorded
    database.close()


def test_fetch_without_wait_prints_the_job_and_status_finds_it(running: tuple[Any, Any]) -> None:
    shell, started = running
    done = shell.run("fetch", "alpha_vantage", "IBM", "--start", "2026-01-01", "--end", "2026-05-15")
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"[0-9a-f]{16}\n", done.stdout)
    job = done.stdout.strip()
    assert f"status {job}" in done.stderr
    watched = shell.run("status", job, "--watch")
    assert watched.returncode == 0, watched.stderr
    assert f"alpha_vantage job {job} is done: 1 request (1 stored), 93 rows, 0 rejects." in watched.stdout
    document = json.loads(shell.run("status", job, "--json").stdout)
    assert {"job", "state", "requests", "rows", "rejects", "eta_seconds", "failures"} <= set(document)
    assert (document["job"], document["state"], document["requests"]["stored"]) == (job, "done", 1)
    assert job in shell.run("status").stdout
    assert job in {one["job"] for one in json.loads(shell.run("status", "--json").stdout)["jobs"]}
    assert started.process.poll() is None


def test_the_same_wish_again_is_the_same_job_unless_it_is_asked_anew(running: tuple[Any, Any]) -> None:
    shell, _ = running
    early_in_a_minute()
    wish = ("fetch", "nasdaq", "AAPL", "--start", "2014-01-01", "--end", "2014-12-31", "--wait", "--json")
    first, second, anew = (json.loads(shell.run(*wish, *more).stdout) for more in ((), (), ("--again",)))
    assert first == second
    assert first["rows"] == anew["rows"] == 504  # raw and adjusted
    assert anew["job"] != first["job"]


def test_symbols_may_come_from_a_file(running: tuple[Any, Any]) -> None:
    shell, _ = running
    (shell.folder / "symbols.txt").write_text("# two of them\nIBM\n\nKO  # fizzy\n")
    done = shell.run(
        "fetch", "polygon", "--symbols-file", "symbols.txt", "--start", "2024-01-01", "--end", "2024-01-31", "--json"
    )
    assert json.loads(done.stdout)["requests"] == 2, done.stderr


def test_what_failed_is_told_with_its_reason_and_exits_with_1(running: tuple[Any, Any]) -> None:
    shell, _ = running
    done = shell.run("fetch", "alpha_vantage", "MSFT", "ZZZZ", "--start", "2026-01-01", "--end", "2026-05-15", "--wait")
    assert done.returncode == 1
    assert "2 requests (1 stored, 1 failed), 93 rows" in done.stdout
    assert "failed: ZZZZ: UnknownSymbol" in done.stdout
    assert "Traceback" not in done.stderr


def test_check_finds_everything_in_order(running: tuple[Any, Any]) -> None:
    shell, _ = running
    done = shell.run("check", "--json")
    document = json.loads(done.stdout)
    levels = {(one["subject"], one["level"]) for one in document["findings"]}
    assert document["ok"], document
    assert {("redis", "ok"), ("database", "ok"), ("workers", "ok"), ("clock", "ok"), ("polygon", "ok")} <= levels
    assert done.returncode == 0


def test_a_second_up_in_the_folder_is_refused(running: tuple[Any, Any], one_sentence: Callable[[Any], str]) -> None:
    shell, started = running
    refused = f"`marketfetch up --sandbox` runs in this folder already (process {started.process.pid}): stop that one first"
    for arguments in (("up",), ("up", "--sandbox")):
        assert refused in one_sentence(shell.run(*arguments))


def test_a_plain_celery_worker_finds_the_redis_of_the_folder(running: tuple[Any, Any]) -> None:
    shell, started = running
    command = ("-m", "celery", "-A", "tasks", "inspect", "ping", "--json")

    def names() -> set[str]:
        """Those who reply within Celery's second."""
        ping = preloaded().run(*command, cwd=shell.folder, env=shell.environment({}), timeout=LONG_S)
        return {name.partition("@")[0] for name in json.loads(ping.stdout)} if ping.returncode == 0 else set()

    started.until(lambda: names() - {"shop"} == {"worker-1", "worker-2"})


def test_a_users_own_worker_runs_beside_ours_and_ours_run_the_tasks_of_a_users_module(running: tuple[Any, Any]) -> None:
    shell, started = running
    # As docs/celery.md writes how an app on this machine gets the URL, which has a password.
    page = (Path(__file__).parents[2] / "docs" / "celery.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^url=.*$", page, flags=re.MULTILINE)
    variables = shell.environment({"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"})
    command = ["sh", "-c", f'{line}\nprintf %s "$url"']
    printed = subprocess.run(command, cwd=shell.folder, env=variables, capture_output=True, text=True, check=True, timeout=300)
    assert printed.stdout == find_valkey(shell.folder / SANDBOX)
    assert "@" in printed.stdout
    code = (
        "import shop\nby_name = shop.app.send_task('desk.triple', (2,), queue='celery')\n"
        "print(shop.double.delay(2).get(timeout=300), by_name.get(timeout=300))"
    )
    variables = shell.environment({"MARKETFETCH_REDIS_URL": printed.stdout})
    done = preloaded().run("-c", code, cwd=shell.folder, env=variables, timeout=300)
    assert (done.stdout, done.returncode) == ("4 6\n", 0), done.stderr
    assert "shop, a worker of your own; log" in started.text
    assert "\n  include   Our workers run the tasks of desk: desk.triple.\n" in started.text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--include", "absent.tasks"), "There is no module 'absent', and so no 'absent.tasks', which --include names. It is"),
        (("--include", "broken"), "The module 'broken', which --include names, can't be imported: RuntimeError: no licence"),
        (("--include", "leaving"), "end their process (exit code 3)"),
        (("--app", "shop:worker"), "There is no Celery app at 'shop:worker', which --app names"),
    ],
)
def test_a_wrong_module_is_named_before_anything_starts(
    shell: Any, one_sentence: Callable[[Any], str], arguments: tuple[str, ...], words: str
) -> None:
    with_project(shell)
    done = shell.run("up", *arguments)
    assert words in one_sentence(done)
    assert not (shell.folder / ".marketfetch" / "run").exists()


def noted(shell: Any) -> int:
    """The process id in the lock file of the second worker; 0 while the file is being replaced or written."""
    try:
        words = (shell.folder / SANDBOX / "run" / "worker-2.pid").read_text().split()
    except FileNotFoundError:
        return 0
    return int(words[0]) if words else 0


def test_a_dead_worker_is_started_again(running: tuple[Any, Any]) -> None:
    shell, started = running
    pid = noted(shell)
    os.kill(pid, signal.SIGKILL)
    started.until(lambda: "worker-2 ended with SIGKILL; starting it again" in started.text)
    started.until(lambda: psutil.pid_exists(noted(shell) or pid))
    done = shell.run("fetch", "polygon", "KO", "--start", "2023-01-01", "--end", "2023-02-01", "--wait")
    assert done.returncode == 0, done.stderr


def test_a_dead_valkey_is_started_again_with_its_data(running: tuple[Any, Any]) -> None:
    shell, started = running
    url = find_valkey(shell.folder / SANDBOX)
    pid = json.loads((shell.folder / SANDBOX / "valkey.json").read_text())["pid"]
    os.kill(pid, signal.SIGKILL)
    started.until(lambda: "Valkey had ended and was started again" in started.text)
    assert find_valkey(shell.folder / SANDBOX) == url
    done = shell.run("fetch", "polygon", "GE", "--start", "2023-01-01", "--end", "2023-02-01", "--wait")
    assert done.returncode == 0, done.stderr


def test_flower_shows_the_workers_on_loopback_only(running: tuple[Any, Any]) -> None:
    _, started = running
    shown: set[str] = set()

    def look() -> bool:
        url = f"http://127.0.0.1:{FLOWER}/workers?json=1"
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=300) as reply:
            shown.update(one["hostname"].partition("@")[0] for one in json.loads(reply.read())["data"])
        return {"worker-1", "worker-2"} <= shown

    started.until(look)
    listening = [one.laddr.ip for one in psutil.net_connections("tcp") if one.laddr and one.laddr.port == FLOWER]
    assert set(listening) == {"127.0.0.1"}


def test_the_web_api_shows_the_sandboxs_keys_on_loopback_only(running: tuple[Any, Any]) -> None:
    _, started = running
    shown: list[str] = []

    def look() -> bool:
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{WEB}/api/v1/quotas", timeout=300) as reply,
        ):
            shown[:] = [one["label"] for one in json.loads(reply.read())["keys"]]
        return bool(shown)

    started.until(look)
    assert set(shown) == {"sandbox"}
    listening = [one.laddr.ip for one in psutil.net_connections("tcp") if one.laddr and one.laddr.port == WEB]
    assert set(listening) == {"127.0.0.1"}, "whatever [serve] says"
    assert "`marketfetch serve` listens on 0.0.0.0, as [serve] says" in started.text


def test_ctrl_c_while_waiting_leaves_the_job_and_says_how_to_look_again(running: tuple[Any, Any]) -> None:
    shell, _ = running
    # What the vendor sends away for an hour stays open meanwhile.
    url = sandbox_note.find(shell.folder / ".marketfetch")["providers"]["polygon"]["base_url"]
    fault = json.dumps({"kind": "503", "provider": "polygon", "symbol": "T", "retry_after": 3600}).encode()
    urllib.request.urlopen(urllib.request.Request(f"{url}/_sandbox/faults", fault), timeout=300).close()
    waiting = shell.start("fetch", "polygon", "T", "--start", "2023-01-01", "--end", "2023-02-01", "--wait")
    waiting.until(lambda: "polygon: 0 of 1" in waiting.text)
    assert waiting.end() == 130
    (job,) = re.findall(r"marketfetch watch ([0-9a-f]{16})", waiting.text)
    assert json.loads(shell.run("status", job, "--json").stdout)["state"] == "running"


def test_after_a_kill_the_next_up_takes_over_the_data_and_ends_the_rest(shell: Any, gone: Callable[[list[Any]], bool]) -> None:
    first = shell.start("up", "--sandbox", "--concurrency", "1")
    first.until(lambda: workers(shell) == 1)
    valkey = find_valkey(shell.folder / SANDBOX)
    left = [one for one in first.family()[1:] if "valkey" not in one.name()]
    first.end(signal.SIGKILL)
    # It shows nobody a Flower page, as another program has the port, and goes on without it.
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        second = shell.start("up", "--sandbox", "--concurrency", "1", "--flower", str(taken))
        second.until(lambda: "In another terminal" in second.text)
    assert f"not started, as it can't take port {taken} (Address already in use): name a free one" in second.text
    try:
        second.until(lambda: "stopped worker-1, which an earlier run had left behind" in second.text)
        second.until(lambda: workers(shell) == 1)
        assert gone(left)
        assert find_valkey(shell.folder / SANDBOX) == valkey
    finally:
        assert second.end(signal.SIGTERM) == 0, second.text
    assert find_valkey(shell.folder / SANDBOX) is None
    assert sandbox_note.find(shell.folder / ".marketfetch") == {}


def test_the_command_that_is_shown_asks_for_what_the_vendor_has():
    assert up._may_be_asked("polygon", ("AAPL", "MSFT"), up._STARTS[0])
    assert not up._may_be_asked("nasdaq", ("AAPL",), up._STARTS[0]), "its default table has ended"
    assert all(up._may_be_asked(name, vendors.vendor(name).symbol_forms[0].examples, up._STARTS[1]) for name in vendors.names())
