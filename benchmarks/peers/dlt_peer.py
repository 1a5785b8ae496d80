"""dlt's `rest_api` source: `python -m benchmarks.peers.dlt_peer COUNT` loads that many symbols, merged by symbol and time.

Ten workers fetch at once, and rows that stand already are merged by their key. It checks no prices and knows no limits.
"""

from __future__ import annotations

import dlt
from dlt.sources.rest_api import rest_api_source

from benchmarks.peers.places import PLACES, symbols


def main() -> None:
    """Writes `bars` into dlt.db, an SQLite of the folder in which it runs."""
    path = "v2/aggs/ticker/{symbol}/range/1/day/2005-01-03/2024-12-31?adjusted=true&limit=50000"
    resources = [
        {
            "name": f"bars_{symbol}",
            "table_name": "bars",
            "primary_key": ["symbol", "t"],
            "write_disposition": "merge",
            "parallelized": True,
            "endpoint": {"path": path.format(symbol=symbol), "data_selector": "results", "paginator": "single_page"},
            "processing_steps": [{"map": _named(symbol)}],
        }
        for symbol in symbols()
    ]
    client = {"base_url": PLACES["vendor"], "auth": {"type": "bearer", "token": PLACES["key"]}}
    pipeline = dlt.pipeline("peer", destination=dlt.destinations.sqlalchemy("sqlite:///dlt.db"), dataset_name="peer")
    pipeline.run(rest_api_source({"client": client, "resources": resources}))


def _named(symbol: str):
    return lambda row: {"symbol": symbol, **row}


if __name__ == "__main__":
    main()
