"""What the processes of the concurrency tests do."""

from __future__ import annotations

import os
import random
import signal
from dataclasses import replace
from typing import Any

from marketfetch.schemas.ledger import Batch
from marketfetch.storage import open_store
from tests.storage.batches import batch

WRITERS, ROUNDS = 8, 20
SYMBOLS = [f"S{i}" for i in range(6)]


def planned(writer: int) -> list[list[Batch]]:
    """What writer number `writer` stores: own requests, a few shared with the others, and spans of bars that overlap."""
    rng = random.Random(writer)
    calls = []
    for turn in range(ROUNDS):
        fetched = turn * WRITERS + writer + 1
        symbols = rng.sample(SYMBOLS, 3)
        start = rng.randrange(40)
        bars = {ts: float(fetched) for ts in range(start, start + 30)}
        mine = [batch(f"w{writer}-{turn}-{symbol}", bars, symbol=symbol, fetched=fetched) for symbol in symbols]
        calls.append([*mine, batch(f"shared-{turn}", {1_000 + turn: 1.0}, symbol="SHARED", fetched=1)])
    return calls


def write(url: str, writer: int, answers: Any) -> None:
    store = open_store(url)
    store.create()
    answers.put([store.store(together) for together in planned(writer)])
    store.close()


class _Deadly:
    """Bars that kill the process when their values are asked for, which is after the batch before was written."""

    def __init__(self, length: int) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    @property
    def ts(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


def die_in_the_middle(url: str) -> None:
    first, second = batch("a", {0: 1.0}), batch("b", {1: 2.0})
    deadly: Any = _Deadly(1)
    open_store(url).store([first, replace(second, series=(replace(second.series[0], bars=deadly),))])


def upgrade(url: str, answers: Any) -> None:
    store = open_store(url)
    answers.put(store.upgrade())
    store.close()


def reserve(url: str, times: int) -> None:
    """Reserves one call of a key, `times` times."""
    store = open_store(url)
    for _ in range(times):
        store.reserve_calls("polygon", "k", calls=1, keep_ms=3 * 86_400_000)
    store.close()
