"""Which broker carries the messages: by default the Redis of gate and results, else any that kombu has a transport for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from marketfetch.redis_urls import RedisUrl, is_of_redis, read
from marketfetch.storage import safe_url
from marketfetch.suggestions import did_you_mean

#: kombu's transports for other brokers, as the scheme of a URL begins. What follows a `+` is the transport's own.
TRANSPORTS: Final = (
    *("amqp", "amqps", "pyamqp", "librabbitmq", "confluentkafka", "kafka", "SQS", "sqs", "mongodb", "zookeeper"),
    *("sqlalchemy", "sqla", "SLMQ", "slmq", "filesystem", "qpid", "consul", "etcd"),
    *("azurestoragequeues", "azureservicebus", "pyro", "gcpubsub", "pgmq"),
)
_FORM: Final = "amqp://user:password@host:5672/vhost"


class WrongBrokerUrl(ValueError):
    """The URL names no broker. The sentence has the right spelling, and no password."""


@dataclass(frozen=True, slots=True)
class Broker:
    """`redis` is where the messages are lists of a Redis; else kombu reads `text`, which may hold passwords.

    `apart`: it is another one than that of gate and results.
    """

    text: str
    redis: RedisUrl | None = None
    apart: bool = True

    def __repr__(self) -> str:
        return f"Broker({self.shown!r})"

    @property
    def shown(self) -> str:
        """The URL for messages, without a password."""
        return ";".join(safe_url(one) for one in self.text.split(";"))


def read_broker(url: str, *, gate: RedisUrl) -> Broker:
    """Returns the broker that a URL names. Raises WrongBrokerUrl, or WrongRedisUrl where it names a Redis."""
    url = url.strip()
    scheme = url.partition("://")[0] if "://" in url else ""
    if is_of_redis(scheme):
        found = read(url)
        return Broker(found.text, found, apart=found != gate)
    transport = scheme.partition("+")[0]
    if transport in TRANSPORTS:
        return Broker(url)
    if transport == "memory":
        raise WrongBrokerUrl("memory:// carries messages inside of one process only, and workers are others")
    meant = did_you_mean(transport, (*TRANSPORTS, "redis"), as_written="{}://") if transport else ""
    shown = f"{scheme}://***" if scheme else safe_url(url).rpartition("@")[2]
    raise WrongBrokerUrl(
        f"{shown} is no URL of a broker that kombu has a transport for: write {_FORM}, or one of Redis. {meant}".rstrip()
    )
