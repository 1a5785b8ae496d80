"""How a batch is compressed on its way to Redis, where it stays until it is stored."""

from __future__ import annotations

from functools import lru_cache

from marketfetch.addresses import redis_url
from marketfetch.jobs import batches


@lru_cache(maxsize=1)
def batch_level() -> int:
    """zlib's level: none for a Redis on this machine, where compressing costs ten times as much as copying."""
    return batches.FRAMED if redis_url().is_near else batches.COMPRESSED
