"""A worker loads its vendors' readers before it forks: a child that loads them itself does so between a reply and its storing.

Loading takes 70 to 130 ms of CPU for each vendor, in each child, while the reply is in that child's memory alone. A child that
is killed then has cost a call for nothing, and a restarted worker has as many children at this point as it has calls.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final

from celery import bootsteps

from marketfetch import vendors
from marketfetch.configured import options
from marketfetch.schemas.request import Request
from marketfetch.vendors.http import HttpReply

from .consumed_queues import consumed_vendors

#: A vendor's reader imports what it needs when it gets its first reply, whatever that holds.
_REPLY: Final = HttpReply(200, {"content-type": "application/json"}, b"{}")


class LoadedReaders(bootsteps.Step):  # type: ignore[misc]  # Celery is untyped
    """Loads before the worker creates its pool: Celery makes every step before it starts any."""

    def __init__(self, worker: Any, **kwargs: Any) -> None:
        for name in consumed_vendors(worker.app):
            # The task that needs a reader says what is wrong with it, or with the settings.
            with suppress(Exception):
                load(name)
        super().__init__(worker, **kwargs)


def load(name: str) -> None:
    """Lets the reader of this vendor read an empty reply. Raises the error tree for it, and what an import raises."""
    vendor = vendors.vendor(name)
    symbol = vendor.symbol_forms[0].examples[0]
    vendor.read_reply(Request(provider=name, dataset=vendor.datasets[0].name, symbol=symbol), _REPLY, options(name))
