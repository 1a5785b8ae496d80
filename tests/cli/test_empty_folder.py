"""In a folder without anything no command that reads or steers makes a file, and each says where it looked and how to go on."""

from __future__ import annotations

import contextlib
import fcntl
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

import marketfetch
from marketfetch import UnknownJob, connections, settings
from marketfetch.cli.main import marketfetch as command
from marketfetch.local import runs_elsewhere, sandbox_note

#: These make what they need, and the server would run.
WRITING = {"demo", "init", "up", "fetch", "update", "search", "serve", "token create"}
#: What the other commands are given where a word will not do.
GIVEN = {
    "purge": ["--older-than", "90d"],
    "purge --parked": ["--parked", "abcdef0123456789", "--yes"],
    "read": ["polygon", "bars", "/dev/null"],
    "datasets": [],
    "set": ["--history"],
    "completion": ["bash"],
    "plan": ["polygon", "AAPL"],
    "show": ["AAPL"],
    "token": ["list"],
    "quotas pause": ["main"],
    "quotas resume": ["main"],
    "dead reply": ["polygon", "abcdef0123456789"],
    "dead drop": ["1-0"],
    "dead retry": ["1-0"],
    "status": [],
    "status JOB": ["abcdef0123456789"],
    "resume": [],
    "compare": ["polygon", "nasdaq", "AAPL"],
    "schedule": ["list"],
    "archive": ["show"],
    "archive purge": ["--older-than", "90d"],
    "resume JOB": ["abcdef0123456789"],
}
#: They look into neither Redis nor the database, or first for an archive or a schedule.
NOWHERE = {
    "vendors",
    "completion",
    "datasets",
    "read",
    "replay",
    "archive",
    "archive show",
    "archive purge",
    "schedule run",
    "schedule pause",
    "schedule resume",
}
REDIS = "redis://127.0.0.1:1/0"


def leaves(group: click.Group, before: str = "") -> Iterator[tuple[str, click.Command]]:
    for name, one in group.commands.items():
        if isinstance(one, click.Group):
            yield f"{before}{name}", one
            yield from leaves(one, f"{before}{name} ")
        elif f"{before}{name}" not in WRITING:
            yield f"{before}{name}", one


def calls() -> dict[str, list[str]]:
    """Every command that makes nothing, as it is typed."""
    found = {}
    for name, one in leaves(command):
        words = ["x" for given in one.params if isinstance(given, click.Argument) and given.required]
        found[name] = [*name.split(), *GIVEN.get(name, words)]
    for name in sorted(GIVEN.keys() - found.keys()):
        found[name] = [name.split()[0], *GIVEN[name]]
    return found


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, arguments)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """This process is in an empty folder; Redis does not run where the settings say."""
    monkeypatch.chdir(tmp_path)
    variables = {"MARKETFETCH_REDIS_URL": REDIS, "MARKETFETCH_PROVIDERS__POLYGON__API_KEYS": "main:secret"}
    caches: tuple[Any, ...] = (connections._redis, connections._gate, connections._ledger, connections._store)
    with settings.override(variables):
        for one in caches:
            one.cache_clear()
        yield tmp_path
    for one in caches:
        one.cache_clear()


@pytest.mark.parametrize("name", calls())
def test_no_command_that_reads_or_steers_makes_a_file_and_each_says_where_it_looked(folder: Path, name: str) -> None:
    done = run(*calls()[name])
    assert "should not happen" not in done.output
    assert list(folder.iterdir()) == []
    assert done.exit_code in (0, 1), done.output
    if name not in NOWHERE:
        assert f"{folder}/marketfetch.db" in done.output or REDIS in done.output
    if done.exit_code and f"{folder}/marketfetch.db" in done.stderr and "check" not in name:
        assert "go to the folder of your jobs, or set MARKETFETCH_DATABASE_URL" in done.stderr


