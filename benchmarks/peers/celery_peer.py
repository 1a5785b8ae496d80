"""Celery with Redis, set as a careful user sets it: late acknowledgements, one message per child, no results."""

from __future__ import annotations

from celery import Celery

from benchmarks.peers.places import PLACES, count, symbols

app = Celery("peer", broker=PLACES["redis"])
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    task_ignore_result=True,
    broker_connection_retry_on_startup=True,
)
work = app.task(name="peer.work")(count)

if __name__ == "__main__":
    for symbol in symbols():
        work.delay(symbol)
