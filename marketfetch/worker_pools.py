"""The pools that a worker may run its tasks in, and the sentence for every other one."""

from __future__ import annotations

from typing import Final

#: The first one is the default.
WORKER_POOLS: Final = ("prefork", "threads")


def refused_pool(name: str) -> str:
    """Why a worker does not start with the pool `name`, and which pool to use."""
    return (
        f"The pool {name!r} does not work with marketfetch, as its workers would seem ready and fetch nothing. Use "
        "`threads` for many calls at once in one process, or `prefork` for a process per call; both take --concurrency"
    )
