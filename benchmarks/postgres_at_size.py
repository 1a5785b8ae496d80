"""`python -m benchmarks.postgres_at_size --bars 1 --bars 10`: an update of 5,000 symbols into so many million bars.

The tables stand side by side in one server, and the updates go to them in turn. An update brings each symbol ten bars, of
which the first stands already; twenty replies make a transaction, as a worker stores its backlog. 100 million bars need
some 20 GB of disk.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

import click
import psutil
import psycopg

from benchmarks.machine import busy
from benchmarks.reply_generator import Asked, read
from marketfetch.local.postgres_server import Postgres, start_postgres
from marketfetch.schemas.ledger import Batch
from marketfetch.schemas.request import Request
from marketfetch.storage import open_store
from marketfetch.storage.store import Store
from marketfetch.vendors.http import HttpReply

#: The first minute of the first update; the generated bars end one minute later, so that this one stands.
_FIRST: Final = datetime(2024, 1, 2, 15, tzinfo=UTC)
_NEW_BARS: Final = 10
_AT_ONCE: Final = 20
#: Rows are generated in the order in which updates bring them (every symbol, then the next minute), or symbol by symbol.
_ORDERS: Final = {"by time": "minute, series", "by symbol": "series, minute"}
_FILL: Final = """
INSERT INTO bar_rows (ts, fetched_at, ledger_id, open, high, low, close, volume, vwap, trades, series_id, partial)
SELECT %(last)s::timestamptz - minute * interval '1 minute', now(), 1 + series + (minute / 500) * %(symbols)s,
       100, 101, 99, 100.5, 1000 + minute %% 97, 100.25, 12, series, false
FROM generate_series({outer}) AS a({first}) CROSS JOIN generate_series({inner}) AS b({second})
"""


@dataclass(frozen=True, slots=True)
class Update:
    """One update of all symbols: rows per second, and CPU of this process and of the server per thousand rows."""

    rows_per_second: float
    client_ms: float
    server_ms: float


@click.command()
@click.option(
    "--bars", multiple=True, type=float, default=(1.0, 10.0), show_default=True, help="millions of bars; may be repeated"
)
@click.option("--symbols", default=5_000, show_default=True, help="how many symbols an update has")
@click.option("--updates", default=5, show_default=True, help="how many updates each table takes")
@click.option("--order", type=click.Choice([*_ORDERS]), default="by time", show_default=True, help="how the old rows lie")
@click.option(
    "--folder", type=click.Path(path_type=Path), help="where the server keeps its data  [default: a temporary folder]"
)
@click.option("--json", "as_json", is_flag=True, help="print one JSON document")
def main(bars: Sequence[float], symbols: int, updates: int, order: str, folder: Path | None, as_json: bool) -> None:
    """Rows per second of an update of 5,000 symbols, by the size of the table that it meets."""
    with tempfile.TemporaryDirectory(dir=folder) as name, start_postgres(Path(name), durable=True) as server:
        _write_no_log_of_new_tables(server)
        tables = {millions: _table(server, millions, symbols, by_time=order == "by time") for millions in sorted(bars)}
        found: dict[float, list[Update]] = {millions: [] for millions in tables}
        # The first update finds cold caches and is not counted.
        for number in range(updates + 1):
            for millions, store in tables.items():
                update = _update(server, store, number, symbols)
                if number:
                    found[millions].append(update)
        sizes = {millions: _gigabytes(server, millions) for millions in tables}
    lines = [_line(millions, some, sizes[millions]) for millions, some in found.items()]
    if as_json:
        click.echo(
            json.dumps({"symbols": symbols, "updates": updates, "order": order, "load": busy(), "tables": lines}, indent=2)
        )
        return
    click.echo(f"{symbols:,} symbols, {_NEW_BARS} bars each, medians of {updates} updates, rows {order}; load {busy()}")
    for line in lines:
        ratio = line["rows_per_second"] / lines[0]["rows_per_second"]
        cpu = line["cpu_ms"] / lines[0]["cpu_ms"]
        click.echo(
            f"{line['million_bars']:>7,} million bars ({line['gb']:.1f} GB): {line['rows_per_second']:>8,.0f} rows/s"
            f" ({ratio:.2f}), CPU per 1,000 rows {line['cpu_ms']:.1f} ms ({cpu:.2f}), server {line['server_ms']:.1f}"
        )


def _write_no_log_of_new_tables(server: Postgres) -> None:
    """A table that one transaction makes and fills is then not written twice."""
    with psycopg.connect(server.url, autocommit=True) as db:
        db.execute("ALTER SYSTEM SET wal_level = minimal")
        db.execute("ALTER SYSTEM SET max_wal_senders = 0")
    server.restart()


def _table(server: Postgres, millions: float, symbols: int, *, by_time: bool) -> Store:
    """A database with the product's tables and so many bars, as many of each symbol."""
    minutes = max(1, round(millions * 1_000_000 / symbols))
    url = server.database(f"bars_{millions:g}".replace(".", "_"))
    store = open_store(url)
    store.create()
    minute, series = ("1, %(minutes)s", "minute"), ("1, %(symbols)s", "series")
    # Backwards, as the last minute is the newest.
    outer, inner = (("%(minutes)s, 1, -1", "minute"), series) if by_time else (series, minute)
    fill = _FILL.format(outer=outer[0], first=outer[1], inner=inner[0], second=inner[1])
    values = {"minutes": minutes, "symbols": symbols, "last": _FIRST + timedelta(minutes=1)}
    with psycopg.connect(url) as db:
        db.execute("SET maintenance_work_mem = '512MB'")
        db.execute("ALTER TABLE bar_rows DROP CONSTRAINT bar_rows_pkey")
        db.execute("TRUNCATE bar_rows")
        db.execute(fill, values)
        db.execute("ALTER TABLE bar_rows ADD PRIMARY KEY (series_id, ts)")
        db.execute(
            "INSERT INTO series (id, provider, symbol, timespan, adjustment)"
            " SELECT n, 'polygon', 'S' || n, '1m', 'split' FROM generate_series(1, %s) AS s(n)",
            [symbols],
        )
        db.execute("SELECT setval(pg_get_serial_sequence('series', 'id'), %s)", [symbols])
        db.execute(
            "INSERT INTO ledger (id, request_id, root, page, provider, symbol, outcome, reason, rows, rejects, key_label,"
            " calls, called_at, over_at)"
            " SELECT n, 'g' || n, 'g' || n, 0, 'polygon', 'S' || 1 + n %% %(symbols)s, 'stored', '', 500, 0, 'bench',"
            " 1, now(), now()"
            " FROM generate_series(1, %(symbols)s * (1 + %(minutes)s / 500)) AS l(n)",
            values,
        )
        db.execute("SELECT setval(pg_get_serial_sequence('ledger', 'id'), (SELECT max(id) FROM ledger))")
        db.execute(
            "INSERT INTO coverage SELECT 'polygon', 'bars', 'S' || n, '1m', 'split', date '2004-01-02', %s::date, NULL, now()"
            " FROM generate_series(1, %s) AS s(n)",
            [_FIRST.date(), symbols],
        )
    with psycopg.connect(url, autocommit=True) as db:
        for name in ("bar_rows", "series", "ledger", "coverage"):
            db.execute(f"VACUUM (ANALYZE) {name}".encode())
        db.execute("CHECKPOINT")
    return store


