"""A second look at the gate's bad days: each test is named for what should be true."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest

from marketfetch.quotas import Parking, key_limits
from marketfetch.quotas.limits import Calendar, KeyLimits
from marketfetch.quotas.values import KeyHistory
from tests.quotas.steps import admit, busy_s, park
from tests.waiting import eventually


def by_task(gate, name, *, id="a", expires_ms=0):  # noqa: A002
    asked = Parking(id=id, arguments="{}", task=name, message=f"message of {name}", expires_ms=expires_ms)
    return gate.park([asked], job="direct")


def started(gate, *keys, **options):
    (grant,) = admit(gate, *keys, room=1).grants
    assert gate.start(grant.id, fence=grant.fence, **options).verdict == "go"
    return grant


def redis_us(gate):
    seconds, micros = gate.redis.time()
    return seconds * 1_000_000 + micros


@dataclass(frozen=True, slots=True)
class Days(Calendar):
    """A calendar whose midnight is where the test wants it."""

    midnight: int = 0

    def periods(self, now):
        day = 86_400_000_000
        starts = [self.midnight + n * day for n in (-2, -1, 0, 1, 2)]
        return [(f"d{n}", start, end) for n, (start, end) in enumerate(pairwise(starts))]


# --- admission stays shut -----------------------------------------------------------------------------------------------


def test_admission_opens_again_when_a_request_that_had_no_batch_was_written_off_after_an_outage(gate):
    """Three dead workers, then a database that is away for one look: the write-off is stored, and that was the last held."""
    park(gate, "a", "b")
    for _ in range(3):
        started(gate, end_by_ms=-1)
    (offered,) = [one for one in admit(gate, room=0).grants if one.kind == "held"]
    assert gate.postpone(offered.id, delay_ms=1, most_ms=1)
    assert gate.settle(offered.id)  # the database is back
    assert [one.id for one in admit(gate).grants] == ["b"]


def test_a_request_that_passed_to_a_job_is_settled(gate):
    by_task(gate, "t1")
    park(gate, "a", job="J")
    assert gate.withdraw(["a"], who="task:t1")[0].what == "left"
    grant = started(gate)
    assert gate.finish("a", fence=grant.fence, batch=b"x")
    assert gate.settle("a")


def test_whoever_stands_behind_a_crowd_of_expired_tasks_keeps_the_place(gate):
    # More than one look tells, in a batch that left the lane together.
    for n in range(150):
        by_task(gate, f"late{n}", id=f"late{n}", expires_ms=1)
    park(gate, *(f"r{n}" for n in range(50)))
    by_task(gate, "last", id="last")
    found = [one for _ in range(3) for one in admit(gate, room=400).grants]
    assert [one.id for one in found if one.kind == "go"] == [*(f"r{n}" for n in range(50)), "last"]
    assert sum(one.kind == "dropped" for one in found) == 150
    assert gate.redis.zcard("mf:{polygon}:ready") == 0


def test_who_inherits_from_an_expired_task_goes_before_whoever_stood_behind_it(gate):
    by_task(gate, "late", id="a", expires_ms=1)
    by_task(gate, "heir", id="a")
    park(gate, "b", "c", job="direct")
    assert [one.id for one in admit(gate).grants if one.kind == "go"] == ["a", "b", "c"]


def test_of_tasks_that_expire_together_none_is_forgotten(gate):
    """A look ends after a hundred of them; what it has taken out of the lane by then is told too."""
    for n in range(103):
        by_task(gate, f"t{n}", id=f"r{n}", expires_ms=1)
    told = [one.id for one in admit(gate, room=8).grants]
    assert len(told) + gate.counts().parked == 103
    told += [one.id for one in admit(gate, room=8).grants]
    assert len(set(told)) == 103


def test_thousands_of_tasks_that_expired_together_do_not_stop_redis_for_long(gate):
    for first in range(0, 20_000, 500):
        gate.park(
            [
                Parking(id=f"r{n}", arguments="{}", task=f"t{n}", message="m" * 1500, expires_ms=1)
                for n in range(first, first + 500)
            ],
            job="direct",
            wake=False,
        )
    before = busy_s(gate)
    told = admit(gate, room=1).grants
    took_s = busy_s(gate) - before
    assert (len(told) <= 1000, took_s < 0.2) == (True, True), (len(told), took_s)


# --- limits -------------------------------------------------------------------------------------------------------------


def test_of_two_calls_open_across_midnight_the_second_counts_in_the_new_day_when_the_first_has_ended(gate):
    midnight = redis_us(gate) + 400_000
    key = KeyLimits("main", calendars=(Days("3/day@UTC", 3, "UTC", midnight=midnight),))
    park(gate, *[f"r{n}" for n in range(20)])
    grants = [started(gate, key) for _ in range(2)]
    eventually(lambda: redis_us(gate) > midnight, within_s=5)
    # Nothing is admitted between midnight and the first reply.
    assert gate.finish(grants[0].id, fence=grants[0].fence, batch=b"x")
    assert len(admit(gate, key).grants) == 1


def test_a_restart_of_redis_does_not_open_the_windows_that_an_emptied_redis_had_filled(gate):
    key = key_limits("main", ["2/second", "100/hour"])
    past = [KeyHistory("main", used=True, lost=key.most_in(2_000), days={})]
    first = gate.restore(old="", new="run-1:a", histories=past, late_ms=0)  # emptied: the hour may have been used up
    gate.restore(old=first, new="run-2:b", histories=past, late_ms=0, kept=True)  # restarted from its append-only file
    park(gate, "a")
    wait_ms = admit(gate, key_limits("main", ["100/hour"])).wait_ms
    assert wait_ms
    assert wait_ms > 3_500_000


def test_two_restarts_of_redis_within_a_window_may_lack_twice_two_seconds(gate):
    key = key_limits("main", ["10/hour"])
    past = [KeyHistory("main", used=True, lost=4, days={})]
    park(gate, *[f"r{n}" for n in range(20)])
    first = gate.restore(old="run-0:a", new="run-1:a", histories=past, late_ms=0, kept=True)
    gate.restore(old=first, new="run-2:b", histories=past, late_ms=0, kept=True)
    assert len(admit(gate, key).grants) == 2


# --- who leaves ---------------------------------------------------------------------------------------------------------


def requeue(gate, grant):
    gate.requeue(grant.id, fence=grant.fence, key_label="main", why="429", pause_ms=0)


def delay(gate, grant):
    gate.delay(grant.id, fence=grant.fence, delay_ms=0)


@pytest.mark.parametrize("end", [requeue, delay])
def test_a_request_that_its_last_waiter_left_while_it_ran_is_not_called_again(gate, end):
    park(gate, "a")
    grant = started(gate)
    assert gate.withdraw(["a"], who="job")[0].what == "stays"
    end(gate, grant)
    assert admit(gate).grants == ()


def test_a_request_that_its_last_waiter_left_while_it_ran_is_not_called_again_when_its_worker_has_died(gate):
    park(gate, "a")
    started(gate, end_by_ms=-1)
    assert gate.withdraw(["a"], who="job")[0].what == "stays"
    assert admit(gate).grants == ()


@pytest.mark.parametrize("end", [requeue, delay])
def test_a_task_that_was_revoked_while_it_ran_does_not_carry_the_call_of_those_who_still_wait(gate, end):
    """A worker drops a revoked task's message unread: such a grant lapses, at the front of the lane, again and again."""
    by_task(gate, "t1")
    park(gate, "a", job="J")
    grant = started(gate)
    gate.withdraw(["a"], who="task:t1")
    end(gate, grant)
    assert [one.message for one in admit(gate).grants if one.kind == "go"] == [""]


