"""Which answers of Redis say that it takes no writes, what is said of each, and what a full one may hold."""

from __future__ import annotations

import logging
import sys
from typing import Any

import pytest
from kombu.exceptions import OperationalError
from redis.exceptions import (
    BusyLoadingError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.exceptions import (
    ConnectionError as RedisConnectionError,
)

from marketfetch import settings
from marketfetch.ops.redis_writes import must_take_writes, sentence, told, word
from marketfetch.ops.writes_refused import WritesRefused
from tasks.hardening.outage_tracebacks import outage_as_sentence
from tasks.hardening.refused_writes import RefusalsAsConnectionErrors
from tasks.worker.releaser import _most_unstored

DISK = "MISCONF Errors writing to the AOF file: No space left on device"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OutOfMemoryError("command not allowed when used memory > 'maxmemory'."), "OOM"),
        (ReadOnlyError("You can't write against a read only replica."), "READONLY"),
        (BusyLoadingError("Redis is loading the dataset in memory"), "LOADING"),
        (ResponseError(DISK), "MISCONF"),
        (ResponseError("NOREPLICAS Not enough good replicas to write."), "NOREPLICAS"),
        (ResponseError("UNBLOCKED force unblock from blocking operation"), "UNBLOCKED"),
        (ResponseError(f"Command # 1 (ZADD a 1 b) of pipeline caused error: {DISK}"), "MISCONF"),
        (ResponseError("Error running script (call to f_1): @user_script:3: @user_script: 3: -OOM command not allowed"), "OOM"),
        (WritesRefused(OutOfMemoryError("command not allowed when used memory > 'maxmemory'.")), "OOM"),
        (ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value"), ""),
        (ResponseError("Command # 1 (SET a OOM or MISCONF) of pipeline caused error: WRONGTYPE Operation"), ""),
        (RedisConnectionError("Error 111 connecting to 127.0.0.1:1. Connection refused."), ""),
        (ValueError("OOM"), ""),
        (None, ""),
    ],
)
def test_a_refusal_is_known_by_its_word_wherever_redis_puts_it(error, said):
    assert word(error) == said


def test_a_refusal_that_another_error_hides_is_seen():
    hiding = OperationalError("not sent")
    hiding.__cause__ = ResponseError(DISK)
    assert word(hiding) == "MISCONF"


class Fake:
    """A Redis that can't be had in a test: its disk is full."""

    def __init__(self, error: RedisError, **facts: Any) -> None:
        self.error, self.facts = error, facts

    def setrange(self, *_: Any) -> None:
        raise self.error

    def info(self, _: str) -> dict[str, Any]:
        return self.facts


def test_a_full_disk_is_told_from_what_redis_says_of_itself():
    fake: Any = Fake(ResponseError(DISK), aof_enabled=1, aof_last_write_status="err", rdb_last_bgsave_status="ok")
    assert sentence(fake, "redis://there") == (
        "Redis at redis://there can't write its append-only file, its disk is full or has failed. "
        "Free some space; its log says more."
    )


def test_a_redis_that_does_not_answer_is_not_called_full():
    error = RedisConnectionError("Connection refused")
    with pytest.raises(RedisConnectionError):
        sentence(Fake(error), "redis://there")  # type: ignore[arg-type]
    assert told(error, ": nothing was done").startswith(
        "Redis does not answer (redis://127.0.0.1:6379/0: Connection refused): nothing was done. Start "
    )


def test_up_is_no_remedy_where_a_redis_is_configured():
    error = RedisConnectionError("Connection refused")
    with settings.override({"MARKETFETCH_REDIS_URL": "redis://127.0.0.1:1/0"}):
        assert "`marketfetch up`" not in told(error, "")
        assert "correct redis_url" in told(error, "")


def test_a_redis_that_takes_writes_has_no_sentence_and_no_new_key(redis):
    assert sentence(redis, "redis://there") == ""
    assert redis.keys() == []


def test_a_refusal_is_raised_as_a_lost_connection_and_no_other_error_is(redis, valkey_url):
    redis.config_set("maxmemory", 1_000_000)
    try:
        with RefusalsAsConnectionErrors.from_url(valkey_url) as client:
            for refused in (lambda: must_take_writes(client), lambda: client.pipeline().set("a", "b").execute()):
                with pytest.raises(WritesRefused, match="OOM"):
                    refused()
            assert client.get("a") is None
    finally:
        redis.config_set("maxmemory", 0)
    redis.set("a", "text")
    with RefusalsAsConnectionErrors.from_url(valkey_url) as client, pytest.raises(ResponseError, match="WRONGTYPE"):
        client.lpush("a", "b")


def test_batches_may_take_a_quarter_of_the_memory_that_redis_has(redis):
    assert _most_unstored(redis) == 256 << 20
    try:
        redis.config_set("maxmemory", 100 << 20)
        assert _most_unstored(redis) == 25 << 20
        redis.config_set("maxmemory", 8 << 30)
        assert _most_unstored(redis) == 256 << 20
    finally:
        redis.config_set("maxmemory", 0)


def record(error: Exception, name: str, message: str, *args: Any) -> logging.LogRecord:
    try:
        raise error
    except type(error):
        return logging.LogRecord(name, logging.ERROR, "", 1, message, args, sys.exc_info())


def test_the_log_says_when_it_goes_on_only_where_that_is_so():
    refused = record(WritesRefused(ResponseError(DISK)), "celery.worker.request", "Couldn't ack")
    assert outage_as_sentence(refused)
    assert refused.getMessage().endswith("It goes on by itself when Redis takes writes again.")
    for name, message, error in (
        ("celery.worker", "Unrecoverable error: %r", RedisConnectionError("Connection refused")),
        ("celery.worker", "Error in timer: %r", ResponseError("WRONGTYPE Operation")),
    ):
        other = record(error, name, message, error)
        assert outage_as_sentence(other)
        assert "by itself" not in other.getMessage()
        assert other.exc_info


def test_a_refusal_is_not_called_a_lost_connection():
    error = WritesRefused(ResponseError(DISK))
    lost = record(error, "celery.worker.consumer.consumer", "%s (%r)", "Connection to broker lost", error)
    assert not outage_as_sentence(lost)
