"""Names of keys and channels in Redis: where several installations share a database, each name begins with a prefix.

The client carries the prefix (marketfetch/redis_clients.py), so that no key of a process can lack it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from redis import Redis


def named(redis: Redis, name: str) -> str:
    """Returns this installation's name of a key or a channel; the name itself where no prefix is configured."""
    return f"{getattr(redis, 'key_prefix', '')}{name}"
