"""`python -m benchmarks`: measures, prints a table, writes benchmarks/results.json."""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from benchmarks.floors import postgres_floors, sqlite_floors
from benchmarks.storing_rows import AGAIN, FRESH, Line, measure
from marketfetch.local.postgres_server import start_postgres
from marketfetch.storage import open_store

RESULTS = Path(__file__).parent / "results.json"


@click.command()
@click.option("--replies", default=50, show_default=True, help="how many replies are stored")
@click.option("--bars", default=50_000, show_default=True, help="how many bars each of them has")
@click.option("--short", is_flag=True, help="ten replies, of which the slow peers take two")
@click.option("--peers", default=5, show_default=True, help="how many of the replies the slow peers take")
def main(replies: int, bars: int, peers: int, short: bool) -> None:
    """Rows per second from a Polygon reply's bytes to stored, on SQLite and on Postgres, against the floors."""
    if short:
        replies, peers = 10, 2
    console = Console(width=None if sys.stdout.isatty() else 110)
    results: dict[str, list[Line]] = {}
    with tempfile.TemporaryDirectory() as name, console.status("") as status:
        folder = Path(name)

        def log(database: str) -> Callable[[str], None]:
            return lambda text: status.update(f"{database}: {text}")

        store = open_store(f"sqlite:///{folder}/bars.db")
        floors = sqlite_floors(folder / "floor.db")
        results["SQLite"] = measure(store, floors, replies=replies, peers=peers, bars=bars, told=log("SQLite"))
        with start_postgres(folder / "postgres", durable=True) as server:
            url = server.database("bench")
            store = open_store(url)
            store.create()
            floors = postgres_floors(url)
            results["Postgres"] = measure(store, floors, replies=replies, peers=peers, bars=bars, told=log("Postgres"))
    for database, lines in results.items():
        console.print(_table(database, lines, replies=replies, bars=bars))
    if short:
        console.print("a short run is not written down")
        return
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "replies": replies, "bars": bars, "peers": peers}
    written = {"machine": machine} | {database: [line.as_json() for line in lines] for database, lines in results.items()}
    RESULTS.write_text(json.dumps(written, indent=2) + "\n")
    console.print(f"written to {RESULTS}")


def _table(database: str, lines: list[Line], *, replies: int, bars: int) -> Table:
    by_name = {line.name: line for line in lines}
    fresh, again = by_name[FRESH], by_name[AGAIN]
    table = Table(title=f"{database}: {replies} replies of {bars:,} bars, medians per reply", title_justify="left")
    table.add_column("")
    for name in ("replies", "ms", "rows/s", "of the floor", "database ms", "of the floor"):
        table.add_column(name, justify="right")
    for line in lines:
        ratios = f"{line.of_floor:.2f}", f"{line.database_of_floor:.2f}"
        table.add_row(
            line.name,
            str(line.replies),
            f"{line.ms:.1f}",
            f"{line.rows_per_second:,.0f}",
            ratios[0],
            f"{line.database_ms:.1f}",
            ratios[1],
        )
    whole, part = fresh.ms / again.ms, fresh.database_ms / again.database_ms
    table.caption = (
        "ms: from bytes to stored; a floor is given our reading. database ms: after reading. "
        f"With reading on our side only: {fresh.of_bare_floor:.2f} of the floor. "
        f"Unchanged data again: {whole:.1f} times as fast as fresh, the database's part {part:.1f} times"
    )
    return table


if __name__ == "__main__":
    main()
