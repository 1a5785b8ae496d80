"""A logger that loads structlog with its first line: structlog loads rich, and an app that submits often logs nothing.

In a worker or a server the lines go through structlog as process_log.py sets it up, and in an app as the app has set it up.
Where no one has, as in a command, they go to the standard library's logging: warnings and errors reach stderr, and stdout stays
the answer of the command. structlog itself would print them to stdout.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from structlog.stdlib import BoundLogger


class _LazyLogger:
    """Finds the methods of a structlog logger at their first use."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, method: str) -> Any:
        import structlog

        bound = structlog.get_logger(self._name) if structlog.is_configured() else _on_stdlib(self._name)
        return getattr(bound, method)


def _on_stdlib(name: str) -> Any:
    import structlog

    return structlog.wrap_logger(
        logging.getLogger(name),
        wrapper_class=structlog.stdlib.BoundLogger,
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.processors.format_exc_info,
            structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0),
        ],
    )


def logger(name: str) -> BoundLogger:
    """The logger of this name."""
    return cast("BoundLogger", _LazyLogger(name))
