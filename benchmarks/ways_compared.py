"""`python -m benchmarks.ways_compared`: one wish by four programs of one's own (benchmarks/otherwise) and by marketfetch.

The vendor takes 20 calls in 6 s and refuses more; it returns 503 once and half a reply once. At half of the calls all that
fetches is killed (SIGKILL) and started again by the same command, and the faults come once more. Calls and refusals are counted
by the vendor; what is missing or double is compared with what it has. A program has ended when no call has come for 45 s; it is
ended 240 s behind the kill.
"""

from __future__ import annotations

import subprocess
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from sqlite3 import connect
from typing import Final

import psutil
import requests

from benchmarks.otherwise.wish import COUNT, END, FILE, START, SYMBOLS, WINDOW_S, url
from benchmarks.testbed import Testbed, a_testbed, pause, secret, until

#: Longer than any of the programs pauses on purpose; Celery returns the messages of a dead worker after an hour.
_QUIET_S: Final = 45.0
#: A program that has not ended by then is ended.
_LONGEST_S: Final = 240.0
_FAULTS: Final = ({"kind": "503", "provider": "polygon", "count": 1}, {"kind": "truncate", "provider": "polygon", "count": 1})
_FOLDER: Final = Path(__file__).parent / "otherwise"


@dataclass(frozen=True, slots=True)
class Way:
    """`send` is run once, and `fetch` is what is killed and started again. `file` is what one writes for it."""

    title: str
    fetch: tuple[str, ...]
    send: tuple[str, ...] = ()
    file: str = ""

    @property
    def lines(self) -> int:
        """Lines of code, without blank ones."""
        return sum(bool(line.strip()) for line in (_FOLDER / self.file).read_text(encoding="utf-8").splitlines())


def _celery(name: str) -> tuple[str, ...]:
    return ("-m", "celery", "-A", f"benchmarks.otherwise.{name}", "worker", "-c", "8", "-l", "info")


WAYS: Final = (
    Way("a script with `sleep`", ("-m", "benchmarks.otherwise.sleeping_script"), file="sleeping_script.py"),
    Way("an asyncio script", ("-m", "benchmarks.otherwise.gathering_script"), file="gathering_script.py"),
    Way(
        "Celery, `self.retry(countdown)`",
        _celery("retrying_task"),
        ("-m", "benchmarks.otherwise.retrying_task", "send"),
        "retrying_task.py",
    ),
    Way(
        "Celery and `limits`",
        _celery("limiting_task"),
        ("-m", "benchmarks.otherwise.limiting_task", "send"),
        "limiting_task.py",
    ),
    Way(
        "marketfetch",
        ("-m", "celery", "-A", "marketfetch", "worker", "-c", "8", "-l", "info"),
        ("-m", "marketfetch", "fetch", "polygon", *SYMBOLS, "--start", START, "--end", END),
    ),
)


@dataclass(frozen=True, slots=True)
class Found:
    """`holes`: symbols that lack a bar. `doubles`: bars beyond the first of a day. `seconds`: from first to last call."""

    calls: int
    refused: int
    holes: int
    doubles: int
    seconds: float


def measured(way: Way) -> Found:
    with a_testbed({"main": (f"{COUNT}/{WINDOW_S}seconds",)}) as testbed:
        control = testbed.vendors.control
        control.keys("polygon", secret("main"), limits=[f"{COUNT}/{WINDOW_S}seconds"], enforce=True)
        testbed.env |= {"VENDOR_URL": testbed.vendors.url, "VENDOR_KEY": secret("main"), "BROKER_URL": testbed.redis_url}
        testbed.env["MARKETFETCH_DATABASE_URL"] = "sqlite:///marketfetch.db"
        control.faults(*_FAULTS)
        if way.send:
            testbed.run(*way.send)
        first = testbed.start(*way.fetch)
        until(lambda: testbed.arrived() >= len(SYMBOLS) // 2, what="half of the calls", within_s=180)
        _kill(first)
        control.faults(*_FAULTS)
        _wait(testbed, testbed.start(*way.fetch))
        arrivals = testbed.arrivals()[secret("main")]
        control.clear_faults()
        statuses = control.log()["providers"]["polygon"][secret("main")]["statuses"]
        stored = Counter(_stored(testbed.folder))
        holes = {symbol for symbol, ts in _wanted(testbed) if (symbol, ts) not in stored}
        return Found(
            calls=len(arrivals),
            refused=int(statuses.get("429", 0)),
            holes=len(holes),
            doubles=sum(count - 1 for count in stored.values()),
            seconds=arrivals[-1] - arrivals[0],
        )


def _kill(process: subprocess.Popen[bytes]) -> None:
    """As when the machine loses power: no process of it does anything more."""
    for one in (*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)):
        with suppress(psutil.NoSuchProcess):
            one.kill()
    process.wait()


def _wait(testbed: Testbed, process: subprocess.Popen[bytes]) -> None:
    """Until the program has ended, the vendor has had no call for a while, or the longest time has passed."""
    calls, since, began = testbed.arrived(), time.monotonic(), time.monotonic()
    while process.poll() is None and time.monotonic() - since < _QUIET_S and time.monotonic() - began < _LONGEST_S:
        pause(0.5)
        if testbed.arrived() != calls:
            calls, since = testbed.arrived(), time.monotonic()


def _wanted(testbed: Testbed) -> list[tuple[str, int]]:
    """What the vendor has of the wish, asked for with a key without limits."""
    found = []
    with requests.Session() as session:
        for symbol in SYMBOLS:
            path = url(symbol, testbed.vendors.url)
            bars = session.get(path, params={"adjusted": "false"}, headers={"Authorization": "Bearer unjudged"}, timeout=10)
            found += [(symbol, int(bar["t"])) for bar in bars.json()["results"]]
    return found


def _stored(folder: Path) -> list[tuple[str, int]]:
    if (folder / FILE).exists():
        lines = (line.split(",") for line in (folder / FILE).read_text(encoding="utf-8").splitlines())
        return [(symbol, int(ts)) for symbol, ts, *_ in lines]
    with closing(connect(folder / "marketfetch.db")) as database:
        return list(database.execute("SELECT symbol, ts FROM bars"))


def main(show: Callable[[str], object] = print) -> None:
    wish = f"{len(SYMBOLS)} calls at {COUNT}/{WINDOW_S} s, killed once"
    show(f"| {wish} | calls | refused (429) | symbols with holes | bars twice | s | code |")
    show("|---|---:|---:|---:|---:|---:|---:|")
    for way in WAYS:
        found = measured(way)
        code = f"{way.lines} lines" if way.file else "a line"
        counts = f"{found.calls} | {found.refused} | {found.holes} | {found.doubles} | {found.seconds:.0f}"
        show(f"| {way.title} | {counts} | {code} |")


if __name__ == "__main__":
    main()
