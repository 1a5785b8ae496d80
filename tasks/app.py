"""The Celery app: its settings from celeryconfig, its sender parks, its workers carry a releaser."""

from __future__ import annotations

from typing import Any

import structlog
from celery import Celery
from celery.signals import import_modules, setup_logging

from quotas import failpoints
from sandbox import note
from settings import failpoint, get_settings
from tasks.keeper import Keeper
from tasks.releaser import Releaser
from tasks.sending import ParkingAMQP

app = Celery("marketfetch", amqp=ParkingAMQP, control="tasks.revoking:ParkingControl")
app.config_from_object("celeryconfig")
app.steps["worker"].update((Releaser, Keeper))


@setup_logging.connect
def _our_logging(loglevel: Any = None, logfile: Any = None, **_: Any) -> None:
    """Celery's records go through our processors too, where every secret is cut out."""
    from tasks import logs

    logs.setup(level=loglevel, file=logfile)
    if note.find(get_settings().state_dir):
        structlog.get_logger(__name__).info("sandbox followed", why="`marketfetch up --sandbox` runs in this folder")


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
