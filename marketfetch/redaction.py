"""Every secret is cut out of what is logged, shown or kept: one structlog processor, also usable for plain text."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from structlog.typing import EventDict, WrappedLogger

CUT: Final = "[secret]"
#: Also cuts what is no key of ours: somebody's key in a URL that a library logs.
_IN_URL: Final = re.compile(r"(?i)\b(apikey|api_key|token|access_key)=[^&\s\"']+")


class Redactor:
    """A structlog processor: no string of an event, however deep, leaves with a secret in it."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = tuple(secrets)

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        return {key: self._clean(value) for key, value in event.items() if value is not None}

    def _clean(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {key: self._clean(one) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return [self._clean(one) for one in value]
        if isinstance(value, int | float | bool):
            return value
        return self.text(str(value)) if not _is_internal(value) else value

    def text(self, text: str) -> str:
        """The text without any configured secret, and without the value of anything that looks like a key parameter."""
        for secret in self._secrets:
            text = text.replace(secret, CUT)
        return _IN_URL.sub(rf"\1={CUT}", text)


def _is_internal(value: object) -> bool:
    """structlog passes the stdlib record along; it is removed before rendering."""
    return isinstance(value, logging.LogRecord)
