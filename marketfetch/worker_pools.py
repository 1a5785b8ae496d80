"""The pools that a worker may run its tasks in, and the sentence for every other one."""

from __future__ import annotations

from typing import Final

#: The first one is the default.
WORKER_POOLS: Final = ("prefork", "threads")
#: They replace Python's threads, which the releaser is.
_OF_GREENLETS: Final = ("gevent", "eventlet")


def refused_pool(name: str) -> str:
    """Why a worker does not start with the pool `name`, and which pool to use."""
    why = "does not work with marketfetch: such a worker seems ready, and fetches nothing"
    return (
        f"The pool {name!r} {why if name in _OF_GREENLETS else 'is none that marketfetch supports'}. "
        "Use `threads` for many calls at once in one process, or `prefork` for a process per call; both take --concurrency"
    )
