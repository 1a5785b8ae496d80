"""A Redis that responds and refuses writes (maxmemory, full disk, failover) ends the worker.

What fails without it: redis-py raises a refusal as ResponseError. To kombu that is the answer to a wrong command and to Celery
no connection error, so the worker ends, and a result is not written again. Shown on redis-py by
tests/hardening/test_refused_writes.py::test_a_refusal_is_no_connection_error.
Upstream: https://github.com/celery/celery/issues/5716 (maxmemory, open), https://github.com/celery/celery/issues/7946
(failover; its outcome is the setting `broker_channel_error_retry`, which reconnects at every ResponseError, without a pause).
Delete when: redis-py or kombu raises these refusals as errors of the connection, or a setting names which ones are.
"""

from __future__ import annotations

from typing import Any

from kombu.transport.redis import PrefixedRedisPipeline, PrefixedStrictRedis
from redis import Redis
from redis.client import Pipeline
from redis.exceptions import RedisError, ResponseError

from marketfetch.ops.redis_writes import word
from marketfetch.ops.writes_refused import WritesRefused


class RefusalsAsConnectionErrors(Redis):
    """Raises a refusal as the loss of the connection, after redis-py's own retries: inside they would take seconds."""

    def execute_command(self, *args: Any, **options: Any) -> Any:
        try:
            return super().execute_command(*args, **options)
        except ResponseError as error:
            raise _converted(error) from error

    def parse_response(self, connection: Any, command_name: Any, **options: Any) -> Any:
        """As redis-py's. kombu sends BRPOP without execute_command, and reads the answer here."""
        try:
            return super().parse_response(connection, command_name, **options)
        except ResponseError as error:
            if command_name != "BRPOP":
                raise
            raise _converted(error) from error

    def pipeline(self, transaction: Any = True, shard_hint: Any = None) -> Pipeline:
        """A transaction or pipeline with the same errors."""
        return _Pipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)


class _Pipeline(Pipeline):
    def execute(self, raise_on_error: bool = True) -> list[Any]:
        try:
            return super().execute(raise_on_error)
        except ResponseError as error:
            raise _converted(error) from error


class PrefixedRefusals(RefusalsAsConnectionErrors, PrefixedStrictRedis):  # type: ignore[misc]  # kombu is untyped
    """The same for kombu's client whose keys have a prefix."""

    def pipeline(self, transaction: Any = True, shard_hint: Any = None) -> Pipeline:
        """A transaction or pipeline with the same errors, and the prefix."""
        kind: Any = _PrefixedPipeline
        found: Pipeline = kind(
            *(self.connection_pool, self.response_callbacks, transaction, shard_hint), global_keyprefix=self.global_keyprefix
        )
        return found


class _PrefixedPipeline(_Pipeline, PrefixedRedisPipeline):  # type: ignore[misc]  # kombu is untyped
    pass


def _converted(error: ResponseError) -> RedisError:
    return WritesRefused(error) if word(error) else error
