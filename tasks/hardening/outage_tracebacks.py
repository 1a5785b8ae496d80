"""An outage of Redis fills the log with tracebacks of Celery and kombu.

What fails without it: each step that Celery tears down or retries logs its error with a traceback, beat one with its own stack
for each entry that is due, and each reconnect adds an eight-line warning about a setting. The one line that says what is wrong,
and that nothing has to be done, is not seen. Shown with Celery's own loggers by
tests/hardening/test_log_lines.py::test_an_outage_is_a_traceback.
Upstream: no upstream issue found.
Delete when: Celery logs an expected connection error as one line.
"""

from __future__ import annotations

import logging

from celery.exceptions import Reject
from kombu.exceptions import OperationalError
from kombu.transport.pyamqp import Transport as RabbitMQ
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeout

from marketfetch.addresses import broker
from marketfetch.ops import redis_writes
from marketfetch.ops.writes_refused import WritesRefused


def outage_as_sentence(record: logging.LogRecord) -> bool:
    """A filter: an error of Redis, or of another broker, becomes one line that says what failed, why, and that it continues."""
    if record.name == "py.warnings" and "worker_cancel_long_running_tasks_on_connection_loss" in record.getMessage():
        return False  # tasks/celeryconfig.py has chosen that setting
    error = record.exc_info[1] if record.exc_info else None
    if record.name == "celery.bootsteps" and _stops_what_is_gone(record, error):
        record.msg, record.args = f"{record.getMessage()} (its connection was gone before). It goes on by itself.", ()
        record.exc_info = record.exc_text = None
        return True
    if isinstance(error, Reject):
        error = error.reason  # a retry that could not be parked
    message = record.getMessage()
    if record.name == "celery.beat" and error is not None and type(error).__name__ == "SchedulingError" and error.__context__:
        # Beat logs where it runs behind the error, which names the cause behind the schedule's entry.
        message, error = str(error).removesuffix(f": {error.__context__}"), error.__context__
    while record.name == "celery.bootsteps" and error is not None and not isinstance(error, RedisError):
        error = error.__context__  # closing a half-open part fails with an error of its own, which hides the first one
    about = record.args if isinstance(record.args, tuple) else ()
    if record.name.startswith("celery.worker.consumer") and any(isinstance(one, WritesRefused) for one in about):
        return False  # no connection is lost: the worker logs in a line of its own what it waits for
    if not record.name.startswith(("celery", "kombu")) or record.msg.startswith("Unrecoverable error"):
        return True
    # In this order, as the question which broker it is may cost a look at a file, and most records are no errors.
    apart = isinstance(error, (OperationalError, *RabbitMQ.connection_errors)) and broker().redis is None
    if apart or isinstance(error, RedisConnectionError | RedisTimeout | OperationalError) or redis_writes.word(error):
        why = str(error) or type(error).__name__
        who = "the broker" if apart else "Redis"
        then = "takes writes again" if redis_writes.word(error) else "is back"
        record.msg, record.args = f"{message} ({who}: {why}). It goes on by itself when {who} {then}.", ()
        record.exc_info = record.exc_text = None
    return True


def _stops_what_is_gone(record: logging.LogRecord, error: BaseException | None) -> bool:
    """True for a part that is stopped after its connection was dropped: kombu then reads attributes of None."""
    about = record.args if isinstance(record.args, tuple) else ()
    ends = bool(about) and str(about[0]) in ("restarting", "stopping", "closing", "terminating")
    while ends and isinstance(error, AttributeError) and "'NoneType' object" in str(error):
        if error.__context__ is None:
            return True
        error = error.__context__
    return False
