"""The errors of redis-py, `redis_errors.RedisError` and others, by a name that an `except` looks up when something was raised.

`import redis` is a quarter of the CPU of a short command, most of which never ask Redis: it loads the asyncio client, the
cluster client and, where that is installed, the SDK of OpenTelemetry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from redis.exceptions import AuthenticationError as AuthenticationError
    from redis.exceptions import ConnectionError as ConnectionError  # noqa: A004 (its name)
    from redis.exceptions import LockError as LockError
    from redis.exceptions import RedisError as RedisError
    from redis.exceptions import ResponseError as ResponseError
else:

    def __getattr__(name: str) -> Any:
        from redis import exceptions

        return getattr(exceptions, name)
