"""Two tasks that a user sends with one id are two tasks: both run, and a revoke reaches both."""

from __future__ import annotations

from tests.flow.test_ways_in import ASKED, answer
from tests.waiting import eventually

TWO = (
    "from celery import chain\n"
    "def two(**more):\n"
    f"    return [polygon.apply_async((one,), dict({ASKED}), task_id='x', **more) for one in ('AAPL', 'MSFT')]\n"
)


def test_both_are_revoked_and_both_run(place, sandbox):
    code = TWO + "two()\ntwo(countdown=3600)\nsent, _ = two(countdown=3600)\napp.control.revoke('x')\nanswer = sent.state"
    assert answer(place, code) == "REVOKED"
    assert not place.redis().keys("mf:*req*")
    assert not place.redis().exists("mf:{polygon}:tasks")

    answer(place, TWO + "two()\nanswer = polygon.delay('AAPL', " + ASKED + ").id")
    place.worker(concurrency=2)
    eventually(lambda: not place.redis().keys("mf:*req*"), what="all of them are over")
    assert sorted(place.rows("SELECT symbol, outcome, calls FROM ledger")) == [("AAPL", "stored", 1), ("MSFT", "stored", 1)]
    assert answer(place, "answer = app.AsyncResult('x').get(timeout=300)['symbol']") in ("AAPL", "MSFT")
    assert sandbox.log()["calls"] == 2
