"""kombu makes a new Redis client for each command outside its event loop: two for each message that a worker consumes.

What fails without it: nothing, but a client's table of reply parsers is built anew for each command, which is a quarter of the
CPU of a busy worker's main process (0058). Shown by
tests/hardening/test_parts_of_a_worker.py::test_kombu_makes_a_client_for_each_acknowledgement_and_ours_keeps_one.
Upstream: no upstream issue found.
Delete when: kombu's `Channel.conn_or_acquire` keeps its client.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kombu.transport.redis import Channel


class ClientForEachCommand(Channel):  # type: ignore[misc]  # kombu is untyped
    """Keeps one client for the commands of a channel. A client has no state but its pool, which a lost connection replaces."""

    _kept: Any = None

    @contextmanager
    def conn_or_acquire(self, client: Any = None) -> Iterator[Any]:
        if client:
            yield client
            return
        if self._kept is None or self._kept.connection_pool is not self.pool:
            self._kept = self._create_client()
        yield self._kept
