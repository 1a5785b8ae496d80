"""The error of a Redis that refuses writes, for processes that have redis-py loaded; redis_writes.py says what is wrong."""

from __future__ import annotations

from redis.exceptions import ConnectionError as RedisConnectionError

from marketfetch.ops.redis_writes import Refusal, word


class WritesRefused(RedisConnectionError, Refusal):
    """Redis refuses writes now. Celery and kombu handle it as a lost connection: they wait and connect again."""

    def __init__(self, refused: Exception | str) -> None:
        """`refused` is Redis's error; a text if the error comes from a task's result."""
        said = word(refused) if isinstance(refused, Exception) else ""
        super().__init__(str(refused) if str(refused).startswith(said) else f"{said} {refused}")
