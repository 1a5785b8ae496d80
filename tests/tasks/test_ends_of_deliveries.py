"""What becomes of a fetch task, and of a store task, that meets an outage, a bug of ours or another delivery."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
from celery import states
from celery.exceptions import Ignore
from kombu.exceptions import OperationalError
from redis.exceptions import ConnectionError as RedisAway

from marketfetch import connections
from marketfetch.exceptions import BadRequestError, MarketfetchError, UnavailableError
from marketfetch.jobs import batches
from marketfetch.quotas import Start
from marketfetch.quotas.values import Kept, Raised
from marketfetch.schemas.ledger import Batch, LedgerRow
from marketfetch.storage.store import StoreError
from marketfetch.vendors.errors import Fatal
from marketfetch.vendors.wire import SendTooLate
from tasks import announcing, app, attempt, fetch, store, storing, whole_jobs
from tasks.neighbours import NoPlace
from tasks.reference import reference, symbol_in

GRANT = {"id": "r", "fence": 1}
REF = reference("polygon", "AAPL", "r", outcome="stored", rows=3)
QUERY = {"start": "2024-01-02", "end": "2024-01-05"}


class Gate:
    """Answers with what the test wants of it, and notes what it was asked."""

    pool = "polygon"

    def __init__(self, **answers: Any) -> None:
        self.answers, self.asked = answers, list[str]()

    def __getattr__(self, name: str) -> Any:
        def ask(*_: Any, **__: Any) -> Any:
            self.asked.append(name)
            answer = self.answers.get(name)
            if isinstance(answer, Exception):
                raise answer
            return answer

        return ask


def task(grant: Any, **request: Any) -> Any:
    """What `fetch` reads of a task that a worker runs."""
    found = {"id": "t", "chain": None, "called_directly": False, "is_eager": False, "ignore_result": True, **request}
    asked = SimpleNamespace(**found, get=lambda name: grant if name == "marketfetch" else None)
    state = SimpleNamespace(state=request.get("state", states.PENDING))
    return SimpleNamespace(app=app, request=asked, name="tasks.fetch.polygon", AsyncResult=lambda _: state)


@pytest.fixture
def sent(monkeypatch):
    """The references that were sent to be stored."""
    found: list[Any] = []
    monkeypatch.setattr(fetch, "send_to_store", found.append)
    monkeypatch.setattr(fetch, "hand_on", lambda _task, ref: ref)
    monkeypatch.setattr(fetch, "a_place", lambda *_: nullcontext())
    return found


@pytest.fixture
def at_gate(monkeypatch):
    def use(**answers: Any) -> Gate:
        gate = Gate(**answers)
        monkeypatch.setattr(connections, "gate", lambda _: gate)
        return gate

    return use


# --- fetch ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RedisAway("gone"), "Redis is away, attempt dropped"),
        (OperationalError("gone"), "Redis is away, attempt dropped"),
        (NoPlace(), "no place among the threads, nothing sent"),
    ],
)
def test_a_delivery_that_cannot_go_on_now_is_no_failure(at_gate, monkeypatch, capsys, error, said):
    at_gate(crashes=0)

    def raises(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(fetch, "granted", raises)
    with pytest.raises(Ignore):
        fetch.fetch(task(dict(GRANT)), "polygon", ("AAPL",), dict(QUERY))
    assert said in capsys.readouterr().out


def test_a_task_that_is_called_as_a_function_is_refused():
    with pytest.raises(BadRequestError, match="it was called as a function"):
        fetch.fetch(task(None, called_directly=True), "polygon", ("AAPL",), dict(QUERY))


@pytest.mark.parametrize(
    ("turn", "error", "stored"),
    [
        (Raised("again", 1, ""), Ignore, []),
        (Raised("lost", 0, ""), Ignore, []),
        (Raised("answered", 2, ""), Ignore, []),
        (Raised("over", 5, ""), Fatal, []),
        (Raised("failed", 5, "AAPL: a reason"), Fatal, ["failed"]),
        (Raised("held", 1, "AAPL: a reason"), Fatal, ["failed"]),
    ],
)
def test_a_bug_of_ours_ends_a_delivery_in_an_outcome(at_gate, monkeypatch, sent, turn, error, stored):
    """Before the call another delivery follows, four times; after it the request fails, and what has come is kept."""
    gate = at_gate(raised=turn, crashes=0, release_claims=1)

    def raises(*_: Any, **__: Any) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr(fetch, "granted", raises)
    with pytest.raises(error):
        fetch.fetch(task(dict(GRANT)), "polygon", ("AAPL",), dict(QUERY))
    assert [one["outcome"] for one in sent] == stored
    assert ("release_claims" in gate.asked) == (turn.verdict == "held"), "its store task may claim the batch at once"


def test_a_bug_of_ours_behind_a_reply_that_is_kept_hands_it_on(at_gate, sent):
    at_gate(raised=Raised("held", 1, ""), release_claims=1)
    assert fetch.end_delivery(task(GRANT), "polygon", "AAPL", GRANT, KeyError("a bug"))["outcome"] == "held"


@pytest.mark.parametrize(("state", "ignored"), [(states.REVOKED, True), (states.PENDING, False)])
def test_a_task_that_is_over_goes_on_unless_it_was_revoked_meanwhile(sent, state, ignored):
    turn = Start("over")
    if ignored:
        with pytest.raises(Ignore):
            fetch.not_ours_to_send(task(GRANT, state=state), "polygon", "AAPL", "r", turn)
    else:
        assert fetch.not_ours_to_send(task(GRANT, state=state), "polygon", "AAPL", "r", turn)["outcome"] == "over"


@pytest.mark.parametrize(
    ("error", "ends"),
    [
        (SendTooLate(), ["requeue"]),
        (BadRequestError("no such day"), ["failed BadRequest"]),
        (MarketfetchError("no vendor"), ["failed Fatal"]),
        (KeyError("a bug"), ["failed Fatal"]),
    ],
)
def test_what_a_call_raises_ends_as_what_it_is(at_gate, monkeypatch, error, ends):
    at_gate(start=Start("go"))
    seen: list[str] = []

    class Run:
        def __init__(self, *_: Any, **__: Any) -> None:
            self.id = "r"

        def call(self, _: Any) -> None:
            raise error

        def requeue(self, *, unsent: bool) -> None:
            assert unsent
            seen.append("requeue")

        def failed(self, failure: Exception, *_: Any) -> Any:
            seen.append(f"failed {type(failure).__name__}")
            return REF

    monkeypatch.setattr(fetch, "Run", Run)
    asked: Any = lambda: None  # noqa: E731 (what the request would be)
    if isinstance(error, SendTooLate):
        with pytest.raises(Ignore):
            fetch.granted(task(GRANT), "polygon", "AAPL", GRANT, asked, ends_s=25.0)
    else:
        assert fetch.granted(task(GRANT), "polygon", "AAPL", GRANT, asked, ends_s=25.0) == REF
    assert seen == ends


@pytest.mark.parametrize("message", [None, "{}"], ids=["recorded by another delivery", "with the database away"])
def test_a_task_of_several_calls_whose_job_is_not_recorded_here_makes_no_call(at_gate, monkeypatch, message):
    gate = at_gate(message=message)

    def away(*_: Any, **__: Any) -> str:
        raise UnavailableError("the database is away")

    monkeypatch.setattr(fetch, "plan_of_task", lambda *_, **__: SimpleNamespace(only=None, requests=[1, 2]))
    monkeypatch.setattr(fetch, "stand_for", away)
    with pytest.raises(Ignore):
        fetch.record_whole_job(task(GRANT), "polygon", ("AAPL",), dict(QUERY), {**GRANT, "user": None})
    assert gate.asked == ["message"], "the gate still has it, and grants it again"


def test_a_task_of_several_calls_without_a_result_has_its_job_recorded_and_no_state(at_gate, monkeypatch):
    gate = at_gate(message="{}")
    told: list[str] = []
    monkeypatch.setattr(fetch, "plan_of_task", lambda *_, **__: SimpleNamespace(only=None, requests=[1, 2]))
    monkeypatch.setattr(fetch, "stand_for", lambda *_, **__: "J")
    monkeypatch.setattr(announcing, "announce_now", told.append)
    with pytest.raises(Ignore):
        fetch.record_whole_job(task(GRANT), "polygon", ("AAPL",), dict(QUERY), {**GRANT, "user": None})
    assert (gate.asked, told) == (["message", "settle"], ["J"])


def test_a_wish_that_cannot_be_planned_is_reported_where_the_request_is_built(monkeypatch):
    def fails(*_: Any, **__: Any) -> Any:
        raise BadRequestError("no such day")

    monkeypatch.setattr(fetch, "plan_of_task", fails)
    fetch.record_whole_job(task(GRANT), "polygon", ("AAPL",), {}, {**GRANT, "user": None})
    assert fetch.ended_before({**GRANT, "user": None}, fails) is None


@pytest.mark.parametrize("waiter", [None, StoreError("the database is away")])
def test_the_end_of_a_job_is_returned_by_one_copy_of_its_message(monkeypatch, waiter):
    def found(_: str) -> None:
        if waiter:
            raise waiter

    monkeypatch.setattr(whole_jobs, "waiting_task", found)
    with pytest.raises(Ignore):
        fetch.fetch(task({**GRANT, "job": {"job": "J"}}), "polygon", ("AAPL",), {})


def test_an_end_that_cannot_be_noted_is_sent_once_more(monkeypatch, capsys):
    def fails(*_: Any) -> None:
        raise StoreError("the database is away")

    monkeypatch.setattr(connections, "store", lambda: SimpleNamespace(forget_waiter=fails))
    sender = SimpleNamespace(name="tasks.fetch.polygon", request=SimpleNamespace(get=lambda _: {"job": {"job": "J"}}))
    whole_jobs._forget(sender=sender, task_id="t", state=states.SUCCESS)
    assert "the sweeper sends it once more" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", ["no json", "[1]", '{"symbol": 5}', None])
def test_a_request_whose_arguments_are_damaged_has_no_symbol(arguments):
    assert symbol_in(arguments) == ""


# --- store ------------------------------------------------------------------------------------------------------------

BATCH = Batch(ledger=LedgerRow("r", "r", 0, "polygon", "AAPL", "stored", rows=3))


@pytest.fixture
def held(at_gate, monkeypatch):
    """A batch that waits to be stored, beside what the gate answers."""

    def use(**answers: Any) -> Gate:
        gate = at_gate(**{"crashes": 0, "settle_together": {}, **answers})
        monkeypatch.setattr(store, "_batch_of", lambda _: BATCH)
        monkeypatch.setattr(storing, "written", lambda some: dict.fromkeys(some, (BATCH.ledger, True)))
        monkeypatch.setattr(announcing, "after_storing", lambda *_: None)
        return gate

    return use


@pytest.mark.parametrize("error", [NoPlace(), RedisAway("gone"), OperationalError("gone")])
def test_a_store_task_that_cannot_go_on_now_is_no_failure(at_gate, monkeypatch, error):
    at_gate(crashes=0)

    def raises(_: Any) -> None:
        raise error

    monkeypatch.setattr(store, "stored", raises)
    with pytest.raises(Ignore):
        store.store_batch.run(REF)


def test_rows_that_were_stored_are_a_success_although_redis_is_away(held):
    gate = held(settle_together=RedisAway("gone"))
    assert store.store_batch.run(REF)["rows"] == 3
    assert gate.asked.count("settle_together") == 1, "the batch is redelivered, and then is stored already"


class Database:
    """Refuses a batch of the request "bad", and with `at_all` the row that says so."""

    def __init__(self, *, at_all: bool = False) -> None:
        self.at_all, self.stored = at_all, list[list[str]]()

    def store(self, some: list[Batch]) -> list[bool]:
        if any(one.ledger.request_id == "bad" and (self.at_all or one.ledger.outcome != "failed") for one in some):
            raise StoreError("a check of the database")
        self.stored.append([f"{one.ledger.request_id} {one.ledger.outcome}" for one in some])
        return [True] * len(some)


def batch(request_id: str) -> Batch:
    return Batch(ledger=LedgerRow(request_id, request_id, 0, "polygon", "AAPL", "stored", rows=3))


def test_a_request_whose_failure_cannot_be_recorded_either_keeps_no_other_from_being_fetched(at_gate, monkeypatch):
    said: list[str] = []
    gate = at_gate(crashes=0, settle_together={})
    monkeypatch.setattr(store, "_batch_of", lambda _: batch("bad"))
    monkeypatch.setattr(connections, "store", lambda: Database(at_all=True))
    monkeypatch.setattr(storing, "_unstorable", SimpleNamespace(holds=said.append))
    with pytest.raises(Ignore):
        store.store_batch.run({**REF, "request": "bad"})
    assert "Request bad (AAPL) can't even be recorded as failed: a check of the database" in said[0]
    assert "postpone" not in gate.asked


def test_batches_that_cannot_be_stored_together_are_stored_one_by_one_and_the_bad_one_fails(monkeypatch):
    database = Database()
    monkeypatch.setattr(connections, "store", lambda: database)
    found = storing.written({one: batch(one) for one in ("a", "bad", "c")})
    assert database.stored == [["a stored"], ["bad failed"], ["c stored"]]
    assert "a check of the database" in found["bad"][0].reason


@pytest.mark.parametrize(
    "request_", [{"chain": [{"task": "report"}]}, {"callbacks": [{"task": "report"}]}, {"chord": {"task": "report"}}]
)
def test_a_task_that_another_one_waits_for_stores_no_batches_of_others(held, monkeypatch, request_):
    turns: list[Any] = []

    def noted(*_: Any, turn: Any) -> storing.Stored:
        turns.append(turn)
        return storing.Stored({"r": BATCH.ledger})

    held()
    monkeypatch.setattr(storing, "store", noted)
    store.store_batch.push_request(**request_)
    try:
        store.store_batch.run(REF)
    finally:
        store.store_batch.pop_request()
    store.store_batch.run(REF)
    assert [turn and turn.name for turn in turns] == [None, "r"]


@pytest.fixture
def run(at_gate, monkeypatch):
    """A child that has fetched for a job, in a worker that consumes these queues."""

    def of(grant: dict[str, Any], *queues: str, chain: Any = None, **answers: Any) -> attempt.Run:
        amqp = SimpleNamespace(queues=SimpleNamespace(consume_from=queues))
        fetching = task(grant, chain=chain)
        fetching.app = SimpleNamespace(amqp=amqp)
        run = attempt.Run(fetching, at_gate(**answers), "r", 1, Start("go", "main", 0, 1, "", 0, 0), lease_ends=1e12)
        run.turn_to_store = storing.turn_of("r") if storing.stores_itself(fetching) else None
        return run

    return of


def test_only_the_request_of_a_job_is_stored_by_its_child_and_only_in_a_worker_that_stores(run):
    assert run(GRANT, "fetch.polygon", "store").turn_to_store == storing.turn_of("r")
    assert run({**GRANT, "user": None}, "store").turn_to_store is None
    assert run(GRANT, "store", chain=[{"task": store.STORE_TASK}]).turn_to_store is None, "as older releases send it"
    assert run(GRANT, "fetch.polygon").turn_to_store is None


@pytest.mark.parametrize("held", [1, 0])
def test_a_bug_while_batches_are_stored_is_no_failure_of_the_call(run, monkeypatch, capsys, held):
    """Its own store task meets the same bug, and says why; a batch that is over needs none."""
    monkeypatch.setattr(connections, "store", lambda: None)
    assert run(GRANT, "store", release_claims=held)._stored(Kept.CLAIMED, BATCH) == (not held)
    assert "batches were not stored" in capsys.readouterr().out


def test_the_child_that_has_the_turn_stores_what_others_keep_meanwhile_and_then_hands_on(run, monkeypatch):
    """Its time is over at the second wave: what is left goes to a store task."""
    database, left, times = Database(), list[Any](), iter([0.0, 0.0, 9.0])
    waves = iter([{"b": b"b", "unreadable": b""}, {"c": b""}])
    one = run(GRANT, "store", arguments='{"symbol": "KO"}')
    turns: list[int] = []

    def settle_together(_: Any, *, turn: Any) -> dict[str, bytes]:
        turns.append(turn.most)
        return next(waves)

    def decode(data: bytes) -> Batch:
        if not data:
            raise batches.UnreadableBatch("it is cut")
        return batch(data.decode())

    monkeypatch.setattr(one.gate, "settle_together", settle_together, raising=False)
    monkeypatch.setattr(connections, "store", lambda: database)
    monkeypatch.setattr(announcing, "after_storing", lambda *_: None)
    monkeypatch.setattr(batches, "decode", decode)
    monkeypatch.setattr(storing, "steady_s", lambda: next(times))
    monkeypatch.setattr(attempt, "send_to_store", left.append)
    assert one._stored(Kept.CLAIMED, batch("r"))
    assert database.stored == [["r stored"], ["b stored"]]
    assert turns == [storing.turn_of("r").most, 0]
    assert left == [reference("polygon", "KO", "c", outcome="held")]
