"""Which pools a worker starts with: prefork, threads and solo; any other is refused before the worker begins.

The releaser and the sweeper are threads of their own. A pool of greenlets replaces Python's threads, and with gevent such a
worker says that it is ready, fetches nothing, and ignores SIGTERM. Celery's option, its environment variable and the setting
`worker_pool` all end here.
"""

from __future__ import annotations

import sys
from typing import Any, Final

import click
from celery import bootsteps
from celery.concurrency import prefork, solo, thread

from marketfetch.worker_pools import refused_pool

from .. import neighbours
from ..hardening.tasks_without_an_end import SoloWithoutAnEnd
from .child_pool import HardenedPool
from .thread_pool import HardenedThreads

#: Celery's own pools, and ours in their place. A subclass of one of these stays as it is.
_OURS = {prefork.TaskPool: HardenedPool, thread.TaskPool: HardenedThreads, solo.TaskPool: SoloWithoutAnEnd}


#: With Python's 5 ms the event loop, and a thread that has a reply, wait so long for a thread that computes, at each read.
_SWITCH_S: Final = 0.0005


class UnsupportedPool(click.ClickException):
    """The worker was started with a pool that does not work; `celery worker` prints the sentence and exits with 1."""


class SupportedPools(bootsteps.Step):  # type: ignore[misc]  # Celery is untyped
    """Runs before the worker creates its pool: Celery makes every step before it starts any."""

    def __init__(self, worker: Any, **kwargs: Any) -> None:
        worker.pool_cls = supported(worker.pool_cls)
        if issubclass(worker.pool_cls, solo.TaskPool):
            worker.concurrency = 1  # the number of grants follows it
        if issubclass(worker.pool_cls, thread.TaskPool):
            neighbours.share_the_process()
            sys.setswitchinterval(_SWITCH_S)
        super().__init__(worker, **kwargs)


def supported(pool: type) -> type:
    """The pool that is used for `pool`. Raises UnsupportedPool with a sentence that names the pools that work."""
    if pool in _OURS:
        return _OURS[pool]
    if issubclass(pool, tuple(_OURS)):
        return pool
    raise UnsupportedPool(refused_pool(pool.__module__.rpartition(".")[2] if pool.__name__ == "TaskPool" else pool.__name__))
