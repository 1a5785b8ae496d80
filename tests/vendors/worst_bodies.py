"""The worst bodies for memory and time, for every vendor and dataset: what reading each of them costs.

`python -m tests.vendors.worst_bodies [megabytes] [vendor]` prints a line a body: vendor, dataset, kind, MB of the body, peak
MB, seconds, outcome. Each is read in a process of its own, so that a peak is its own.
"""

from __future__ import annotations

import importlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

from marketfetch.schemas.request import Request
from marketfetch.vendors import names, reading, vendor
from marketfetch.vendors.errors import FetchError
from marketfetch.vendors.http import HttpReply
from marketfetch.vendors.protocol import Vendor

ACME: Final = Path(__file__).parent / "acme"
KINDS: Final = (
    *("empty", "wrong types", "all bad", "deep nesting", "huge strings", "short strings", "good rows out of range"),
    *("empty, as many as may be", "all bad, as many as may be", "wrong types, as many as may be"),
)
_DAY: Final = date(1990, 1, 1)


@dataclass(frozen=True)
class Cost:
    """What reading one body cost: `peak_mb` is the most memory of the whole process."""

    vendor: str
    dataset: str
    kind: str
    body_mb: float
    peak_mb: float
    seconds: float
    outcome: str

    @property
    def bounded(self) -> bool:
        """A body of 64 MB has ten seconds; a smaller one less, so that a cost that grows with the square shows there too."""
        return self.peak_mb <= 6 * self.body_mb + 200 and self.seconds <= max(3.0, 10 * self.body_mb / 64)


def all_vendors() -> dict[str, Vendor[Any]]:
    """The installed vendors, and one that brings nothing of its own against bad replies."""
    sys.path.insert(0, str(ACME))
    from acme_prices import VENDOR as ACME_VENDOR

    return {**{name: vendor(name) for name in names()}, "acme": ACME_VENDOR}


def request_for(provider: str, dataset: str) -> Request:
    symbol = {"fx": "EUR/USD", "crypto": "BTC/EUR", "datasets": "FRED/GDP"}.get(dataset, "IBM")
    return Request(provider=provider, dataset=dataset, symbol=symbol, start=date(2024, 1, 1), end=date(2024, 12, 31))


_HEADS: Final = {
    "polygon": ('{"status":"OK","results":[', "]}"),
    "acme": ('{"bars":[', "]}"),
    "WIKI/PRICES": (
        (
            '{"datatable":{"columns":["ticker","date","open","high","low","close","volume",'
            '"adj_open","adj_high","adj_low","adj_close","adj_volume"],"data":['
        ),
        ']},"meta":{"next_cursor_id":null}}',
    ),
    "datasets": ('{"dataset_data":{"column_names":["Date","Value"],"data":[', "]}}"),
    "values": (
        '{"datatable":{"columns":[{"name":"date","type":"Date"},{"name":"value","type":"double"}],"data":[',
        ']},"meta":{"next_cursor_id":null}}',
    ),
    "bars": ('{"Time Series (Daily)":{', "}}"),
    "fx": ('{"Time Series FX (Daily)":{', "}}"),
    "crypto": ('{"Time Series (Digital Currency Daily)":{', "}}"),
    "polygon snapshots": ('{"status":"OK","ticker":{"ticker":"IBM","day":{', "}}}"),
    "snapshots": ('{"Global Quote":{', "}}"),
    "splits": ('{"symbol":"IBM","data":[', "]}"),
    "dividends": ('{"symbol":"IBM","data":[', "]}"),
    "symbols": ('{"symbol":"IBM","data":[', "]}"),
    "delisted": ('{"symbol":"IBM","data":[', "]}"),
    "alpha_vantage search": ('{"bestMatches":[', "]}"),
    "alpha_vantage market_status": ('{"endpoint":"Global Market Open & Close Status","markets":[', "]}"),
    "polygon market_status": ('{"market":"open","serverTime":"2024-01-02T10:00:00-05:00","exchanges":{', "}}"),
}


def _row(provider: str, dataset: str, kind: str, n: int) -> str:
    """The nth row of a kind, as JSON."""
    day = str(_DAY + timedelta(days=n % 12_000))
    if kind == "good rows out of range":
        values = ("1.5", "2.5", "1.5", "2.0", "1000")
    elif kind.startswith("all bad"):
        values = ("-1.5", "2.5", "1.5", "-2.0", "1000")
    else:
        values = ('"x"', "true", "[]", '"y"', "{}")
    o, h, low, c, v = values
    if dataset == "snapshots" or (provider, dataset) == ("polygon", "market_status"):
        return f'"{n}":{c}'
    if dataset == "search" and provider == "alpha_vantage":
        return "{}" if kind.startswith("empty") else f'{{"1. symbol":"IBM{n}","2. name":{o},"8. currency":{c}}}'
    if dataset == "market_status":
        return "{}" if kind.startswith("empty") else f'{{"market_type":"Equity","region":"R{n}","current_status":{c}}}'
    if provider == "polygon" and dataset == "bars":
        return (
            "{}"
            if kind.startswith("empty")
            else f'{{"t":{18_000_000 + 86_400_000 * n},"o":{o},"h":{h},"l":{low},"c":{c},"v":{v}}}'
        )
    if provider == "polygon":
        return (
            "{}" if kind.startswith("empty") else f'{{"ticker":{c},"execution_date":"{day}","split_to":{o},"cash_amount":{o}}}'
        )
    if provider == "acme":
        return "{}" if kind.startswith("empty") else f'{{"day":"{day}","open":{o},"high":{h},"low":{low},"close":{c}}}'
    if dataset == "WIKI/PRICES":
        prices = ",".join(values)
        return "[]" if kind.startswith("empty") else f'["IBM","{day}",{prices},{prices}]'
    if dataset in ("datasets", "values"):
        return "[]" if kind.startswith("empty") else f'["{day}",{c}]'
    if dataset in ("splits", "dividends", "symbols", "delisted"):
        name = "ex_dividend_date" if dataset == "dividends" else "effective_date"
        return "{}" if kind.startswith("empty") else f'{{"{name}":"{day}","split_factor":{o},"amount":{o}}}'
    keyed = "" if kind.startswith("empty") else f'"1. open":"{o}","2. high":"{h}","3. low":"{low}","4. close":{c}'
    return f'"{day}":{{{keyed}}}'


