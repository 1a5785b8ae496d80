"""The Celery app: its settings from celeryconfig, its sender parks, its workers carry a releaser."""

from __future__ import annotations

from typing import Any

import structlog
from celery import Celery
from celery.signals import import_modules, setup_logging, worker_init, worker_process_init

from quotas import failpoints
from sandbox import note
from settings import failpoint, get_settings
from tasks.keeper import Keeper
from tasks.releaser import Releaser
from tasks.sending import ParkingAMQP

app = Celery("marketfetch", amqp=ParkingAMQP, control="tasks.revoking:ParkingControl")
app.loader.override_backends = dict.fromkeys(("redis", "rediss"), "tasks.results:ReturningBackend")
app.config_from_object("celeryconfig")
app.steps["worker"].update((Releaser, Keeper))


@setup_logging.connect
def _our_logging(loglevel: Any = None, logfile: Any = None, **_: Any) -> None:
    """Celery's records go through our processors too, where every secret is cut out."""
    from tasks import logs

    logs.setup(level=loglevel, file=logfile)
    if note.find(get_settings().state_dir):
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
        from providers import transport
        from tasks import releaser, store

        transport.send = failpoints.around("send", transport.send)
        store._written = failpoints.around("store", store._written)  # noqa: SLF001
        loop = releaser.ReleasingLoop
        loop._publish = failpoints.around("publish", loop._publish)  # type: ignore[method-assign]  # noqa: SLF001
