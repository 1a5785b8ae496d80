"""The beginning of a job's id stands for the job, wherever one is named; owner and tags choose among the jobs."""

from __future__ import annotations

import json
import os
import pwd
from datetime import date
from typing import Any

import pytest
from click.testing import CliRunner, Result

import marketfetch
from marketfetch import BadRequestError, UnknownJob, connections
from marketfetch.cli.main import marketfetch as command
from marketfetch.storage.store import Job

DAYS: dict[str, Any] = {"start": date(2024, 1, 2), "end": date(2024, 1, 5)}
ASKED = ("fetch", "polygon", "AAPL", "--start", "2024-01-02", "--end", "2024-01-05")


def run(*arguments: str) -> Result:
    done = CliRunner().invoke(command, arguments)
    assert "should not happen" not in done.stderr
    return done


def submitted(**words: Any) -> str:
    return marketfetch.submit("polygon", ["AAPL"], **DAYS, **words).job_id


@pytest.fixture
def others(emptied: Any) -> list[str]:
    """Ids of recorded jobs that begin alike."""
    emptied()
    spec = connections.store().job(submitted()).spec  # type: ignore[union-attr]
    ids = ["abcd000000000001", "abcd000000000002", "abce000000000003"]
    for n, one in enumerate(ids):
        connections.store().save_job(Job(one, spec, 1_700_000_000_000 + n, owner=f"owner{n}", name="n"), ["r"])
    return ids


def test_a_beginning_that_one_job_has_stands_for_it_everywhere(others: list[str]) -> None:
    first, _, third = others
    for begins in (third, third[:4], third[:11].upper()):
        assert marketfetch.status(begins).job == third
    assert marketfetch.cancel("abce").state == "cancelled"
    assert marketfetch.wait("abce").job == third
    assert marketfetch.resume("abce") == 0
    assert marketfetch.retry("abce") == 0
    assert json.loads(run("status", "abce", "--json").stdout)["job"] == third
    assert f"`marketfetch resume {third}`" in run("cancel", "abce").stderr
    assert run("resume", "abce").stdout.startswith(f"{third}: ")
    assert run("retry", "abce").stdout == f"No request of {third} has failed.\n"
    assert run("purge", "--parked", "abce", "--yes").stdout.startswith(f"{third}: ")
    assert marketfetch.status(first[:16]).job == first


def test_a_beginning_of_several_jobs_is_refused_with_what_tells_them_apart(others: list[str]) -> None:
    for call in (marketfetch.status, marketfetch.cancel, marketfetch.resume, marketfetch.retry, marketfetch.wait):
        with pytest.raises(BadRequestError) as error:
            call("abcd")
        assert str(error.value) == (
            "Several jobs begin with 'abcd': abcd000000000002 (2023-11-14 22:13 UTC, owner1, n), "
            "abcd000000000001 (2023-11-14 22:13 UTC, owner0, n). Write more of the id."
        )
    done = run("cancel", "abcd0")
    assert (done.exit_code, done.stdout) == (1, "")
    assert connections.store().cancelled_jobs() == []


@pytest.mark.parametrize("text", ["abc", "", "abcd%", "abcf", "abce0000000000030", "../abcd", "ａｂｃｅ"])
def test_what_begins_no_id_is_no_job(others: list[str], text: str) -> None:
    with pytest.raises(UnknownJob):
        marketfetch.status(text)


def test_a_name_that_one_job_has_stands_for_it_and_an_id_goes_first(others: list[str]) -> None:
    job, misleading = submitted(name="nightly ü"), submitted(name="abce")
    assert marketfetch.status("nightly ü").job == job
    assert run("status", "nightly ü").stdout.splitlines()[1] == "  name nightly ü"
    assert marketfetch.status("abce").job == others[2] != misleading
    with pytest.raises(BadRequestError, match=r"Several jobs have the name 'n': abce.*Write the id of one"):
        marketfetch.status("n")
    with pytest.raises(UnknownJob):
        marketfetch.status("night%")


def test_a_beginning_that_is_too_short_is_refused_with_how_many_digits_it_takes(others: list[str]) -> None:
    with pytest.raises(UnknownJob, match="'abc' may begin the ids of many jobs: write at least 4 digits of the id"):
        marketfetch.status("abc")


def test_jobs_are_listed_by_owner_and_tag_and_the_same_handle_again_is_the_same_job(emptied: Any) -> None:
    emptied()
    plain = submitted()
    ana = submitted(owner="ana", tags=["eod", "us"], name="nightly")
    assert submitted(owner="ana", tags=("us", "eod", "us"), name="nightly") == ana != plain == submitted()
    ben = submitted(owner="ben", tags=["eod"])
    assert {one.job_id for one in marketfetch.list_jobs(owner="ana")} == {ana}
    assert {one.job_id for one in marketfetch.list_jobs(tag="eod")} == {ana, ben}
    assert marketfetch.list_jobs(owner="ben", tag="us") == []
    state = marketfetch.status(ana)
    assert (state.owner, state.name, state.tags) == ("ana", "nightly", ["eod", "us"])
    assert connections.gate("polygon").counts().parked == 1, "three handles share the request"
    assert marketfetch.cancel(ana).requests.cancelled == 1
    assert marketfetch.status(ben).requests.parked == marketfetch.status(plain).requests.parked == 1


def test_the_command_line_has_the_owner_of_the_settings_else_the_user_of_the_system(emptied: Any, monkeypatch: Any) -> None:
    from marketfetch.settings import get_settings

    emptied()
    me = pwd.getpwuid(os.getuid()).pw_name
    mine = run(*ASKED, "--tag", "eod", "--tag", "us", "--name", "my job").stdout.strip()
    monkeypatch.setenv("MARKETFETCH_OWNER", "desk 7")
    get_settings.cache_clear()
    desk = run(*ASKED).stdout.strip()
    found = json.loads(run("status", "--mine", "--json").stdout)["jobs"]
    assert [(one["job"], one["owner"], one["name"], one["tags"]) for one in found] == [(desk, "desk 7", "", [])]
    assert submitted() == desk, "the setting holds for Python too"
    found = json.loads(run("status", "--tag", "us", "--json").stdout)["jobs"]
    assert [(one["job"], one["owner"], one["name"], one["tags"]) for one in found] == [(mine, me, "my job", ["eod", "us"])]
    none = run("status", "--mine", "--tag", "us").stderr
    assert "There are no jobs of 'desk 7' with the tag 'us' in the database file /" in none
    assert "leave out JOB" in run("status", desk, "--mine").stderr
    done = run(*ASKED, "--tag", "a\nb")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "tags.0: only printable characters, on one line (got 'a\\nb')" in done.stderr
