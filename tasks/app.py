"""The Celery app: its settings from celeryconfig, its sender parks, its workers carry a releaser."""

from __future__ import annotations

from typing import Any

import structlog
from celery import Celery
from celery.signals import import_modules, setup_logging, worker_init, worker_process_init

from marketfetch.local import sandbox_note
from marketfetch.quotas import failpoints
from marketfetch.settings import failpoint, get_settings

#: Named by text, so that only a process that needs a part loads it: `tasks` in a checkout, `marketfetch.tasks` where installed.
_HERE = __package__

app = Celery("marketfetch", amqp=f"{_HERE}.sending.parking:ParkingAMQP", control=f"{_HERE}.sending.revoke:ParkingControl")
app.loader.override_backends = dict.fromkeys(("redis", "rediss"), f"{_HERE}.hardening.result_backend:ReturningBackend")
app.config_from_object(f"{_HERE}.celeryconfig")
app.steps["worker"].update((f"{_HERE}.worker.releaser:Releaser", f"{_HERE}.worker.sweeper:Sweeper"))


@setup_logging.connect
def _our_logging(loglevel: Any = None, logfile: Any = None, **_: Any) -> None:
    """Celery's records go through our processors too, where every secret is cut out."""
    from .worker import log_setup

    log_setup.setup(level=loglevel, file=logfile)
    if sandbox_note.find(get_settings().state_dir):
        structlog.get_logger(__name__).info("sandbox followed", why="`marketfetch up --sandbox` runs in this folder")


@worker_init.connect
def _patience(**_: Any) -> None:
    """A worker writes down what a task has cost a call to find out: it tries for as long as Celery does by itself."""
    ours = {**app.conf.result_backend_transport_options, "retry_policy": {"max_retries": 20}}
    app.conf.result_backend_transport_options = ours


@worker_process_init.connect
def _more_patience(**_: Any) -> None:
    """A child that waits keeps nobody else from work."""
    ours = {**app.conf.result_backend_transport_options, "retry_policy": {"max_retries": 60}}
    app.conf.result_backend_transport_options = ours


if failpoint():
    failpoints.arm(failpoint())


@import_modules.connect
def _failpoints(**_: Any) -> None:
    """In tests that kill a worker at one of these points: nobody else has a line of theirs in the way."""
    if failpoints.armed:
        from marketfetch.vendors import transport

        from . import store
        from .worker import releaser

        transport.send = failpoints.around("send", transport.send)
        store._written = failpoints.around("store", store._written)  # noqa: SLF001
        loop = releaser.ReleasingLoop
        loop._publish = failpoints.around("publish", loop._publish)  # type: ignore[method-assign]  # noqa: SLF001
