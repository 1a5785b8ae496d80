"""A logger that loads structlog with its first line: structlog loads rich, and an app that submits often logs nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from structlog.stdlib import BoundLogger


class _LazyLogger:
    """Finds the methods of a structlog logger at their first use."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, method: str) -> Any:
        import structlog

        return getattr(structlog.get_logger(self._name), method)


def logger(name: str) -> BoundLogger:
    """The logger of this name."""
    return cast("BoundLogger", _LazyLogger(name))