def test_the_functions_make_no_file_either(folder: Path) -> None:
    assert marketfetch.list_jobs() == []
    where = re.escape(f"There is no job 'abcd': the database file {folder}/marketfetch.db does not exist")
    for call in (marketfetch.status, marketfetch.cancel, marketfetch.resume, marketfetch.retry, marketfetch.wait):
        with pytest.raises(UnknownJob, match=where):
            call("abcd")
    where = re.escape(f"No bars are stored: the database file {folder}/marketfetch.db does not exist")
    with pytest.raises(marketfetch.BadRequestError, match=where):
        marketfetch.bars("AAPL")
    assert list(folder.iterdir()) == []


def test_a_database_that_is_configured_is_named_with_the_place_of_its_setting(folder: Path) -> None:
    (folder / "marketfetch.toml").write_text(f'redis_url = "{REDIS}"\n\ndatabase_url = "sqlite:///other.db"\n')
    with settings.override({}):
        done = run("status", "abcd")
        assert f"the database file {folder}/other.db does not exist" in done.stderr
        assert "database_url (in marketfetch.toml, line 3) names that database: correct it" in done.stderr
        assert {one.name for one in folder.iterdir()} == {"marketfetch.toml"}


def test_the_default_redis_is_named_where_none_is_known(folder: Path, redis: Any, valkey_url: str, monkeypatch: Any) -> None:
    monkeypatch.setattr("marketfetch.addresses.DEFAULT_REDIS_URL", valkey_url)
    with settings.override({}):
        for arguments in (("dead",), ("quotas",)):
            connections._redis.cache_clear()
            connections._gate.cache_clear()
            done = run(*arguments)
            assert done.exit_code == 0, done.output
            assert "the default: redis_url is not set" in done.stderr
            assert f"`marketfetch up` does not run in {folder}" in done.stderr
    assert redis.keys("*") == []


