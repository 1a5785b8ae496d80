"""`python -m benchmarks.records_read`: what it costs to decode and check a reply of each dataset of records.

`json.loads` of the same bytes is 1.00; for a CSV, Python's csv reader. Bad: one row in a thousand has a number for its symbol.
The targets are 1.25, and 2.2 with the bad row, in CPU. A snapshot is one row: its time is that of a call, not of a row.
"""

from __future__ import annotations

import csv
import io
import json
import random
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

import click

from marketfetch.schemas.request import Request
from marketfetch.vendors import vendor
from marketfetch.vendors.http import HttpReply

_DRAW: Final = random.Random(1)
_LISTING: Final = ("symbol", "name", "exchange", "assetType", "ipoDate", "delistingDate", "status")


@click.command()
@click.option("--rows", default=1_000, show_default=True)
@click.option("--rounds", default=30, show_default=True, help="how often each is read; the least CPU counts")
def main(rows: int, rounds: int) -> None:
    """Prints a line for each dataset."""
    click.echo(f"{'':32}{'floor':>9}{'read':>9}{'ratio':>7}{'1 bad row':>11}")
    for name, dataset, clean, bad in _replies(rows):
        floor_s = _fastest(partial(_floor, clean), rounds)
        read_s, bad_s = (_fastest(partial(_read, name, dataset, body), rounds) for body in (clean, bad))
        times = f"{floor_s * 1e3:6.2f} ms{read_s * 1e3:6.2f} ms"
        click.echo(f"{name + ' ' + dataset:32}{times}{read_s / floor_s:7.2f}{bad_s / floor_s:11.2f}")


def _replies(rows: int) -> Iterator[tuple[str, str, bytes, bytes]]:
    """Vendor, dataset, a clean body, and the body with bad rows."""
    for dataset, row in {"splits": _split, "dividends": _dividend, "delisted": _ticker, "holidays": _holiday}.items():
        many = 20 if dataset == "holidays" else rows
        made = sorted((row(number) for number in range(many)), key=lambda one: str(one.get("ticker")))
        clean = json.dumps({"status": "OK", "results": made}).encode()
        for number in range(many // 2, many, 1_000):
            made[number] = {**made[number], ("exchange" if dataset == "holidays" else "ticker"): 5}
        yield "polygon", dataset, clean, json.dumps({"status": "OK", "results": made}).encode()
    listed = sorted([_symbol(number), f"Name {number}", "NYSE", "Stock", _day(), "null", "Active"] for number in range(rows))
    clean = _csv([_LISTING, *listed])
    listed[rows // 2][4] = "yesterday"
    yield "alpha_vantage", "symbols", clean, _csv([_LISTING, *listed])
    columns = [{"name": "ticker", "type": "String"}, {"name": "date", "type": "Date"}]
    columns += [{"name": f"value{number}", "type": "double"} for number in range(4)]
    cells: list[list[object]] = [[_symbol(number), _day(), *(_DRAW.random() for _ in range(4))] for number in range(rows)]
    clean = json.dumps({"datatable": {"data": cells, "columns": columns}, "meta": {"next_cursor_id": None}}).encode()
    cells[rows // 2][1] = "yesterday"
    bad = json.dumps({"datatable": {"data": cells, "columns": columns}, "meta": {"next_cursor_id": None}}).encode()
    yield "nasdaq", "values", clean, bad


def _read(name: str, dataset: str, body: bytes) -> object:
    symbol = "VENDOR/TABLE" if dataset == "values" else "*"
    request = Request(provider=name, dataset=dataset, symbol=symbol, generation="2026-05-15T10:00Z")
    return vendor(name).read_reply(request, HttpReply(200, {}, body), vendor(name).options())


def _floor(body: bytes) -> object:
    return json.loads(body) if body[:1] == b"{" else list(csv.reader(io.StringIO(body.decode(), newline=""), strict=True))


def _fastest(run: Callable[[], object], rounds: int) -> float:
    found = []
    for _ in range(rounds):
        begin = time.process_time()
        run()
        found.append(time.process_time() - begin)
    return min(found)


def _symbol(number: int) -> str:
    return "".join(_DRAW.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ", k=4)) + str(number)


def _day() -> str:
    return f"{_DRAW.randint(2003, 2025)}-{_DRAW.randint(1, 12):02}-{_DRAW.randint(1, 28):02}"


def _split(number: int) -> dict[str, Any]:
    return {
        "id": f"E{_DRAW.getrandbits(256):064x}",
        "execution_date": _day(),
        "split_from": 1,
        "split_to": 4,
        "ticker": _symbol(number),
    }


def _dividend(number: int) -> dict[str, Any]:
    return {
        "id": f"E{_DRAW.getrandbits(256):064x}", "ticker": _symbol(number), "ex_dividend_date": _day(),
        "cash_amount": _DRAW.random(),
        "currency": "USD", "declaration_date": _day(), "dividend_type": "CD", "frequency": 4, "pay_date": _day(),
        "record_date": _day(),
    }  # fmt: skip


def _ticker(number: int) -> dict[str, Any]:
    return {
        "ticker": _symbol(number), "name": f"Company {number} Inc.", "market": "stocks", "locale": "us",
        "primary_exchange": "XNYS",
        "type": "CS", "active": False, "currency_name": "usd", "cik": "0000320193", "composite_figi": f"BBG{number:09}",
        "last_updated_utc": "2024-01-01T00:00:00Z", "delisted_utc": f"{_day()}T00:00:00Z",
    }  # fmt: skip


def _holiday(number: int) -> dict[str, Any]:
    return {"exchange": "NYSE", "date": f"2026-01-{number + 1:02}", "name": "Holiday", "status": "closed"}


def _csv(rows: list[Any]) -> bytes:
    return "".join(",".join(row) + "\n" for row in rows).encode()


if __name__ == "__main__":
    main()
