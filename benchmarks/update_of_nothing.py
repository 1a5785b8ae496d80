"""`python -m benchmarks.update_of_nothing`: an update of 5,000 symbols of which everything is stored and final, on SQLite.

The targets are 0 calls and 3 s. The coverage is written by SQL, as replies of today would leave it. The same update before that
leaves a request for each symbol, which shows that it asks. `python -m benchmarks.update_of_nothing COUNT` is a user's process.
"""

from __future__ import annotations

import resource
import sqlite3
import sys
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta

from benchmarks.gate_feeding import SYMBOLS
from benchmarks.testbed import a_testbed

_COVER = "INSERT INTO coverage VALUES ('polygon', 'bars', ?, '1d', 'raw', ?, ?, ?, ?)"


def main() -> None:
    """Prints the seconds of the update, in the process, and of the commands with Python's start."""
    with a_testbed({"main": ("5/minute",)}) as testbed:
        print(testbed.run("-m", "benchmarks.update_of_nothing", "5000").strip())
        (testbed.folder / "all.txt").write_text("\n".join(SYMBOLS[:5_000]) + "\n")
        for command in (
            ("update", "polygon", "@all.txt", "--last", "4 sessions"),
            ("plan", "polygon", "@all.txt", "--start", "-5d"),
        ):
            start, before = time.perf_counter(), _cpu_of_children()
            testbed.run("-m", "marketfetch", *command)
            print(f"`{command[0]}`: {time.perf_counter() - start:.2f} s ({_cpu_of_children() - before:.2f} s of CPU)")


def _cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def update_both(count: int) -> None:
    """Updates symbols that are new, and then symbols of which nothing is missing."""
    from marketfetch import connections, update

    symbols = SYMBOLS[:count]
    before = update("polygon", symbols)
    now = datetime.now(UTC)
    days = [f"{now + timedelta(days=days):%Y-%m-%d}" for days in (-30, 1, 1)]
    path = connections.store().database.read("PRAGMA database_list")[0][2]
    with closing(sqlite3.connect(path)) as db, db:
        db.executemany(_COVER, [(symbol, *days, int(now.timestamp() * 1_000)) for symbol in symbols])
    start = time.perf_counter()
    after = update("polygon", symbols, name="again")
    seconds = time.perf_counter() - start
    print(f"{count:,} symbols: {before.requests:,} requests, then {after.requests:,}, in {seconds:.2f} s")
    assert (before.requests > 0, after.requests) == (True, 0)


if __name__ == "__main__":
    update_both(int(sys.argv[1])) if len(sys.argv) > 1 else main()
