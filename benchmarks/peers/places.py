"""Where a peer finds its Redis and the vendor: the harness writes `places.json` into the folder in which the peer runs."""

from __future__ import annotations

import json
import sys
from functools import lru_cache
from pathlib import Path

from redis import Redis

from benchmarks.peers.names import names

PLACES: dict[str, str] = json.loads(Path("places.json").read_text())
#: The counter of tasks that ran: each task adds one, so that every queue does the same work.
DONE = "done"


@lru_cache(maxsize=1)
def redis() -> Redis:
    """One client per process, made after the fork."""
    return Redis.from_url(PLACES["redis"])


def count(symbol: str) -> None:  # noqa: ARG001 (a task has an argument)
    """The work of one task."""
    redis().incr(DONE)


def symbols() -> list[str]:
    """As many symbols as the command line says: `python -m MODULE COUNT`."""
    return names(int(sys.argv[1]))
