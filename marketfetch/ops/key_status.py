"""The keys' state for operators, and the commands that change it: `marketfetch quotas`."""

from __future__ import annotations

from dataclasses import dataclass

from redis.exceptions import RedisError

from marketfetch import connections, vendors
from marketfetch.configured import keys
from marketfetch.exceptions import BadRequestError, UnavailableError
from marketfetch.ops import redis_writes, workers
from marketfetch.phrases import joined
from marketfetch.quotas import reporting
from marketfetch.quotas.values import Events, Health, KeyReport


@dataclass(frozen=True, slots=True)
class KeyLine:
    """One key of one vendor, with the number of requests that wait for its pool."""

    provider: str
    key: KeyReport
    parked: int


def lines() -> list[KeyLine]:
    """Every configured key, by vendor. Raises MarketfetchError when Redis is away."""
    try:
        return [
            KeyLine(provider, key, connections.gate(provider).counts().parked)
            for provider in vendors.names()
            for key in reporting.report(connections.gate(provider), keys(provider))
        ]
    except RedisError as error:
        raise _away(error) from error


def events() -> dict[str, Events]:
    """The event counters of each vendor's gate since it was created. Raises MarketfetchError when Redis is away."""
    try:
        return {provider: connections.gate(provider).events() for provider in vendors.names()}
    except RedisError as error:
        raise _away(error) from error


def unserved() -> dict[str, str]:
    """Why nothing is granted of vendors that have parked requests and no worker, by vendor.

    Raises MarketfetchError when Redis is away.
    """
    try:
        waiting = [name for name in vendors.names() if connections.gate(name).counts().parked]
        alive = workers.heartbeats(connections.redis()) if waiting else []
    except RedisError as error:
        raise _away(error) from error
    return {name: sentence for name in waiting if (sentence := workers.unserved(name, alive))}


def health() -> list[Health]:
    """Whether each vendor's gate admits the requests that may run. Raises MarketfetchError when Redis is away."""
    try:
        return [reporting.health(connections.gate(provider), keys(provider)) for provider in vendors.names() if keys(provider)]
    except RedisError as error:
        raise _away(error) from error


def pause(label: str, *, provider: str | None, seconds: float) -> str:
    """Pauses a key. Returns the vendor's name. Raises MarketfetchError."""
    owner = _owner(label, provider)
    try:
        connections.gate(owner).pause(label, pause_ms=int(seconds * 1000), why="paused by an operator")
    except RedisError as error:
        raise _away(error) from error
    return owner


def resume(label: str, *, provider: str | None) -> str:
    """Ends a key's pause or suspicion, or returns a key that was set aside to service. Returns the vendor.

    Raises MarketfetchError.
    """
    owner = _owner(label, provider)
    try:
        connections.gate(owner).resume(label)
    except RedisError as error:
        raise _away(error) from error
    return owner


def _owner(label: str, provider: str | None) -> str:
    known = {one: [key.label for key in keys(one)] for one in vendors.names() if provider in (None, one)}
    owners = [one for one, labels in known.items() if label in labels]
    if len(owners) == 1:
        return owners[0]
    if owners:
        raise BadRequestError(
            f"{joined(owners)} {'both' if len(owners) == 2 else 'each'} have a key labelled {label!r}: "
            "say which with --provider."
        )
    everyone = sorted({one for labels in known.values() for one in labels})
    raise BadRequestError(
        f"No key is labelled {label!r}. Labels are: {', '.join(everyone) or 'none, as no key is configured'}."
    )


def _away(error: RedisError) -> UnavailableError:
    return UnavailableError(redis_writes.told(error, ", so the keys' state is not known"))
