"""Logging: structlog over stdlib, text for people or JSON by setting, and one processor that cuts every secret out.

Celery's, kombu's and requests' own records pass through the same processors, so a key in a stranger's message is cut too.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import billiard.util
import structlog
from billiard.exceptions import WorkerLostError
from celery.exceptions import Reject
from kombu.exceptions import OperationalError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeout
from structlog.typing import EventDict, Processor, WrappedLogger

from settings import get_settings
from tasks import refusals
from tasks.refusals import WritesRefused

CUT: Final = "[secret]"
#: Also cuts what is no key of ours: somebody's key in a URL that a library logs.
_IN_URL: Final = re.compile(r"(?i)\b(apikey|api_key|token|access_key)=[^&\s\"']+")


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
        # First, so that what nobody wants to read costs nothing.
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
    handler.addFilter(_told_by_ourselves)
    handler.addFilter(_an_outage_is_a_sentence)
    handler.addFilter(_a_death_is_a_sentence)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level if level is not None else settings.log.level.upper())
    # The pool's logger hands nothing on to the root: its lines would stand there bare, without a time, and as no JSON.
    pool = billiard.util.get_logger()
    pool.handlers[:] = [handler]
    pool.setLevel(logging.WARNING)
    for noisy in ("urllib3", "kombu", "amqp", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _told_by_ourselves(record: logging.LogRecord) -> bool:
    """Drops Celery's own lines about our tasks ("received", "succeeded"): ours say more. Its warnings and errors stay."""
    about = getattr(record, "data", None)
    name = str(about.get("name", "")) if isinstance(about, dict) else ""
    return record.levelno > logging.INFO or not name.startswith(("tasks.fetch.", "tasks.store."))


def _an_outage_is_a_sentence(record: logging.LogRecord) -> bool:
    """Redis that went away is told without Celery's pages of Python: what failed and why stay, in one line."""
    if record.name == "py.warnings" and "worker_cancel_long_running_tasks_on_connection_loss" in record.getMessage():
        return False  # eight lines at every reconnect about a setting that celeryconfig.py has chosen
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, Reject):
        error = error.reason  # a retry that could not be parked
    while record.name == "celery.bootsteps" and error is not None and not isinstance(error, RedisError):
        error = error.__context__  # closing what the outage has left half open, it stumbles over None
    about = record.args if isinstance(record.args, tuple) else ()
    if record.name.startswith("celery.worker.consumer") and any(isinstance(one, WritesRefused) for one in about):
        return False  # no connection is lost: the worker says in a line of its own what it waits for
    if not record.name.startswith(("celery", "kombu")) or record.msg.startswith("Unrecoverable error"):
        return True
    if isinstance(error, RedisConnectionError | RedisTimeout | OperationalError) or refusals.word(error):
        why = str(error) or type(error).__name__
        then = "takes writes again" if refusals.word(error) else "is back"
        record.msg, record.args = f"{record.getMessage()} (Redis: {why}). It goes on by itself when Redis {then}.", ()
        record.exc_info = record.exc_text = None
    return True


def _a_death_is_a_sentence(record: logging.LogRecord) -> bool:
    """A child that was killed has left no trace in Python: what Celery prints is its own way to notice it."""
    error = record.exc_info[1] if record.exc_info else None
    error = getattr(error, "exc", error)  # billiard wraps what it hands on
    if record.name == "celery.worker.request" and isinstance(error, WorkerLostError):
        record.msg, record.args = f"{error} Its request goes back to its place when its lease ends.", ()
        record.exc_info = record.exc_text = None
    return True


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
