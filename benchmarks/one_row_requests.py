"""`python -m benchmarks.one_row_requests [--short]`: what one request costs, beside a plain Celery chain in the same run.

A vendor without delay and a key without limits, so that our own work is all there is: requests of one row each, two workers of
four processes, SQLite. CPU is the kernel's account of each process, since wall time is noisy on a machine that others use; it
is taken between two moments of a run that is under way, so that no start counts.
"""

from __future__ import annotations

import itertools
import json
import sqlite3
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any, Final

import psutil

from benchmarks.testbed import Testbed, a_testbed, secret, until
from marketfetch.vendors.trading_days import sessions

RESULTS: Final = Path(__file__).parent / "one_row.json"
_SLOTS: Final = 4
_WORKERS: Final = 2
_FIRST_DAY: Final = date(2019, 1, 7)
_LAST_DAY: Final = date(2023, 12, 29)
_SYMBOLS: Final = tuple("".join(letters) for letters in itertools.product("ABCDE", repeat=2))


def days(count: int) -> Iterator[tuple[str, str]]:
    """That many different pairs of a symbol and a session: a day without one would bring no row."""
    pairs = ((symbol, day.isoformat()) for day in sessions("XNYS", _FIRST_DAY, _LAST_DAY) for symbol in _SYMBOLS)
    return itertools.islice(pairs, count)


def park(count: int) -> None:
    """Parks so many requests of one row, as `feed` does, in jobs of 25."""
    from marketfetch import connections, vendors
    from marketfetch.configured import options
    from marketfetch.quotas import Parking
    from marketfetch.schemas.job_spec import JobSpec

    gate = connections.gate("polygon")
    for day, some in itertools.groupby(days(count), key=lambda pair: pair[1]):
        symbols = tuple(symbol for symbol, _ in some)
        at = date.fromisoformat(day)
        spec = JobSpec(provider="polygon", symbols=symbols, start=at, end=at, as_of="2026-01-05")
        requests = vendors.vendor("polygon").plan(spec, options("polygon"))
        gate.park([Parking(id=one.id, arguments=one.arguments) for one in requests], job=spec.id, wake=False)
    gate.wake()


def ours(count: int) -> dict[str, Any]:
    """Our workers, from the first hundred stored requests to the last one."""
    with a_testbed({"main": ()}, delay=False) as testbed:
        workers = testbed.workers(_WORKERS, slots=_SLOTS)
        database = testbed.folder / "marketfetch.db"
        testbed.run("-m", "benchmarks.one_row_requests", "park", f"{count}")

        def stored() -> int:
            return rows_of(database, "SELECT count(*) FROM ledger")

        return measured(testbed, workers, stored, count)


def plainly(count: int) -> dict[str, Any]:
    """The same work by benchmarks/plain_chain.py."""
    with a_testbed({"main": ()}, delay=False) as testbed:
        places = {"redis": testbed.redis_url, "vendor": testbed.vendors.url, "key": secret("main")}
        (testbed.folder / "plain.json").write_text(json.dumps(places))
        app = ("-m", "celery", "-A", "benchmarks.plain_chain", "worker", "-l", "warning")
        workers = [testbed.start(*app, "-c", f"{_SLOTS}", "-n", f"plain{n}@%h") for n in range(_WORKERS)]
        children = _WORKERS * (_SLOTS + 1)
        until(lambda: sum(len(family(one.pid)) for one in workers) >= children, what="plain workers", within_s=60)
        testbed.run("-m", "benchmarks.plain_chain", f"{count}")
        return measured(testbed, workers, lambda: rows_of(testbed.folder / "plain.db", "SELECT count(*) FROM bars"), count)


def measured(testbed: Testbed, workers: list[Any], stored: Callable[[], int], count: int) -> dict[str, Any]:
    """Figures per request between a twentieth and the last of `count` stored ones."""
    valkey = int(testbed.redis.info("server")["process_id"])
    until(lambda: stored() >= count // 20, what="the first requests stored", within_s=120, every_s=0.02)
    before, began = stored(), time.monotonic()
    cpu = {kind: cpu_s(pids) for kind, pids in kinds(workers, valkey).items()}
    testbed.redis.config_resetstat()
    until(lambda: stored() >= count, what=f"{count} requests stored", within_s=600, every_s=0.05)
    took_s, many = time.monotonic() - began, count - before
    used = {kind: (cpu_s(pids) - cpu[kind]) / many * 1e3 for kind, pids in kinds(workers, valkey).items()}
    stats = testbed.redis.info("commandstats").items()
    commands = Counter({name.removeprefix("cmdstat_"): one["calls"] / many for name, one in stats})
    return {
        "requests/s": round(many / took_s, 1),
        "CPU ms": round(sum(ms for kind, ms in used.items() if kind != "valkey"), 2),
        **{f"{kind} ms": round(ms, 2) for kind, ms in used.items()},
        "messages": round(published(commands), 2),
        "commands": {name: round(calls, 2) for name, calls in commands.most_common() if calls >= 0.02},
    }


def published(commands: Counter[str]) -> float:
    """Celery messages per request: each is pushed once."""
    return commands["lpush"] + commands["rpush"]


def kinds(workers: list[Any], valkey: int) -> dict[str, list[int]]:
    """Process ids by kind."""
    mains = [one.pid for one in workers]
    children = [pid for main in mains for pid in family(main) if pid != main]
    return {"main": mains, "children": children, "valkey": [valkey]}


def family(pid: int) -> list[int]:
    main = psutil.Process(pid)
    return [pid, *(one.pid for one in main.children(recursive=True))]


def cpu_s(pids: list[int]) -> float:
    """CPU seconds of these processes, by the kernel's account in nanoseconds."""
    threads = [task for pid in pids for task in Path(f"/proc/{pid}/task").iterdir()]
    return sum(int((one / "schedstat").read_text().split()[0]) for one in threads) / 1e9


def rows_of(database: Path, sql: str) -> int:
    if not database.exists():
        return 0
    try:
        db = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=5)
        try:
            return int(db.execute(sql).fetchone()[0])
        finally:
            db.close()
    except sqlite3.OperationalError:
        return 0  # before its tables are made


def main(*, short: bool, only: str = "") -> None:
    """Prints the figures; the two take turns."""
    count, rounds = (400, 1) if short else (3_000, 3)
    found: dict[str, list[dict[str, Any]]] = {}
    for _ in range(rounds):
        for name, run in (("marketfetch", ours), ("plain Celery chain", plainly)):
            if only in ("", name.partition(" ")[0]):
                found.setdefault(name, []).append(run(count))
                print(name, json.dumps(found[name][-1]), flush=True)
    medians = {
        name: {figure: statistics.median(one[figure] for one in some) for figure in some[0] if figure != "commands"}
        for name, some in found.items()
    }
    for name, figures in medians.items():
        print(name, json.dumps(figures))
    if not short and not only:
        RESULTS.write_text(json.dumps(medians, indent=1) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["park"]:
        park(int(sys.argv[2]))
    else:
        chosen = [one for one in sys.argv[1:] if not one.startswith("-")]
        main(short="--short" in sys.argv, only=chosen[0] if chosen else "")
