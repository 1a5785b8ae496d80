"""dramatiq with Redis, as its documentation begins."""

from __future__ import annotations

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from benchmarks.peers.places import PLACES, count, symbols

dramatiq.set_broker(RedisBroker(url=PLACES["redis"]))
work = dramatiq.actor(count)

if __name__ == "__main__":
    for symbol in symbols():
        work.send(symbol)