def test_a_running_request_that_all_have_left_in_whatever_order_has_no_next_page(gate):
    park(gate, "a", job="A")
    park(gate, "a", job="B")
    grant = started(gate)
    gate.withdraw(["a"], who="A")
    gate.withdraw(["a"], who="B")
    gate.finish("a", fence=grant.fence, batch=b"x", next_page=Parking(id="a/1", arguments="{}"))
    assert admit(gate).grants == ()


def test_a_page_is_not_owned_by_a_job_that_left_while_its_request_ran(gate):
    park(gate, "a", job="A")
    park(gate, "a", job="B")
    grant = started(gate)
    gate.withdraw(["a"], who="A")
    gate.finish("a", fence=grant.fence, batch=b"x", next_page=Parking(id="a/1", arguments="{}"))
    assert gate.withdraw(["a/1"], who="B")[0].what == "gone"


def test_cancelling_a_request_whose_reply_is_not_stored_yet_cancels_its_next_page(gate):
    """The ledger does not name the page yet, so whoever cancels can only name the request."""
    park(gate, "a")
    grant = started(gate)
    gate.finish("a", fence=grant.fence, batch=b"x", next_page=Parking(id="a/1", arguments="{}"))
    gate.withdraw(["a"], who="job")
    assert admit(gate).grants == ()


