"""Tasks that steer jobs by name: wrong arguments are refused with a sentence, and a database that is away is waited for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from marketfetch.exceptions import BadRequestError, UnavailableError
from marketfetch.jobs import steering
from marketfetch.storage.store import StoreUnavailable
from tasks import announcing, job_tasks

WISH = {"provider": "polygon", "symbols": ["AAPL"]}


def away(*_: Any, **__: Any) -> str:
    raise UnavailableError("The database is away") from StoreUnavailable("locked")


@pytest.mark.parametrize(
    ("unnamed", "named", "said"),
    [
        (("polygon", ["AAPL"], "2024-01-02"), {}, "provider and symbols come first, and the rest by name"),
        (("polygon",), {"provider": "nasdaq", "symbols": []}, "come first"),
        ((), {"provider": "polygon"}, "The task needs symbols"),
    ],
)
@pytest.mark.parametrize("name", ["submit", "update"])
def test_wrong_arguments_are_refused(name, unnamed, named, said):
    with pytest.raises(BadRequestError, match=said):
        getattr(job_tasks, name).run(*unnamed, **named)


@pytest.mark.parametrize(
    ("name", "does", "arguments"),
    [("submit", "submit_for", WISH), ("update", "update_for", WISH), ("cancel", "", {"job": "J"})],
)
def test_a_task_waits_for_a_database_that_is_away(monkeypatch, name, does, arguments):
    monkeypatch.setattr(steering if name == "cancel" else job_tasks, does or "cancel", away)
    monkeypatch.setattr(job_tasks, "_later", lambda _task, error: RuntimeError(f"later: {error}"))
    with pytest.raises(RuntimeError, match="later: The database is away"):
        getattr(job_tasks, name).run(**arguments)


@pytest.mark.parametrize(("retries", "wait_s"), [(0, 2), (3, 16), (100, 60)])
def test_the_wait_doubles_up_to_a_minute(retries, wait_s):
    waited: list[int] = []

    def retry(*, countdown: int, **_: Any) -> Exception:
        waited.append(countdown)
        return ValueError("a retry")

    task: Any = SimpleNamespace(request=SimpleNamespace(retries=retries), retry=retry)
    with pytest.raises(UnavailableError) as caught:
        away()
    assert str(job_tasks._later(task, caught.value)) == "a retry"
    assert waited == [wait_s]


def test_what_no_wait_repairs_ends_the_task():
    error = UnavailableError("Redis does not answer")
    assert job_tasks._later(SimpleNamespace(), error) is error


@pytest.mark.parametrize(("name", "does"), [("submit", "submit_for"), ("update", "update_for")])
def test_a_callback_is_announced_at_once_where_the_job_is_over_already(monkeypatch, name, does):
    told: list[str] = []
    monkeypatch.setattr(job_tasks, does, lambda *_, **__: "J")
    monkeypatch.setattr(announcing, "announce_now", told.append)
    over = {"task": "theirs.over", "options": {"queue": "theirs"}}
    assert getattr(job_tasks, name).run(**WISH, on_over=over) == "J"
    assert getattr(job_tasks, name).run(**WISH) == "J"
    assert told == ["J"]


@pytest.mark.parametrize("on_over", [{"task": "marketfetch.status"}, {"task": 7}, "no table", {"task": "x", "options": 5}])
def test_a_callback_that_is_known_or_has_no_shape_is_left_to_who_records_it(on_over):
    job_tasks._refuse_unknown_task(on_over)
