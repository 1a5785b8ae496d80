"""The log of a long-running process: structlog over stdlib, text for people or JSON by setting, and every secret cut out.

Records of libraries pass through the same processors, so a key in their messages is cut out too.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import structlog
from structlog.typing import Processor

from marketfetch.redaction import Redactor
from marketfetch.settings import get_settings

#: The redactors of this process's log, to which secrets are added while it runs.
_redactors: Final[list[Redactor]] = []


def is_set_up() -> bool:
    """True in a worker or a server; a command prints, and an app that submits has a log of its own."""
    return bool(_redactors)


def cut_out(secrets: Iterable[str]) -> None:
    """From now on the log is without these secrets too: an API key was added while this process runs."""
    found = tuple(secrets)
    for one in _redactors:
        one.add(found)


def setup(
    *,
    level: str | int | None = None,
    file: str | None = None,
    filters: Iterable[Callable[[logging.LogRecord], bool]] = (),
    quiet: Iterable[str] = (),
) -> logging.Handler:
    """Sets up the root logger of this process, and returns its only handler.

    `level` overrides the setting. The log goes to `file`, to stderr without one. Of the loggers called `quiet` only warnings
    and errors are logged.
    """
    settings = get_settings()
    redactor = Redactor(settings.secrets())
    _redactors[:] = [redactor]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        redactor,
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
    for keeps in filters:
        handler.addFilter(keeps)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level if level is not None else settings.log.level.upper())
    for noisy in quiet:
        logging.getLogger(noisy).setLevel(logging.WARNING)
    return handler
