"""An unknown symbol fails in every way in, also where the vendor's first reply is merely empty: the request asks whether the
symbol exists before it is over, and whoever waits for it gets that outcome."""

from __future__ import annotations

import json

from tests.flow.test_failpoints import SHORT
from tests.flow.test_ways_in import answer
from tests.waiting import eventually

#: Long enough that a listed symbol has traded.
DAYS = "start='2024-01-02', end='2024-01-31'"
#: The sandbox lists TSLA since 2010-06-29.
BEFORE = "start='2009-03-02', end='2009-03-31'"
HEARD = """
def heard(result):
    try:
        return result.get(timeout=300)["outcome"]
    except Exception as error:
        return f"{type(error).__name__}: {error}"
"""


def test_every_way_in_fails_with_unknown_symbol(place, sandbox):
    place.worker(concurrency=2)
    code = HEARD + (
        "from celery import Celery, chain, chord, group\n"
        "from tests.waiting import eventually\n"
        "bare = Celery(broker=app.conf.broker_url, backend=app.conf.result_backend)\n"
        "over = {'provider': 'polygon', 'symbol': 'LINK', 'request': 'x', 'outcome': 'over', 'rows': 0, 'rejects': 0}\n"
        f"days = dict({DAYS})\n"
        "by_name = bare.send_task('tasks.fetch.polygon', ('ZZZZA',), days)\n"
        "errback = store_batch.si(over).set(task_id='errback')\n"
        "own, waits = polygon.apply_async(('ZZZZB',), days, link_error=errback), polygon.delay('ZZZZB', **days)\n"
        "chained = (polygon.s('ZZZZC', **days) | store_batch.s()).apply_async()\n"
        "grouped = group(polygon.s(one, **days) for one in ('ZZZZD', 'AAPL'))()\n"
        "body = chord([polygon.s('ZZZZE', **days), polygon.s('MSFT', **days)])(store_batch.si(over))\n"
        "later = polygon.apply_async(('ZZZZF',), days, countdown=1)\n"
        f"empty = polygon.delay('TSLA', {BEFORE})\n"
        "linked = app.AsyncResult('errback')\n"
        "answer = {'by name': heard(by_name), 'own': heard(own), 'waits': heard(waits), 'linked': heard(linked),\n"
        "          'first of the chain': heard(chained.parent), 'rest of the chain': heard(chained),\n"
        "          'group': [heard(one) for one in grouped], 'chord': heard(body), 'later': heard(later),\n"
        "          'empty': heard(empty), 'again': heard(polygon.delay('ZZZZB', **days))}"
    )
    found = answer(place, code)
    fail = {"by name": "A", "own": "B", "waits": "B", "first of the chain": "C", "rest of the chain": "C", "later": "F"}
    for way, symbol in {**fail, "again": "B"}.items():
        assert found[way].startswith("UnknownSymbol: "), (way, found[way])
        assert f"Polygon does not know ZZZZ{symbol}" in found[way], (way, found[way])
    assert found["linked"] == "over"
    assert [one.partition(":")[0] for one in found["group"]] == ["UnknownSymbol", "stored"]
    assert "ZZZZE" in found["chord"]
    assert found["empty"] == "empty"

    # Two calls for each of them, one for the waiter's request too, and a third pair where it was asked again.
    eventually(lambda: not place.redis().keys("mf:*req*"), what="nothing left of them")
    rows = place.rows("SELECT symbol, page, outcome, calls, next_cursor FROM ledger ORDER BY symbol")
    assert rows == [
        ("AAPL", 0, "stored", 1, None), ("MSFT", 0, "stored", 1, None), ("TSLA", 0, "empty", 2, None),
        *((f"ZZZZ{one}", 0, "failed", 2, None) for one in "ABCDEF"),
    ]  # fmt: skip
    assert sandbox.log()["calls"] == 2 + 2 + 6 * 2 + 2


def test_a_job_and_its_wait_fail_and_a_retry_asks_both_again(place, sandbox):
    place.worker()
    days = ("--start", "2024-01-02", "--end", "2024-01-31")
    done = place.marketfetch("fetch", "polygon", "ZZZZ", "AAPL", *days, "--wait", "--json")
    status = json.loads(done.stdout)
    assert done.returncode == 1
    assert (status["state"], status["requests"]["failed"], status["requests"]["total"]) == ("failed", 1, 2)
    assert status["failures"][0]["reason"].startswith("ZZZZ: UnknownSymbol: Polygon does not know ZZZZ")
    calls = sandbox.log()["calls"]
    assert place.marketfetch("retry", status["job"]).returncode == 0
    eventually(lambda: sandbox.log()["calls"] == calls + 2, what="asked again, and checked again")
    eventually(lambda: place.rows("SELECT count(*) FROM ledger WHERE outcome = 'failed'") == [(1,)], what="failed again")


def test_a_child_that_dies_between_the_two_calls_loses_neither_reply_nor_waiter(place, sandbox):
    unarmed = dict(place.env)
    place.env["MARKETFETCH_FAILPOINT"] = f"finish:after@{place.folder / 'killed'}"
    place.worker(concurrency=1)
    place.env = unarmed
    code = HEARD + f"sent = [polygon.delay('ZZZZ', {DAYS}) for _ in range(2)]\nanswer = [heard(one) for one in sent]"
    assert all(one.startswith("UnknownSymbol: ") for one in answer(place, code))
    assert (place.folder / "killed").exists()
    assert sandbox.log()["calls"] == 2


def test_an_emptied_redis_between_the_two_calls_costs_a_call_and_no_job(place, sandbox):
    place.env |= {f"MARKETFETCH_TIMINGS__{name}": value for name, value in SHORT.items()}
    place.env["MARKETFETCH_PROVIDERS__POLYGON__LIMITS"] = '["1/2seconds"]'
    place.worker()
    done = place.marketfetch("fetch", "polygon", "ZZZZ", "--start", "2024-01-02", "--end", "2024-01-31")
    redis = place.redis()
    eventually(lambda: sandbox.log()["calls"] == 1 and redis.zcard("mf:{polygon}:ready"), what="waits for its second call")
    redis.flushall()
    job = done.stdout.strip()
    ends = "SELECT outcome, calls FROM ledger"
    eventually(lambda: place.rows(ends) == [("failed", 2)], within_s=30, what="fails all the same")
    assert place.status(job)["state"] == "failed"
    assert sandbox.log()["calls"] == 3
