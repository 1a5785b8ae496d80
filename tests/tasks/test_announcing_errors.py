"""An end of a job that can't be announced now is left to the sweeper; a callback that never can be is given up."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from kombu.exceptions import OperationalError
from redis.exceptions import ConnectionError as RedisAway

from marketfetch import connections
from marketfetch.jobs.job_ends import EndCounts, JobEnd
from marketfetch.storage.store import JobWaiter, StoreError, StoreUnavailable
from tasks import announcing, app
from tasks.sending.recorded_tasks import STANDS

END = JobEnd(job="J", outcome="done", counts=EndCounts(total=1, stored=1, failed=0, cancelled=0, rows=4, rejects=0))
WAITER = JobWaiter("J", "callback:1", '{"task": "theirs.over", "args": [], "kwargs": {}, "options": {}}')


class Waiters:
    """A store with one waiter of one job that is over."""

    def __init__(self, waiter: JobWaiter = WAITER, *, claimed: bool = True) -> None:
        self.waiter, self.claimed, self.forgotten, self.looks = waiter, claimed, list[str](), 0

    def waiters(self, _job: str) -> list[JobWaiter]:
        return [self.waiter]

    def job(self, _job: str) -> Any:
        return SimpleNamespace(id="J")

    def claim_waiter(self, *_: Any, **__: Any) -> bool:
        return self.claimed

    def forget_waiter(self, _job: str, name: str) -> None:
        self.forgotten.append(name)

    def is_over(self, _job: str) -> bool:
        self.looks += 1
        return False


@pytest.fixture
def store(monkeypatch):
    made = Waiters()
    monkeypatch.setattr(connections, "store", lambda: made)
    monkeypatch.setattr(announcing, "end_of", lambda *_: END)
    return made


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (StoreError("the database is away"), "next_step='the sweeper announces it'"),
        (RedisAway("gone"), "error=gone"),
        (OperationalError("gone"), "error=gone"),
        (KeyError("a bug"), "Traceback"),
    ],
)
def test_whatever_goes_wrong_is_left_to_the_sweeper(store, monkeypatch, capsys, error, said):
    def fails(*_: Any) -> None:
        raise error

    monkeypatch.setattr(store, "waiters", fails)
    announcing.announce_now("J")
    out = capsys.readouterr().out
    assert "end of a job not announced" in out
    assert said in out


@pytest.mark.parametrize("error", [RedisAway("gone"), OperationalError("gone"), StoreUnavailable("locked")])
def test_an_outage_costs_a_callback_none_of_its_tries(store, monkeypatch, error):
    def fails(*_: Any) -> bool:
        raise error

    monkeypatch.setattr(announcing, "notify", fails)
    with pytest.raises(type(error)):
        announcing._notified(store, WAITER)
    assert store.forgotten == []


@pytest.mark.parametrize(
    ("waiter", "forgotten"),
    [
        (WAITER, []),
        (JobWaiter("J", "callback:1", WAITER.message, tries=9), ["callback:1"]),
        (JobWaiter("J", f"{STANDS}t", "{}", tries=20), []),
    ],
    ids=["the first time", "the tenth time", "a task, which must end"],
)
def test_a_callback_that_cannot_be_sent_is_given_up_after_ten_tries(store, monkeypatch, capsys, waiter, forgotten):
    def fails(*_: Any) -> bool:
        raise ValueError("no signature")

    monkeypatch.setattr(announcing, "notify", fails)
    assert announcing._notified(store, waiter) is False
    assert store.forgotten == forgotten
    out = capsys.readouterr().out
    assert "waiter of a job was not notified" in out
    assert ("callback of a job is given up" in out) == bool(forgotten)


def test_a_waiter_that_another_process_has_claimed_is_left_to_it(store, monkeypatch):
    store.claimed = False
    monkeypatch.setattr(announcing, "notify", lambda *_: pytest.fail("it is another's"))
    assert announcing._notified(store, WAITER) is False


def test_a_callback_of_several_tasks_has_no_id_of_ours(monkeypatch):
    sent: list[tuple[Any, ...]] = []

    class Several(dict[str, Any]):
        task = "celery.group"

        def apply_async(self, args: Any, **options: Any) -> None:
            sent.append((args, options))

    monkeypatch.setattr(app, "signature", lambda _: Several(subtask_type="group"))
    announcing._call_back(WAITER, END)
    ((args, options),) = sent
    assert (args[0]["job"], options) == ("J", {})


def test_a_dear_look_at_a_large_job_is_not_repeated_at_once_and_few_are_remembered(store, monkeypatch):
    monkeypatch.setattr(announcing, "_EXPENSIVE_S", -1.0)
    monkeypatch.setattr(announcing, "_MOST_REMEMBERED", 1)
    monkeypatch.setattr(announcing, "_next_look", {"another": 0.0})
    assert announcing._is_over(store, "J") is False
    assert list(announcing._next_look) == ["J"]
    announcing._next_look["J"] += 3_600
    assert announcing._is_over(store, "J") is False
    assert store.looks == 1


def test_a_job_with_requests_in_the_lane_is_not_looked_at(store, monkeypatch):
    monkeypatch.setattr(store, "awaited_jobs", lambda _: ["J"], raising=False)
    monkeypatch.setattr(connections, "gate", lambda _: SimpleNamespace(in_lane=lambda _: 3))
    announcing.after_storing("polygon", ["root"])
    assert store.looks == 0
