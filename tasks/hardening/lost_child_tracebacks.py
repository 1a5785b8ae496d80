"""A killed child is logged with a traceback that shows how Celery noticed it, and nothing about the child.

What fails without it: a child that gets SIGKILL leaves no trace in Python; Celery raises WorkerLostError in its own process
and prints that. Shown with Celery's own logger by tests/hardening/test_log_lines.py::test_a_killed_child_is_a_traceback.
Upstream: https://github.com/celery/billiard/issues/296 (asks to name the job in that line, open).
Delete when: Celery logs a WorkerLostError without its traceback.
"""

from __future__ import annotations

import logging

from billiard.exceptions import WorkerLostError


def lost_child_as_sentence(record: logging.LogRecord) -> bool:
    """A filter: a killed child becomes one line."""
    error = record.exc_info[1] if record.exc_info else None
    error = getattr(error, "exc", error)  # billiard wraps what it hands on
    if record.name == "celery.worker.request" and isinstance(error, WorkerLostError):
        record.msg, record.args = f"{error} Its request goes back to its place when its lease ends.", ()
        record.exc_info = record.exc_text = None
    return True