def body_of(provider: str, dataset: str, kind: str, size: int, most_rows: int) -> bytes:
    """A body of about `size` bytes; the kinds that end in "as many as may be" have the rows that are allowed."""
    head, tail = _HEADS.get(f"{provider} {dataset}") or _HEADS.get(provider) or _HEADS[dataset]
    keyed = tail == "}}" and provider == "alpha_vantage"
    if kind == "deep nesting":
        return (head + ('"2024-01-02":' if keyed else "") + "[" * size).encode()
    if kind == "huge strings":
        return (
            head
            + ('"2024-01-02":{"1. open":' if keyed else "{")
            + '"'
            + "x" * size
            + '"'
            + (":1}" if not keyed else "}")
            + tail
        ).encode()
    if kind == "short strings":
        return (head + ('"2024-01-02":' if keyed else "") + "[" + '"ab",' * (size // 5) + '"ab"]' + tail).encode()
    # A thousand rows again and again, except where each must have a name of its own. A small body has fewer.
    keyed_rows = dataset == "snapshots" or (provider, dataset) == ("polygon", "market_status")
    rows = [_row(provider, dataset, kind, n) for n in range(size // 16 if keyed_rows else 1_000)]
    while len(rows) > 1 and sum(map(len, rows)) > 2 * size:
        del rows[len(rows) // 2 :]
    many = size // (sum(map(len, rows)) + len(rows)) + 1
    if kind.endswith("as many as may be"):
        many = max(1, min(many, most_rows // len(rows)))
    return (head + ",".join(rows * many) + tail).encode()


def cost(known: Vendor[Any], dataset: str, kind: str, size: int) -> Cost:
    """Reads one body in a forked process, which is measured."""
    out, back = os.pipe()
    path = f"/tmp/worst-{os.getpid()}"
    maker = os.fork()
    if not maker:  # What making the body costs is not measured.
        Path(path).write_bytes(body_of(known.name, dataset, kind, size, known.most_rows))
        os._exit(0)
    os.waitpid(maker, 0)
    reader = os.fork()
    if not reader:
        setattr(reading, "vendor", lambda _name: known)  # noqa: B010 (in this forked process only)
        reply = HttpReply(200, {}, Path(path).read_bytes())
        began = time.process_time()
        try:
            page = reading.read(request_for(known.name, dataset), reply, known.options(), max_reject_share=0.2)
            outcome = f"{page.rows} rows, {page.rejected} rejects"
        except FetchError as error:
            outcome = f"{type(error).__name__}: {error.message[:90]}"
        except BaseException as error:
            outcome = f"NOT IN THE TREE: {type(error).__name__}"
        os.write(back, f"{time.process_time() - began}\n{outcome}".encode())
        os._exit(0)
    _, _, used = os.wait4(reader, 0)
    os.close(back)
    with os.fdopen(out, encoding="utf-8") as said:
        seconds, _, outcome = said.read().partition("\n")
    size_mb = Path(path).stat().st_size / 1e6
    Path(path).unlink()
    return Cost(
        known.name, dataset, kind, size_mb, used.ru_maxrss * 1024 / 1e6, float(seconds or 1e9), outcome or "the process died"
    )


def costs(size: int, *, only: Callable[[str], bool] = lambda _: True) -> Iterator[Cost]:
    """Every vendor, dataset and kind of body."""
    for name in ("alpha_vantage", "nasdaq", "polygon"):  # before the forks, so that none of them pays for it
        importlib.import_module(f"marketfetch.providers.{name}.replies")
    for name, known in all_vendors().items():
        for dataset in known.datasets if only(name) else ():
            for kind in KINDS:
                yield cost(known, dataset.name, kind, size)


def main() -> int:
    size = int(float((sys.argv[1:] or ["64"])[0]) * 1_000_000)
    only = sys.argv[2] if len(sys.argv) > 2 else ""
    bad = 0
    for one in costs(size, only=lambda name: not only or name == only):
        bad += not one.bounded
        print(
            f"{one.vendor:14} {one.dataset:13} {one.kind:32} {one.body_mb:6.1f} MB {one.peak_mb:6.0f} MB {one.seconds:6.2f} s  "
            f"{'' if one.bounded else 'TOO MUCH  '}{one.outcome}"
        )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
