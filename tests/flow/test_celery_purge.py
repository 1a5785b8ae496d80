"""`celery purge` deletes every message of the broker, and nothing of ours is lost: requests live in the gate."""

from __future__ import annotations

import re

from tests.flow.conftest import LimitedJob
from tests.waiting import eventually

CHAIN = """
from tasks.fetch import polygon
from tasks.store import store_batch
chain = polygon.s("TSLA", start="2024-01-02", end="2024-01-05", adjustment="raw") | store_batch.s()
print(chain.apply_async().id)
"""


def test_after_celery_purge_everything_is_stored_with_no_call_more(slow_place):
    place, sandbox = slow_place
    place.env |= {"MARKETFETCH_TIMINGS__START_BY": "2", "MARKETFETCH_TIMINGS__HELD_AGAIN": "2"}
    job = LimitedJob(place, sandbox, requests=30)
    place.worker()
    chain = place.run("-c", CHAIN).stdout.strip()
    job.submit()
    purged = 0
    for turn in (1, 2, 3):
        job.reaches(5 * turn, within_s=30)
        done = place.run("-m", "celery", "-A", "tasks", "purge", "-f")
        purged += int((re.search(r"Purged (\d+) message", done.stdout) or [0, 0])[1])
    assert purged > 3, "grants were on their way"
    eventually(lambda: job.over() == 31, within_s=60, what="every request is over")
    assert place.rows("SELECT count(*) FROM ledger WHERE outcome = 'stored'") == [(31,)]
    assert sandbox.log()["calls"] == 31
    ask = f"from celery.result import AsyncResult\nfrom tasks import app\nprint(AsyncResult('{chain}', app=app).state)"
    eventually(lambda: place.run("-c", ask).stdout.strip() == "SUCCESS", within_s=30, what="the chain has gone on")