def test_a_task_that_is_revoked_when_it_was_answered_already_is_not_offered_for_ever(gate):
    """Workers drop its message unread, and nobody else settles its record: it stands among the held ones for hours."""
    by_task(gate, "t1")
    by_task(gate, "t2")
    grant = started(gate)
    gate.finish("a", fence=grant.fence, batch=b"x")
    gate.settle("a", outcome="{}")
    assert gate.withdraw([gate.request_of("t2")], who="task:t2")[0].what != "unknown"


# --- counting -----------------------------------------------------------------------------------------------------------


def test_a_call_that_could_not_be_made_is_no_call_of_its_request(gate):
    park(gate, "a")
    grant = started(gate)
    gate.delay("a", fence=grant.fence, delay_ms=0, unsent=True)
    (grant,) = admit(gate).grants
    assert gate.start("a", fence=grant.fence).calls == 1


# --- with the ledger ----------------------------------------------------------------------------------------------------


@pytest.fixture
def place(gate, tmp_path, monkeypatch):
    """This process as a worker's child: a real database and this gate."""
    from marketfetch import connections
    from marketfetch.settings import get_settings

    monkeypatch.setenv("MARKETFETCH_DATABASE_URL", f"sqlite:///{tmp_path / 'rows.db'}")
    monkeypatch.setenv("MARKETFETCH_PROVIDERS__POLYGON__API_KEYS", '["main:secret"]')
    get_settings.cache_clear()
    connections._store.cache_clear()
    monkeypatch.setattr(connections, "gate", lambda _provider: gate)
    monkeypatch.setattr(connections, "redis", lambda: gate.redis)
    yield connections.store()
    connections._store.cache_clear()
    get_settings.cache_clear()


def a_job(store):
    from datetime import date

    from marketfetch.jobs.planning import make_spec, plan
    from marketfetch.storage.store import Job

    days: dict[str, Any] = {"start": date(2024, 1, 2), "end": date(2024, 1, 3)}
    spec = make_spec("polygon", ["AAPL"], timespan="1d", dataset="bars", adjustment=None, again=False, **days)
    job = Job(id=spec.id, spec=spec.model_dump_json(), created_at_ms=1)
    (request,) = plan(spec)
    store.save_job(job, [request.root])
    return job, request


def a_batch(request, outcome="stored"):
    from marketfetch.schemas.ledger import Batch, LedgerRow

    row = LedgerRow(
        request_id=request.id,
        root=request.root,
        page=0,
        provider="polygon",
        symbol="AAPL",
        outcome=outcome,
        reason="the vendor said no" if outcome == "failed" else "",
    )
    return Batch(ledger=row)


def test_a_task_that_is_told_that_the_call_it_waited_for_has_failed_leaves_the_failure_in_the_ledger(gate, place, monkeypatch):
    from types import SimpleNamespace

    from marketfetch.jobs import recorded_outcomes
    from marketfetch.vendors.errors import Fatal
    from tasks import app, fetch

    _, request = a_job(place)
    gate.park([Parking(id=request.id, arguments=request.arguments)], job="J")
    gate.park([Parking(id=request.id, arguments=request.arguments, task="t", message="m")], job="direct")
    grant = started(gate)
    gate.finish(grant.id, fence=grant.fence, batch=b"x")
    failed = a_batch(request, "failed")
    place.store([failed])
    gate.settle(request.id, outcome=recorded_outcomes.outcome_json(failed.ledger))
    (told,) = admit(gate).grants
    header = {"id": told.id, "fence": told.fence, "user": None}
    monkeypatch.setattr(fetch, "send_to_store", lambda _ref: None)
    task = SimpleNamespace(request=SimpleNamespace(get=lambda _name: header, chain=None, id="t"), app=app)
    with pytest.raises(Fatal, match="the vendor said no"):
        fetch.fetch(task, "polygon", ("AAPL",), {"start": "2024-01-02", "end": "2024-01-03"})
    assert place.over([request.id]) == {request.id}


def test_a_request_that_ends_while_its_job_is_fed_is_not_called_again(gate, place, monkeypatch):
    from marketfetch.jobs import feeding

    job, request = a_job(place)
    feeding.feed(place, job)
    grant = started(gate)
    gate.finish(grant.id, fence=grant.fence, batch=b"x")
    unfinished = place.unfinished

    def and_then_it_ends(*args, **options):
        found = unfinished(*args, **options)
        place.store([a_batch(request)])
        gate.settle(request.id)
        return found

    monkeypatch.setattr(place, "unfinished", and_then_it_ends)
    feeding.feed(place, job)
    assert admit(gate).grants == ()
