"""The time that a plan names against a run at the sandbox, from the first call to the last: real workers, real time.

The limit leaves the workers idle nearly all of the time, so a run is as long as the windows are: it can't be more than 5 % off
unless the forecast is wrong, or the machine stands still. A thread that does nothing but wait sees the latter.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta

from tests.flow.conftest import SECRETS
from tests.waiting import eventually

LIMIT, SYMBOLS = "3/3seconds", ("AAPL", "AMZN", "GE", "GOOG", "IBM", "INTC", "KO")
#: A machine that is busy may starve the workers alone; a wrong forecast is wrong each time.
TRIES = 4


def test_the_calls_take_as_long_as_the_plan_said_within_five_percent(place, sandbox):
    place.env["MARKETFETCH_PROVIDERS__POLYGON__LIMITS"] = json.dumps([LIMIT])
    sandbox.keys("polygon", SECRETS["polygon"], limits=[LIMIT], enforce=False)
    place.worker()
    place.fetch("polygon", *SYMBOLS[:3], start="2024-01-02", end="2024-01-05")  # the workers are warm, and their pace is known
    off: list[str] = []
    for n in range(TRIES):
        day = str(date(2024, 2, 1) + timedelta(days=7 * n))
        eventually(lambda: planned(place, *SYMBOLS[:1], day="2024-07-01") == 0, what="the window is free")
        said = planned(place, *SYMBOLS, day=day)
        with standstills() as still:
            place.fetch("polygon", *SYMBOLS, start=day, end=day)
        calls = [called for (called,) in place.rows("SELECT called_at FROM ledger ORDER BY called_at")][-len(SYMBOLS) :]
        took = (calls[-1] - calls[0]) / 1000
        assert 6 <= said <= 7, "two windows of three seconds, and what the three calls of a window take"
        assert took >= said * 0.95, "no call is made before the plan says"
        if took <= said * 1.05 + sum(still):
            return
        off.append(f"{took:.2f} s where the plan said {said:.2f} s")
    raise AssertionError(off)


def planned(place, *symbols: str, day: str) -> float:
    done = place.marketfetch("plan", "polygon", *symbols, "--start", day, "--end", day, "--json")
    assert done.returncode == 0, done.stderr
    seconds: float = json.loads(done.stdout)["seconds"]
    return seconds


@contextmanager
def standstills() -> Iterator[list[float]]:
    """For how long at a time, in seconds, this process did not get to run although it had nothing else to do."""
    found: list[float] = []
    over = threading.Event()

    def look() -> None:
        before = time.monotonic()
        while not over.wait(0.02):
            now = time.monotonic()
            if now - before > 0.2:
                found.append(now - before)
            before = now

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()
