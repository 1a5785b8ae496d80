"""`python -m benchmarks.gaps_found`: `marketfetch gaps` over ten years of daily bars of 5,000 symbols, on SQLite.

With `--minutes` over a month of minutes of 500 symbols: a bar in fifty is missing, three in four of the extended hours.

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


_FILL_MINUTES: Final = """
INSERT INTO bar_rows (ts, fetched_at, ledger_id, open, high, low, close, volume, vwap, trades, series_id, partial)
SELECT d.ts, 1700000000000, s.id, 100.1, 101.5, 99.2, 100.7, 1000000.0, 100.3, 5000, s.id, 0
FROM series s, days d
WHERE CASE WHEN d.n % 960 BETWEEN 330 AND 719 THEN (d.n * 7919 + s.id) % 50 != 0 ELSE (d.n * 7919 + s.id * 31) % 4 = 0 END
"""


@click.command()
@click.option("--symbols", default=None, type=int, help="5,000, or 500 with --minutes.")
@click.option("--minutes", is_flag=True)
def main(symbols: int | None, *, minutes: bool) -> None:
    """Seconds until every gap is known."""
    symbols = symbols or (500 if minutes else 5_000)
    last = date(2014, 1, 31) if minutes else _LAST
    sessions = expected_days("XNYS", "1d", unix_day(_FIRST), unix_day(last)).tolist()
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "bars.db"
        with closing(open_store(f"sqlite:///{path}")) as store:
            store.create()
            bars = _fill(path, symbols, sessions, minutes=minutes)
            start = time.perf_counter()
            store.database.read("SELECT count(*) FROM bar_rows")
            floor_s, start = time.perf_counter() - start, time.perf_counter()
            cpu_s = time.process_time()
            found = find(store, Chosen())
            seconds, cpu_s = time.perf_counter() - start, time.process_time() - cpu_s
        missing = sum(one.sessions for one in found.gaps)
        assert (found.series, found.sessions - missing) == (symbols, symbols * len(sessions) if minutes else bars)
        click.echo(f"{bars:,} bars of {symbols:,} series: {missing:,} sessions missing in {len(found.gaps):,} gaps")
        click.echo(f"{len(found.stretches):,} stretches; {found.outside:,} sessions lack extended hours")
        click.echo(f"found in {seconds:.1f} s ({cpu_s:.1f} s of CPU); the table read once: {floor_s:.1f} s")


def _fill(path: Path, symbols: int, sessions: list[int], *, minutes: bool) -> int:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = OFF")
        db.execute("BEGIN")
        names = [(number, f"S{number:05}") for number in range(1, symbols + 1)]
        timespan = "1m" if minutes else "1d"
        db.executemany(f"INSERT INTO series VALUES (?, 'polygon', ?, '{timespan}', 'raw')", names)
        db.executemany("INSERT INTO series_zones VALUES (?, 'America/New_York')", [one[:1] for one in names])
        until = "2014-01-15" if minutes else "2018-12-31"
        covered = "INSERT INTO coverage VALUES ('polygon', 'bars', ?, ?, 'raw', '2014-01-01', ?, ?, 1)"
        db.executemany(covered, [(symbol, timespan, until, until) for _, symbol in names])
        db.execute("CREATE TEMP TABLE days (n INTEGER, ts INTEGER)")
        starts = [day * _DAY_MS + _FIVE_HOURS_MS for day in sessions]
        if minutes:  # from 04:00 to 20:00 in New York
            starts = [start + (240 + minute) * 60_000 for start in starts for minute in range(960)]
        db.executemany("INSERT INTO days VALUES (?, ?)", list(enumerate(starts)))
        filled = db.execute(_FILL_MINUTES if minutes else _FILL).rowcount
        db.execute("COMMIT")
    return filled


if __name__ == "__main__":
    main()
