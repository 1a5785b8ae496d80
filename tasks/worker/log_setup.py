"""The log of a worker: what Celery, kombu and requests log passes through our processors, and some of it as sentences."""

from __future__ import annotations

import logging
from typing import Any

import structlog
from celery.app.log import Logging
from celery.utils.log import mlevel
from celery.utils.nodenames import node_format

from marketfetch import process_log
from marketfetch.local import sandbox_note
from marketfetch.settings import get_settings

from ..hardening.lost_child_tracebacks import lost_child_as_sentence
from ..hardening.outage_tracebacks import outage_as_sentence
from ..hardening.pool_log_lines import log_pool_lines_by


class RedactedLogging(Logging):  # type: ignore[misc]  # Celery is untyped
    """The logging of this app alone: Celery's records pass through our processors, which cut out every secret.

    Celery's signal `setup_logging` knows no app: a receiver of ours would also set up the workers of a user's own app.
    """

    def setup_logging_subsystem(
        self, loglevel: Any = None, logfile: Any = None, *_: Any, hostname: Any = None, **__: Any
    ) -> Any:
        """Sets up this process once. Returns True: there is nothing left to redirect."""
        if self.already_setup:
            return None
        Logging._setup = True  # noqa: SLF001 (Celery marks a process that is set up in this way only)
        file = node_format(logfile, hostname) if logfile and hostname else logfile
        setup(level=mlevel(loglevel) if loglevel else None, file=file)
        if sandbox_note.find(get_settings().state_dir):
            structlog.get_logger(__name__).info("sandbox followed", why="`marketfetch up --sandbox` runs in this folder")
        return True


def setup(*, level: str | int | None = None, file: str | None = None) -> None:
    """Sets up the root logger of this process. `level` overrides the setting (a worker's --loglevel)."""
    filters = (_not_logged_by_ourselves, outage_as_sentence, lost_child_as_sentence)
    handler = process_log.setup(level=level, file=file, filters=filters, quiet=("urllib3", "kombu", "amqp", "asyncio"))
    log_pool_lines_by(handler)


def _not_logged_by_ourselves(record: logging.LogRecord) -> bool:
    """Drops Celery's own lines about our tasks ("received", "succeeded"): ours say more. Its warnings and errors stay."""
    about = getattr(record, "data", None)
    name = str(about.get("name", "")) if isinstance(about, dict) else ""
    return record.levelno > logging.INFO or not name.startswith(("tasks.fetch.", "tasks.store."))
