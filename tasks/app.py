"""The Celery app: its settings from celeryconfig, its sender parks, its workers carry a releaser."""

from __future__ import annotations

from typing import Any

from celery import Celery
from celery.signals import setup_logging

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
