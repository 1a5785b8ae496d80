"""Logging: structlog over stdlib, text for people or JSON by setting, and one processor that cuts every secret out.

Records of Celery, kombu and requests pass through the same processors, so a key in their messages is cut out too.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import structlog
from celery.app.log import Logging
from celery.utils.log import mlevel
from celery.utils.nodenames import node_format
from structlog.typing import Processor

from marketfetch.local import sandbox_note
from marketfetch.redaction import Redactor
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
    settings = get_settings()
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        Redactor(settings.secrets()),
    ]
    structlog.configure(
        # First, so that a record below the level costs nothing.
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    renderer: Processor = (
        structlog.processors.JSONRenderer()
        if settings.log.format == "json"
        else structlog.dev.ConsoleRenderer(colors=file is None and sys.stderr.isatty(), pad_event_to=24)
    )
    handler: logging.Handler = logging.FileHandler(Path(file)) if file else logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer]
        )
    )
    for keeps in (_not_logged_by_ourselves, outage_as_sentence, lost_child_as_sentence):
        handler.addFilter(keeps)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level if level is not None else settings.log.level.upper())
    log_pool_lines_by(handler)
    for noisy in ("urllib3", "kombu", "amqp", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _not_logged_by_ourselves(record: logging.LogRecord) -> bool:
    """Drops Celery's own lines about our tasks ("received", "succeeded"): ours say more. Its warnings and errors stay."""
    about = getattr(record, "data", None)
    name = str(about.get("name", "")) if isinstance(about, dict) else ""
    return record.levelno > logging.INFO or not name.startswith(("tasks.fetch.", "tasks.store."))
