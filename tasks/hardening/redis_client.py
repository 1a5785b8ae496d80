"""A Redis client to which a write that is refused is a lost connection: who waits for the one then waits for the other."""

from __future__ import annotations

from typing import Any

from redis import Redis
from redis.client import Pipeline
from redis.exceptions import RedisError, ResponseError

from marketfetch.ops.redis_writes import WritesRefused, word


class AttentiveRedis(Redis):
    """A client that raises a refusal as the loss of its connection; not while it tries again, which would take seconds."""

    def execute_command(self, *args: Any, **options: Any) -> Any:
        try:
            return super().execute_command(*args, **options)
        except ResponseError as error:
            raise _lost(error) from error

    def parse_response(self, connection: Any, command_name: Any, **options: Any) -> Any:
        """BRPOP is sent without execute_command, and read here when its answer has come."""
        try:
            return super().parse_response(connection, command_name, **options)
        except ResponseError as error:
            if command_name != "BRPOP":
                raise
            raise _lost(error) from error

    def pipeline(self, transaction: Any = True, shard_hint: Any = None) -> Pipeline:
        """A transaction or a pipeline, as attentive."""
        return _AttentivePipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)


class _AttentivePipeline(Pipeline):
    def execute(self, raise_on_error: bool = True) -> list[Any]:
        try:
            return super().execute(raise_on_error)
        except ResponseError as error:
            raise _lost(error) from error


def _lost(error: ResponseError) -> RedisError:
    return WritesRefused(error) if word(error) else error
