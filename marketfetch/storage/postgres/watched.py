"""A Postgres session that bounds how long it waits for an answer, so that a server that hangs is unavailable like any other.

A hung server (stopped, or behind a disk that does not return) keeps its connections, so neither the operating system nor the
protocol reports an error. Three bounds, each a little wider than the one before, so that the most specific one reports first:
lock_timeout names the lock, statement_timeout a slow server, and this module a server that does not answer at all.
"""

from __future__ import annotations

import time
from typing import Any, Final

import psycopg
from psycopg.abc import RV, PQGen

#: How long the server lets a statement wait for a lock.
LOCK_S: Final = 30
#: How long the server lets a statement run, unless its own settings say so. The longest of ours, 50,000 bars in a COPY, takes
#: 0.2 s; a disk on which it takes 32 s is an outage. Not LOCK_S: the one that ends first is the one reported.
STATEMENT_S: Final = 32
#: How long a server may be silent: longer than STATEMENT_S, since a live server has cancelled the statement by then. An answer
#: that comes slowly, or a COPY that goes in slowly, is not silence.
SILENT_S: Final = 35.0


class ServerSilentError(psycopg.OperationalError):
    """The server has sent nothing for too long, and the connection is closed."""


class WatchedConnection(psycopg.Connection[tuple[Any, ...]]):
    """`silent_s`: how long the server may send nothing; infinite where a statement may take any time."""

    silent_s = SILENT_S

    def wait(self, gen: PQGen[RV], *args: Any, **kwargs: Any) -> RV:
        return super().wait(self._watched(gen), *args, **kwargs)

    def _watched(self, gen: PQGen[RV]) -> PQGen[RV]:
        """The same steps. While nothing arrives, psycopg resumes them ten times a second with nothing."""
        heard = time.monotonic()
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if ready:
                    heard = time.monotonic()
                elif time.monotonic() - heard > self.silent_s:
                    # The server's state is unknown. The rollback finds the connection closed, and does not wait again.
                    self.pgconn.finish()
                    raise ServerSilentError(f"no answer for {self.silent_s:g} s")
                wanted = gen.send(ready)
        except StopIteration as done:
            answer: RV = done.value
            return answer
