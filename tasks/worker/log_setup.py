"""Logging: structlog over stdlib, text for people or JSON by setting, and one processor that cuts every secret out.

Celery's, kombu's and requests' own records pass through the same processors, so a key in a stranger's message is cut too.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import billiard.util
import structlog
from billiard.exceptions import WorkerLostError
from celery.exceptions import Reject
from kombu.exceptions import OperationalError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeout
from structlog.typing import Processor

from marketfetch.ops import redis_writes
from marketfetch.ops.redis_writes import WritesRefused
from marketfetch.redaction import Redactor
from marketfetch.settings import get_settings


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
        return False  # eight lines at every reconnect about a setting that tasks/celeryconfig.py has chosen
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
    if isinstance(error, RedisConnectionError | RedisTimeout | OperationalError) or redis_writes.word(error):
        why = str(error) or type(error).__name__
        then = "takes writes again" if redis_writes.word(error) else "is back"
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
