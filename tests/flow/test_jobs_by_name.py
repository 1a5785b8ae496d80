"""An app that does not install us: it submits, follows and cancels jobs by the names of tasks, and hears when they are over."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from celery import Celery, signature

from tests.waiting import eventually

WISH = {"provider": "polygon", "start": "2024-01-02", "end": "2024-01-31", "adjustment": "split"}
SHORT = {"CONNECT": "3", "CALL": "5", "START_BY": "2", "END_BY": "6", "HELD_AGAIN": "1", "SWEEP": "1"}


@pytest.fixture
def theirs(place):
    """An app with our broker, and nothing of ours."""
    place.env |= {f"MARKETFETCH_TIMINGS__{name}": value for name, value in SHORT.items()}
    with Celery("theirs", broker=place.redis_url, backend=place.redis_url, set_as_current=False) as app:
        yield app


def callbacks(place, many: int) -> list[tuple[str, list[Any]]]:
    eventually(lambda: len(received(place)) == many, within_s=20, what=f"{many} callbacks")
    return received(place)


def ended(app: Celery, name: str, **arguments: Any) -> Any:
    """The result of a task of ours, or the sentence of its exception."""
    found = app.send_task(name, kwargs=arguments).get(timeout=300, propagate=False)
    return str(found) if isinstance(found, Exception) else found


def received(place) -> list[tuple[str, list[Any]]]:
    """What waits for their worker: the id of each message and its arguments."""
    found = [json.loads(one) for one in place.redis().lrange("theirs", 0, -1)]
    return [(one["headers"]["id"], json.loads(base64.b64decode(one["body"]))[0]) for one in reversed(found)]


def over(queue: str = "theirs", **options: Any) -> Any:
    return signature("theirs.over", args=("mine",)).set(queue=queue, **options)


def test_it_submits_follows_cancels_and_hears_the_end(place, sandbox, theirs):
    place.env["MARKETFETCH_PROVIDERS__ALPHA_VANTAGE__LIMITS"] = '["1/day"]'
    place.worker()
    job = ended(theirs, "marketfetch.submit", symbols=["AAPL", "ZZZZ"], on_over=over(), **WISH, tags=["nightly"])
    ((first, arguments),) = callbacks(place, 1)
    after = {"total": 2, "stored": 1, "failed": 1, "cancelled": 0, "rows": 21, "rejects": 0}
    document = {"job": job, "outcome": "failed", "counts": after}
    assert arguments == [document, "mine"]
    status = ended(theirs, "marketfetch.status", job=job)
    assert (status["state"], status["rows"], status["requests"]["failed"]) == ("failed", 21, 1)
    assert status == place.status(job)

    # All of it is stored already when it is submitted; the message comes twice, and on another queue of ours.
    wish: dict[str, Any] = {**WISH, "on_over": over()}
    first_ones = (wish.pop("provider"), ["AAPL"])
    one, other = (
        theirs.send_task("marketfetch.submit", first_ones, wish, task_id="twice", queue=queue).get(timeout=300)
        for queue in ("store", "celery")
    )
    assert one == other != job
    second, arguments = callbacks(place, 2)[-1]
    assert arguments[0] == {"job": one, "outcome": "done", "counts": dict.fromkeys(after, 0)}
    assert second != first

    # A cancelled job: its requests wait for a quota, and nothing is stored.
    wish = {"provider": "alpha_vantage", "symbols": ["IBM", "KO"], "start": "-400d", "end": "yesterday", "on_over": over()}
    waiting = ended(theirs, "marketfetch.submit", **wish)
    assert ended(theirs, "marketfetch.status", job=waiting)["state"] == "running"
    eventually(lambda: ended(theirs, "marketfetch.status", job=waiting)["requests"]["stored"] == 1, what="its only call")
    assert ended(theirs, "marketfetch.cancel", job=waiting)["state"] == "cancelled"
    _, (end, _) = callbacks(place, 3)[-1]
    assert (end["job"], end["outcome"], end["counts"]["cancelled"]) == (waiting, "cancelled", 1)

    refused = [
        (ended(theirs, "marketfetch.submit", **{**WISH, "symbols": ["AAPL"], "timespam": "1d"}), "timespam"),
        (ended(theirs, "marketfetch.submit", **{**WISH, "symbols": ["AAPL"], "start": "-3m"}), "-3mo"),
        (ended(theirs, "marketfetch.submit", symbols=["AAPL"]), "needs provider"),
        (ended(theirs, "marketfetch.submit", **WISH, symbols=["AAPL"], on_over=over(queue="celery")), "set(queue='mine')"),
        (ended(theirs, "marketfetch.submit", **WISH, symbols=["AAPL"], on_over={"task": 7}), "no signature"),
        (ended(theirs, "marketfetch.status", job="0123456789abcdef"), "no job '0123456789abcdef'"),
        (ended(theirs, "marketfetch.status", jop=job), "needs job"),
        (ended(theirs, "marketfetch.cancel", job=job, now=True), "now is no argument"),
    ]
    assert [(words, sentence) for sentence, words in refused if words not in sentence] == []
    redis = place.redis()
    assert not redis.exists("mf:dead")
    assert place.rows("SELECT count(*) FROM job_waiters") == [(0,)]
    assert len(received(place)) == 3


@pytest.mark.parametrize("point", ["notify:before", "notify:after"])
def test_a_callback_survives_a_crash_while_it_is_sent_and_a_redis_that_was_emptied(place, sandbox, theirs, point):
    marker = place.folder / "killed"
    place.env["MARKETFETCH_PROVIDERS__POLYGON__LIMITS"] = '["2/2seconds"]'
    unarmed = dict(place.env)
    place.env["MARKETFETCH_FAILPOINT"] = f"{point}@{marker}"
    worker = place.worker(concurrency=2)
    place.env = unarmed
    symbols = ["AAPL", "MSFT", "KO", "IBM", "TSLA"]
    job = ended(theirs, "marketfetch.submit", symbols=symbols, on_over=over(), **WISH)
    place.redis().flushall()
    dead = int(eventually(lambda: marker.exists() and marker.read_text(), within_s=30, what="a process dies"))
    place.goes_on_without(worker, dead)  # its child that stores the last request announces the end, or its sweeper
    found = callbacks(place, 2 if point == "notify:after" else 1)
    assert len({name for name, _ in found}) == 1, "each time with the same id"
    assert all({"job": job, "outcome": "done"}.items() <= arguments[0].items() for _, arguments in found)
    eventually(lambda: place.rows("SELECT count(*) FROM job_waiters") == [(0,)], what="it is not sent again")
