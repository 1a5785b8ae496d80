"""Keeps replies in the archive, if there is one. A slow or broken archive is an alert, and delays and loses no reply."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import lru_cache
from threading import Thread
from typing import Final

import structlog
from redis.exceptions import RedisError

from marketfetch.configured import options
from marketfetch.exceptions import MarketfetchError
from marketfetch.ops.alerts import Alert
from marketfetch.schemas.request import Request
from marketfetch.settings import get_settings
from marketfetch.vendors.http import HttpReply

log = structlog.get_logger("marketfetch.fetch")

#: How long a call waits for the archive, and what it leaves of its lease for reading the reply and reporting the outcome.
_PATIENCE_S: Final = 2.0
_RESERVE_S: Final = 3.0

_broken: Final = Alert("archive")


class Archiving:
    """Writes for one process, in threads: a storage service that hangs must not outlast the lease of the call."""

    def __init__(self, url: str) -> None:
        self._url = url
        #: A write that needs longer than a call waits. While it hangs, no other one begins.
        self._hangs: Thread | None = None

    def keep(self, request: Request, reply: HttpReply, *, fetched_ms: int, secret: str, patience_s: float) -> None:
        """Keeps a reply, and waits for that at most `patience_s`. Raises nothing."""
        if self._hangs is not None and self._hangs.is_alive():
            self._alert("still hangs", request)
            return
        faults: list[str] = []
        writing = Thread(target=self._write, args=(faults, request, reply, fetched_ms, secret), name="archive", daemon=True)
        writing.start()
        writing.join(patience_s)
        if writing.is_alive():
            self._hangs = writing
            self._alert(f"needs longer than {patience_s:.1f} s", request)
        elif faults:
            self._alert(f"can't be written: {faults[0]}", request)

    def _write(self, faults: list[str], request: Request, reply: HttpReply, fetched_ms: int, secret: str) -> None:
        from marketfetch.ops.reply_archive import ReplyArchive  # only where there is an archive
        from marketfetch.ops.reply_origin import origin_of

        try:
            ReplyArchive(self._url).keep(
                request, reply, fetched_ms=fetched_ms, secrets=(secret,), origin=origin_of(options(request.provider))
            )
        except MarketfetchError as error:
            faults.append(str(error).rstrip("."))
        except Exception as error:  # a library's own; the reply is read all the same
            faults.append(type(error).__name__)

    def _alert(self, what: str, request: Request) -> None:
        sentence = f"The archive of replies {what}. Replies are stored all the same, and some are not in the archive."
        log.warning("reply not archived", request=request.id, error=what, next_step="the reply is read all the same")
        with suppress(RedisError):
            _broken.holds(sentence)


def archive(request: Request, reply: HttpReply, *, fetched_ms: int, secret: str, left_s: float) -> None:
    """Keeps a reply where the setting `archive` names a place. Raises nothing. `left_s`: what is left of the call's lease."""
    if (url := get_settings().archive) is not None:
        patience_s = min(_PATIENCE_S, max(0.0, left_s - _RESERVE_S))
        _of_process(os.getpid(), url.get_secret_value()).keep(
            request, reply, fetched_ms=fetched_ms, secret=secret, patience_s=patience_s
        )


@lru_cache(maxsize=4)
def _of_process(_pid: int, url: str) -> Archiving:
    return Archiving(url)
