"""Lines of the process pool bypass the log: no time, no level, no JSON, no redaction.

What fails without it: billiard's logger does not propagate to the root logger, so with `worker_hijack_root_logger = False` its
lines ("Process 'ForkPoolWorker-1' exited with 'signal 9 (SIGKILL)'") reach stderr bare. Shown with billiard's own logger by
tests/hardening/test_log_lines.py::test_lines_of_the_pool_do_not_reach_the_root_logger.
Upstream: no upstream issue found.
Delete when: billiard's logger propagates.
"""

from __future__ import annotations

import logging

import billiard.util


def log_pool_lines_by(handler: logging.Handler) -> None:
    """Gives billiard's logger the handler of the root logger."""
    pool = billiard.util.get_logger()
    pool.handlers[:] = [handler]
    pool.setLevel(logging.WARNING)
