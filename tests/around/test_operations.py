"""docs/operations.md says what the program says: one held against the other."""

from __future__ import annotations

import re
from pathlib import Path

import billiard.pool
import celery.apps.worker
import celery.worker.consumer.consumer
import celery.worker.worker
import kombu.asynchronous.hub
import pytest

from settings import get_settings
from tests.around.sentences import said, templates

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", PAGE, flags=re.MULTILINE | re.DOTALL)
    assert found, f"docs/operations.md has no section {title!r}"
    return found.group(1)


def quoted(text: str) -> list[str]:
    return [" ".join(one.split()) for one in re.findall(r"`([^`]+)`", text)]


#: What stands between backticks and is nobody's sentence.
COMMANDS = ("marketfetch ", "docker ", "CONFIG ", "[log] ", "-Q ")
#: What others say: the operating system, and Redis.
STRANGERS = {"signal 9 (SIGKILL)", "command not allowed when used memory > 'maxmemory'"}
OF_CELERY = (
    billiard.pool,
    celery.apps.worker,
    celery.worker.consumer.consumer,
    celery.worker.worker,
    kombu.asynchronous.hub,
)


@pytest.fixture(scope="module")
def sentences():
    ours = [path for name in ("cli", "providers", "quotas", "storage", "tasks") for path in (ROOT / name).glob("*.py")]
    found = templates([*ours, *(Path(module.__file__) for module in OF_CELERY)])
    found += [(path.read_text(encoding="utf-8"),) for path in (ROOT / "quotas" / "lua").glob("*.lua")]
    whos = re.findall(r'Outage\("(\w+)"\)', "".join(path.read_text(encoding="utf-8") for path in ours))
    found += [(f"{who} waits for {what}",) for who in whos for what in ("Redis", "the database")]
    return found


def test_every_sentence_that_an_operator_is_to_look_for_can_be_said(sentences):
    wanted = [one for one in quoted(section("When something dies")) if " " in one and not one.startswith(COMMANDS)]
    assert len(wanted) > 50
    assert [one for one in wanted if one not in STRANGERS and not said(one, sentences)] == []


@pytest.mark.parametrize("wrong", ["gate is emptied", "worker-1 ended with SIGKILL; starting them again in 0.5 s"])
def test_a_sentence_that_nobody_says_is_noticed(sentences, wrong):
    assert not said(wrong, sentences)


#: Every end that the page is asked for, by a word of its first line.
ENDS = """
    child of a worker | worker is killed | machine is gone | SIGTERM | worker's disk | Redis is restarted | Redis is away |
    Redis is emptied | its disk is full | `maxmemory` | clock of Redis | database | is slow | vendor is down | refuses for now |
    key is refused | quota is used up | message of Celery's | can't be read or run | submits a job | Beat | Flower
"""


@pytest.mark.parametrize("end", [" ".join(one.split()) for one in ENDS.split("|")])
def test_every_end_has_its_place(end):
    assert any(end in line for line in section("When something dies").splitlines() if line.startswith(("**", "###")))


def test_every_end_says_what_happens_what_is_seen_and_what_to_do():
    text = section("When something dies")
    for mark in ("What happens:", "You see:", "You do:"):
        assert text.count(f"- *{mark}*") == text.count("- *What happens:*") >= 20


def test_the_figures_of_the_page_are_the_settings():
    timings, retries = get_settings().timings, get_settings().retries
    assert (timings.start_by, timings.end_by, timings.held_again, timings.sweep) == (10, 25, 20, 15)
    assert (retries.most, retries.backoff) == (5, 2)