def _update(server: Postgres, store: Store, number: int, symbols: int) -> Update:
    batches = [_batch(number, symbol) for symbol in range(1, symbols + 1)]
    client, before, start = psutil.Process(), _server_cpu_s(server), time.perf_counter()
    client_before = sum(client.cpu_times()[:2])
    for first in range(0, symbols, _AT_ONCE):
        some = batches[first : first + _AT_ONCE]
        assert store.store(some) == [True] * len(some)
    seconds, rows = time.perf_counter() - start, symbols * _NEW_BARS
    thousands = rows / 1_000
    client_s = sum(client.cpu_times()[:2]) - client_before
    return Update(rows / seconds, client_s / thousands * 1e3, (_server_cpu_s(server) - before) / thousands * 1e3)


def _batch(number: int, symbol: int) -> Batch:
    """The reply of one symbol: its last bar again, and the next nine."""
    first = _FIRST + timedelta(minutes=number * (_NEW_BARS - 1))
    at_ms = int(first.timestamp() * 1000)
    rows = [
        {"v": 1_000 + n, "vw": 100.25, "o": 100.0, "c": 100.5, "h": 101.0, "l": 99.0, "t": at_ms + n * 60_000, "n": 12}
        for n in range(_NEW_BARS)
    ]
    body = {
        "ticker": f"S{symbol}",
        "resultsCount": len(rows),
        "adjusted": True,
        "results": rows,
        "status": "OK",
    }
    day = first.date()
    request = Request(
        provider="polygon", dataset="bars", symbol=f"S{symbol}", timespan="1m", adjustment="split",
        start=date(day.year, day.month, day.day), end=day,
    )  # fmt: skip
    asked = Asked(request, HttpReply(200, {"content-type": "application/json"}, json.dumps(body).encode()))
    return read(asked, called_at_ms=number + 1)


def _server_cpu_s(server: Postgres) -> float:
    """CPU of the postmaster's processes; those that have ended are counted with it."""
    main = psutil.Process(server.pid)
    times = main.cpu_times()
    total = times.user + times.system + times.children_user + times.children_system
    for child in main.children(recursive=True):
        total += sum(child.cpu_times()[:2])
    return total


def _gigabytes(server: Postgres, millions: float) -> float:
    with psycopg.connect(server.url) as db:
        found = db.execute("SELECT pg_database_size(%s)", [f"bars_{millions:g}".replace(".", "_")]).fetchone()
    assert found
    return float(found[0]) / 1e9


def _line(millions: float, updates: Sequence[Update], gigabytes: float) -> dict[str, float]:
    server = statistics.median(one.server_ms for one in updates)
    return {
        "million_bars": millions,
        "gb": round(gigabytes, 2),
        "rows_per_second": round(statistics.median(one.rows_per_second for one in updates)),
        "cpu_ms": round(statistics.median(one.server_ms + one.client_ms for one in updates), 2),
        "server_ms": round(server, 2),
    }


if __name__ == "__main__":
    main()