def test_a_check_before_the_first_up_finds_no_error(folder: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("marketfetch.addresses.DEFAULT_REDIS_URL", REDIS)
    with settings.override({"MARKETFETCH_PROVIDERS__POLYGON__API_KEYS": "main:secret"}):
        done = run("check", "--json")
    assert done.exit_code == 0, done.output
    (redis,) = [one for one in json.loads(done.stdout)["findings"] if one["subject"] == "redis"]
    assert (redis["level"], redis["sentence"].partition(" Until")[0]) == (
        "warning",
        "Not started: `marketfetch up` starts one.",
    )
    assert list(folder.iterdir()) == []


def test_a_configured_redis_that_is_away_is_an_error_of_check(folder: Path) -> None:
    done = run("check", "--json")
    assert (done.exit_code, [one["level"] for one in json.loads(done.stdout)["findings"] if one["subject"] == "redis"]) == (
        1,
        ["error"],
    )


def test_the_jobs_of_a_sandbox_that_is_stopped_are_not_forgotten(folder: Path) -> None:
    began = "Begin with `marketfetch up`, or without an API key with `marketfetch up --sandbox`"
    assert began in run("status").stderr
    left = sandbox_note.home(settings.get_settings().state_dir)
    left.mkdir(parents=True)
    (left / sandbox_note.DATABASE).touch()
    with settings.override({}):
        for arguments in (("status",), ("status", "abcd"), ("show", "AAPL"), ("fetch", "polygon", "AAPL")):
            said = run(*arguments).stderr
            assert "The sandbox of this folder is stopped: `marketfetch up --sandbox` starts it again" in said, arguments
            assert f"with its jobs and bars ({left})" in said, arguments
        missing = f"the database file {folder}/marketfetch.db does not exist (`marketfetch fetch` and `marketfetch up` make it)"
        stopped = "The sandbox of this folder is stopped: `marketfetch up --sandbox` starts it again"
        assert run("show", "AAPL").stderr.startswith(f"Error: No bars are stored: {missing}. {stopped}"), (
            "the likely cause first"
        )
    with (left / sandbox_note.LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert not sandbox_note.is_left(left.parent)


def test_a_check_names_a_stopped_sandbox_and_what_a_killed_up_has_left(folder: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("marketfetch.addresses.DEFAULT_REDIS_URL", REDIS)

    def found() -> dict[str, tuple[str, str]]:
        with settings.override({}):
            document = json.loads(run("check", "--json").stdout)
        return {one["subject"]: (one["level"], one["sentence"]) for one in document["findings"]}

    assert not {"sandbox", "leftovers"} & found().keys()
    state = folder / ".marketfetch"
    left = sandbox_note.home(state)
    (left / "run").mkdir(parents=True)
    (left / sandbox_note.DATABASE).touch()
    with contextlib.ExitStack() as running:
        for name in ("worker-1", "beat"):
            fcntl.flock(running.enter_context((left / "run" / f"{name}.pid").open("w")), fcntl.LOCK_EX)
        said = found()
        assert said["sandbox"][0] == "ok"
        assert said["sandbox"][1].startswith(
            "The sandbox of this folder is stopped: `marketfetch up --sandbox` starts it again"
        )
        assert said["leftovers"][0] == "warning"
        assert said["leftovers"][1].startswith(
            "Of a `marketfetch up` that was killed, beat and worker-1 run on in this folder."
        )
        fcntl.flock(running.enter_context((state / sandbox_note.UP_LOCK).open("w")), fcntl.LOCK_EX)
        assert "leftovers" not in found(), "they have an owner"


def test_a_fetch_without_a_key_names_the_vendors_variable_and_the_sandbox(folder: Path) -> None:
    with settings.override({}):
        done = run("fetch", "polygon", "AAPL")
    assert done.exit_code == 1
    assert (
        "Set the variable MASSIVE_API_KEY or POLYGON_API_KEY, or providers.polygon.api_keys in marketfetch.toml." in done.stderr
    )
    assert "`marketfetch up --sandbox` brings invented bars" in done.stderr
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("end", [(), ("--end", "today")])
def test_a_range_that_begins_in_the_future_is_refused_as_such(folder: Path, end: tuple[str, ...]) -> None:
    done = run("fetch", "polygon", "AAPL", "--start", "2130-05-01", *end)
    assert done.exit_code == 2
    assert "the range begins on 2130-05-01, " in done.stderr
    assert "an earlier start" in done.stderr
    assert "swap" not in done.stderr


def test_a_day_that_is_none_is_refused_in_words_and_without_a_format(folder: Path) -> None:
    done = run("fetch", "polygon", "AAPL", "--start", "2024-13-01")
    assert done.exit_code == 2
    assert "'2024-13-01' is no day: write a date such as 2024-01-31" in done.stderr
    assert "%Y" not in done.stderr


def test_the_folder_where_up_runs_is_named_where_nothing_is_found(
    folder: Path, tmp_path_factory: Any, monkeypatch: Any
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    code = "import sys; print(flush=True); sys.stdin.read()"
    # Its command line is what is looked at: `python -m marketfetch up` and the script have these words in it.
    words = [sys.executable, "-c", code, "/usr/bin/marketfetch", "up", "--sandbox"]
    with subprocess.Popen(words, cwd=elsewhere, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        assert elsewhere in runs_elsewhere.folders()
        assert folder not in runs_elsewhere.folders()
        monkeypatch.setattr(runs_elsewhere, "folders", lambda: [elsewhere])
        says = f"`marketfetch up` runs in {elsewhere}."
        assert says in run("status").stderr
        with settings.override({}):
            assert says in run("quotas").stderr
            no_key = run("fetch", "polygon", "AAPL").stderr
            assert "No API key is configured for polygon" in no_key
            assert f"{says} Its keys are used by the commands in that folder." in no_key
        other.communicate()
    monkeypatch.setattr(runs_elsewhere, "folders", list)
    assert "`marketfetch up` runs in" not in run("status").stderr
