"""The log of `marketfetch serve`, on stderr. No line for a request."""

from __future__ import annotations

import asyncio
import logging

from marketfetch import process_log


def setup() -> None:
    """Sets up the root logger of this process, for our lines and those of libraries."""
    process_log.setup(quiet=("uvicorn.error", "uvicorn.access", "asyncio"))
    logging.getLogger("uvicorn.error").addFilter(is_news)


def is_news(record: logging.LogRecord) -> bool:
    """False for the traceback of a request that is cancelled as the server ends: uvicorn counts these in one line before."""
    return not (record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))
