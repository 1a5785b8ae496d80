"""docs/operations.md says what tasks/celeryconfig.py sets and what the program says: each held against the other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import billiard.pool
import celery.apps.worker
import celery.worker.consumer.consumer
import celery.worker.worker
import kombu.asynchronous.hub
import pytest
import yaml
from kombu import Queue

import celeryconfig
from marketfetch.addresses import redis_url
from marketfetch.cli.processes import REMAPPED
from marketfetch.settings import get_settings
from tests.around.sentences import said, templates

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", PAGE, flags=re.MULTILINE | re.DOTALL)
    assert found, f"docs/operations.md has no section {title!r}"
    return found.group(1)


def quoted(text: str) -> list[str]:
    return [" ".join(one.split()) for one in re.findall(r"`([^`]+)`", text)]


def settings() -> dict[str, Any]:
    """What tasks/celeryconfig.py sets, as Celery sees it; dictionaries by their keys."""
    # Names with @ are pytest's: it rewrites the modules of a distribution that has a plug-in, as ours has.
    found = {name: value for name, value in vars(celeryconfig).items() if name[0] not in "_@" and name.islower()}
    ours = {name: value for name, value in found.items() if name != "annotations"}
    return dict(pair for name, value in ours.items() for pair in flat(name, value))


def flat(name: str, value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, dict) and set(value) != {"queue"}:
        return [pair for key, one in value.items() for pair in flat(f"{name}.{key}", one)]
    return [(name, value["queue"] if isinstance(value, dict) else value)]


def shown(value: Any) -> list[str]:
    """A value as the table writes it: the words of its cell."""
    if isinstance(value, list | tuple):
        return [one.name if isinstance(one, Queue) else str(one) for one in value]
    return [str(value)]


def rows() -> dict[str, list[str]]:
    """The table: setting -> the words of its value."""
    found: dict[str, list[str]] = {}
    for line in section("Celery's settings").splitlines():
        cells = line.strip("|").split(" | ")
        if line.startswith("| `"):
            assert len(cells) == 3, line
            assert cells[2].strip(), f"no reason: {line}"
            for name in quoted(cells[0]):
                assert name not in found, f"{name} stands there twice"
                found[name] = quoted(cells[1])
    return found


def test_every_setting_of_celeryconfig_is_in_the_table_and_no_other():
    assert sorted(rows()) == sorted(settings())


@pytest.mark.parametrize("name", sorted(settings()))
def test_the_table_says_the_value_that_is_set(name):
    value = settings()[name]
    if name in ("broker_url", "result_backend"):
        assert (rows()[name], value) == (["MARKETFETCH_REDIS_URL"], redis_url().text)
    else:
        assert rows()[name] == shown(value)


def test_a_dictionary_is_set_as_a_whole_or_not_at_all():
    """The table names keys, so an empty dictionary would be set and not be seen."""
    assert [name for name, value in vars(celeryconfig).items() if isinstance(value, dict) and not value] == []


def test_remap_sigterm_is_named_and_set_where_the_page_says():
    assert REMAPPED == {"REMAP_SIGTERM": "SIGQUIT"}
    for title in ("Celery's settings", "When something dies"):
        assert "REMAP_SIGTERM=SIGQUIT" in quoted(section(title))
    assert "REMAP_SIGTERM=SIGQUIT" in (ROOT / "Dockerfile").read_text(encoding="utf-8")
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    assert compose["services"]["worker"]["environment"]["REMAP_SIGTERM"] == "SIGQUIT"


#: What stands between backticks and is nobody's sentence.
COMMANDS = ("hash-max-listpack-value ", "marketfetch ", "docker ", "CONFIG ", "[log] ", "-Q ")
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
    ours = [path for name in ("marketfetch", "providers", "tasks") for path in (ROOT / name).rglob("*.py")]
    found = templates([*ours, *(Path(module.__file__) for module in OF_CELERY)])
    found += [(path.read_text(encoding="utf-8"),) for path in (ROOT / "marketfetch" / "quotas" / "lua").glob("*.lua")]
    whos = re.findall(r'Outage\("(\w+)"\)', "".join(path.read_text(encoding="utf-8") for path in ours))
    found += [(f"{who} waits for {what}",) for who in whos for what in ("Redis", "the database", "the broker")]
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
    key is refused | quota is used up | message of Celery's | can't be read or run | submits a job | Beat | Flower |
    A job can't be read
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
    # Every `setting` (20 s) of the page.
    said = re.findall(r"`(\w+)` \(([0-9.]+) s\)", PAGE)
    assert {name for name, _ in said} >= {"start_by", "held_again"}
    assert [(name, figure) for name, figure in said if float(figure) != getattr(timings, name)] == []
