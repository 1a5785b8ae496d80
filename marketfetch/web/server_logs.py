"""The log of `marketfetch serve`, on stderr: text or JSON by setting, and every secret cut out. No line for a request."""

from __future__ import annotations

import asyncio
import logging
import sys

import structlog
from structlog.typing import Processor

from marketfetch.redaction import Redactor
from marketfetch.settings import get_settings


def setup() -> None:
    """Sets up the root logger of this process, for our lines and those of libraries."""
    settings = get_settings()
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        Redactor(settings.secrets()),
    ]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    renderer: Processor = structlog.processors.JSONRenderer()
    if settings.log.format != "json":
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=24)
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer]
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log.level.upper())
    for noisy in ("uvicorn.error", "uvicorn.access", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    logging.getLogger("uvicorn.error").addFilter(is_news)


def is_news(record: logging.LogRecord) -> bool:
    """False for the traceback of a request that is cancelled as the server ends: uvicorn counts these in one line before."""
    return not (record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))
