"""A message that carries a grant and cannot be used: its request ends with the reason, and leaves one dead letter."""

from __future__ import annotations

import json

from tests.flow.conftest import LimitedJob
from tests.flow.poisons import UNREADABLE, UNUSABLE, can_carry
from tests.flow.test_nothing_is_held_for_ever import nothing_is_held
from tests.flow.test_recovery import patient_worker
from tests.flow.test_ways_in import ASKED, answer
from tests.quotas.steps import NOON
from tests.waiting import eventually

DAYS = ("--start", "2024-01-02", "--end", "2024-01-05")
KINDS = {name: words for name, (raw, words) in (UNREADABLE | UNUSABLE).items() if can_carry(raw)}
#: Instead of what a releaser would publish: a poison that carries its grant. `counts`: so many of a symbol, then good ones.
POISONED = """
import json
from tasks.worker.releaser import ReleasingLoop
from tests.flow import poisons
from tests.flow.test_poisoned_grants import KINDS, SYMBOLS
publish, kinds, sent = ReleasingLoop._publish, {kinds}, []
def poisoned(self, gate, grant, producer):
    symbol = json.loads(gate.arguments(grant.id) or grant.arguments or "{{}}").get("symbol")
    if grant.kind != "go" or sent.count(symbol) >= {counts}.get(symbol, 99):
        return publish(self, gate, grant, producer)
    sent.append(symbol)
    raw = (poisons.UNREADABLE | poisons.UNUSABLE)[kinds[SYMBOLS.index(symbol)]][0]
    if grant.message:
        raw = poisons.named(raw, json.loads(grant.message)["headers"]["id"])
    gate.redis.lpush("fetch.polygon", poisons.carrying(raw, {{"id": grant.id, "fence": grant.fence, "key": grant.key_label}}))
ReleasingLoop._publish = poisoned
"""
SYMBOLS = LimitedJob.SYMBOLS[: len(KINDS)]


def poisoned_worker(place, *kinds: str, counts: dict[str, int] | None = None):
    place.env |= {"MARKETFETCH_PROVIDERS__POLYGON__LIMITS": f'["1000/day@{NOON}"]', "MARKETFETCH_TIMINGS__HELD_AGAIN": "1"}
    return patient_worker(place, more=POISONED.format(kinds=list(kinds), counts=counts or {}), concurrency=2)


def due(place) -> bool:
    """The pauses between deliveries pass. True."""
    redis = place.redis()
    for one in redis.zrange("mf:{polygon}:delayed", 0, -1):
        redis.zadd("mf:{polygon}:delayed", {one: 0}, xx=True)
    redis.publish("mf:wake", "polygon")
    return True


def over(place) -> bool:
    due(place)
    return bool(place.rows("SELECT count(*) FROM ledger") == [(len(SYMBOLS),)] and nothing_is_held(place))


def test_each_kind_ends_its_request_and_is_kept_once(place, sandbox):
    job = place.marketfetch("fetch", "polygon", *SYMBOLS, *DAYS).stdout.strip()
    worker = poisoned_worker(place, *KINDS)
    eventually(lambda: over(place), within_s=30, what="each request is over")
    reasons = dict(place.rows("SELECT symbol, reason FROM ledger WHERE outcome = 'failed'"))
    wrong = {
        name: reasons.get(symbol)
        for symbol, (name, words) in zip(SYMBOLS, KINDS.items(), strict=True)
        if f"{symbol}: its message can't be used: " not in reasons.get(symbol, "") or words not in reasons[symbol]
    }
    assert wrong == {}
    # What no one holds is free: no call was made, and none counts.
    assert sandbox.log()["calls"] == 0
    (day,) = place.redis().keys("mf:{polygon}:day:*")
    assert place.redis().get(day) == b"0"
    assert not place.redis().keys("mf:{polygon}:buried:*")
    letters = json.loads(place.marketfetch("dead", "--json").stdout)["messages"]
    assert len(letters) == len(KINDS)
    assert {one["reason"].endswith("5 of 5 such messages have come, so its request is over") for one in letters} == {True}
    # Each command says it.
    status = place.status(job)
    assert (status["state"], status["requests"]["failed"]) == ("failed", len(KINDS))
    assert status["trouble"] == []
    assert f"{len(KINDS)} messages could not be read" in place.marketfetch("check").stdout
    assert place.marketfetch("quotas", "health").returncode == 0
    assert worker.poll() is None
    assert "Traceback" not in place.worker_log


def result(place, task_id: str) -> dict:
    return json.loads(place.redis().get(f"celery-task-meta-{task_id}") or "{}")


def test_each_who_waits_for_the_request_gets_the_sentence_and_one_damaged_four_times_is_stored(place, sandbox):
    failing, fine = SYMBOLS[:2]
    waiters = answer(place, f"answer = [polygon.delay({failing!r}, {ASKED}).id for _ in range(2)]")
    job = place.marketfetch("fetch", "polygon", fine, *DAYS).stdout.strip()
    poisoned_worker(place, "a body of junk", "a body of two", counts={fine: 4})
    eventually(
        lambda: due(place) and {result(place, one).get("status") for one in waiters} == {"FAILURE"}, what="both have an end"
    )
    owner, other = (str(result(place, one)["result"]["exc_message"]) for one in waiters)
    assert KINDS["a body of junk"] in owner
    assert KINDS["a body of junk"] in other
    assert "Its message is kept: `marketfetch dead`." in owner
    eventually(lambda: due(place) and place.status(job)["state"] == "done", what="stored")
    assert dict(place.rows("SELECT outcome, calls FROM ledger")) == {"failed": 0, "stored": 1}
    letters = [one["reason"] for one in json.loads(place.marketfetch("dead", "--json").stdout)["messages"]]
    assert len(letters) == 2
    assert any("4 of 5 such messages have come. The gate still has this request" in one for one in letters)
    eventually(lambda: nothing_is_held(place), what="nothing is held")
    assert not place.redis().keys("mf:{polygon}:buried:*")
