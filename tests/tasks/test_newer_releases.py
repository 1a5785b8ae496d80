"""Beside workers of a newer release: their batches stay held, their requests stay parked, and the operator is told, calmly."""

from __future__ import annotations

import zlib
from types import SimpleNamespace

import pytest
from celery.exceptions import Ignore

from marketfetch import connections
from marketfetch.jobs import batches
from marketfetch.ops import alerts
from marketfetch.ops.alerts import Alert
from marketfetch.quotas import Gate, Parking, key_limits
from marketfetch.schemas.ledger import Batch, LedgerRow
from marketfetch.storage import open_store
from tasks import store
from tasks.app import app
from tasks.reference import reference
from tasks.worker.releaser import ReleasingLoop

SENTENCE = "What a newer release of marketfetch has fetched is left to its workers"


@pytest.fixture
def gate(redis, tmp_path, monkeypatch):
    """A gate and a database, as a worker that has just started has them."""
    database = open_store(f"sqlite:///{tmp_path}/marketfetch.db")
    database.create()
    gate = Gate(redis, pool="polygon")
    for name, one in {"redis": redis, "store": database}.items():
        monkeypatch.setattr(connections, name, lambda one=one: one)
    monkeypatch.setattr(connections, "gate", lambda provider: gate)
    monkeypatch.setattr(store, "_newer", Alert("newer batches"))
    yield gate
    database.close()


def ledger(name):
    return LedgerRow(request_id=name, root=name, page=0, provider="polygon", symbol="AAPL", outcome="empty")


def newer(name):
    """A batch whose head is of the next version."""
    raw = zlib.decompress(batches.encode(Batch(ledger=ledger(name))))
    assert raw.count(b'"version":1,') == 1, "as long as it has bars alone"
    return zlib.compress(raw.replace(b'"version":1,', b'"version":%d,' % (batches.VERSION + 1)))


def held(gate, **data):
    """Requests whose batch waits to be stored."""
    gate.park([Parking(id=one, arguments="{}") for one in data], job="J")
    for one in gate.admit(room=100, most_granted=100, keys=(key_limits("main", ()),)).grants:
        gate.start(one.id, fence=one.fence)
        assert gate.finish(one.id, fence=one.fence, batch=data[one.id])


def stored(name):
    return store.store_batch(reference("polygon", "AAPL", name, outcome="stored"))


def test_a_batch_of_a_newer_release_stays_held_and_is_no_failure(gate, redis, caplog):
    held(gate, a=newer("a"))
    before = gate.batch("a")
    # However often one of ours is offered it: none of these tries counts.
    for _ in range(9):
        with pytest.raises(Ignore):
            stored("a")
    assert (redis.zrange("mf:{polygon}:held", 0, -1), gate.batch("a")) == ([b"a"], before)
    assert gate.claim(["a"], busy_ms=1)[0].tries == 1
    assert connections.store().over(["a"]) == set()
    assert redis.hget("mf:{polygon}:counts", "away") is None
    assert caplog.text.count(SENTENCE) == 1
    (sentence,) = filter(None, redis.mget(alerts.names(redis, ["polygon"], [])))
    assert sentence.decode().startswith(SENTENCE)


def test_a_crowd_goes_on_without_the_batches_of_a_newer_release(gate):
    names = [f"r{n}" for n in range(25)]
    held(gate, new=newer("new"), **{one: batches.encode(Batch(ledger=ledger(one))) for one in names})
    for _ in range(3):
        for one in sorted({*names} - connections.store().over(names))[:1]:
            stored(one)
    assert gate.batch("new") is not None
    assert connections.store().over([*names, "new"]) >= {*names[:21]}
    assert "new" not in connections.store().over(["new"])


def test_a_batch_that_is_garbage_is_written_off_as_before(gate):
    held(gate, a=b"garbage")
    assert stored("a")["outcome"] == "failed"


def test_a_releaser_tells_once_a_minute_what_it_leaves_to_a_newer_release(gate, redis, monkeypatch, caplog):
    monkeypatch.setattr("tasks.worker.releaser.keys", lambda pool: (key_limits("main", ()),))
    gate.park([Parking(id="a", arguments="{}"), Parking(id="b", arguments="{}")], job="J")
    for name in ("a", "b"):
        redis.hset(f"mf:{{polygon}}:req:{name}", "r", 99)
    loop = ReleasingLoop(app, consumed=lambda: ("polygon",), slots=1)
    epoch = SimpleNamespace(gate=gate, name="", clock_us=lambda: 0)
    waits = [loop._serve(epoch, producer=None) for _ in range(3)]  # type: ignore[arg-type]
    assert waits == [1.0, 1.0, 1.0], "it sleeps as long as with an empty lane"
    assert caplog.text.count("A newer release of marketfetch has made requests of polygon (2 now).") == 1
    (sentence,) = filter(None, redis.mget(alerts.names(redis, ["polygon"], [])))
    assert sentence.endswith(b"leaves them to its workers: upgrade it.")


def test_what_holds_for_long_stands_without_a_gap_and_is_said_again_when_it_was_forgotten(gate, redis, monkeypatch, caplog):
    now = 1000.0
    monkeypatch.setattr("marketfetch.ops.alerts.time.monotonic", lambda: now)
    notice = Alert("database")
    for passes in (0, 1, 50, 10, 60):
        now += passes
        notice.holds("it is so")
        assert redis.ttl("mf:trouble:database") > 0
    assert caplog.text.count("it is so") == 3
