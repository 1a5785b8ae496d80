"""huey with Redis, as its documentation begins: no results, since nothing reads them."""

from __future__ import annotations

from huey import RedisHuey

from benchmarks.peers.places import PLACES, count, symbols

huey = RedisHuey("peer", url=PLACES["redis"], results=False)
work = huey.task()(count)

if __name__ == "__main__":
    for symbol in symbols():
        work(symbol)
