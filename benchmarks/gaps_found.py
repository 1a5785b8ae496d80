"""`python -m benchmarks.gaps_found`: `marketfetch gaps` over ten years of daily bars of 5,000 symbols, on SQLite.

The floor is the same table read once: `SELECT count(*)`. The bars are made by SQL, as `store` would leave them; one session in
a thousand is missing, and half of these were covered by a reply.
"""

from __future__ import annotations

import sqlite3
import tempfile
import time
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Final

import click

from marketfetch.ops.missing_sessions import Chosen, find
from marketfetch.storage import open_store
from marketfetch.vendors.expected_days import expected_days, unix_day

_FIRST, _LAST = date(2014, 1, 2), date(2023, 12, 29)
_DAY_MS: Final = 86_400_000
_FIVE_HOURS_MS: Final = 18_000_000
_FILL: Final = """
INSERT INTO bar_rows (ts, fetched_at, ledger_id, open, high, low, close, volume, vwap, trades, series_id, partial)
SELECT d.ts, 1700000000000, s.id, 100.1, 101.5, 99.2, 100.7, 1000000.0, 100.3, 5000, s.id, 0
FROM series s, days d WHERE d.n NOT BETWEEN 10 AND 2500 OR (d.n * 7919 + s.id) % 1000 != 0
"""


@click.command()
@click.option("--symbols", default=5_000, show_default=True)
def main(symbols: int) -> None:
    """Seconds until every gap is known."""
    sessions = expected_days("XNYS", "1d", unix_day(_FIRST), unix_day(_LAST)).tolist()
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "bars.db"
        with closing(open_store(f"sqlite:///{path}")) as store:
            store.create()
            bars = _fill(path, symbols, sessions)
            start = time.perf_counter()
            store.database.read("SELECT count(*) FROM bar_rows")
            floor_s, start = time.perf_counter() - start, time.perf_counter()
            cpu_s = time.process_time()
            found = find(store, Chosen())
            seconds, cpu_s = time.perf_counter() - start, time.process_time() - cpu_s
        missing = sum(one.sessions for one in found.gaps)
        assert (found.series, found.sessions - missing) == (symbols, bars)
        click.echo(f"{bars:,} bars of {symbols:,} series: {missing:,} sessions missing in {len(found.gaps):,} gaps")
        click.echo(f"found in {seconds:.1f} s ({cpu_s:.1f} s of CPU); the table read once: {floor_s:.1f} s")


def _fill(path: Path, symbols: int, sessions: list[int]) -> int:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = OFF")
        db.execute("BEGIN")
        names = [(number, f"S{number:05}") for number in range(1, symbols + 1)]
        db.executemany("INSERT INTO series VALUES (?, 'polygon', ?, '1d', 'raw')", names)
        db.executemany("INSERT INTO series_zones VALUES (?, 'America/New_York')", [one[:1] for one in names])
        covered = "INSERT INTO coverage VALUES ('polygon', 'bars', ?, '1d', 'raw', '2014-01-01', '2018-12-31', '2018-12-31', 1)"
        db.executemany(covered, [one[1:] for one in names])
        db.execute("CREATE TEMP TABLE days (n INTEGER, ts INTEGER)")
        db.executemany(
            "INSERT INTO days VALUES (?, ?)", [(n, day * _DAY_MS + _FIVE_HOURS_MS) for n, day in enumerate(sessions)]
        )
        filled = db.execute(_FILL).rowcount
        db.execute("COMMIT")
    return filled


if __name__ == "__main__":
    main()
