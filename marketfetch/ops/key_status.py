"""The keys' state for operators, and the commands that change it: `marketfetch quotas`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from marketfetch import connections, redis_errors, vendors
from marketfetch.configured import keys, labels, owners_of
from marketfetch.exceptions import BadRequestError, UnavailableError, UnknownName, WrongValueError
from marketfetch.lengths import in_words
from marketfetch.ops import redis_writes, workers
from marketfetch.ops.finding import Finding, Level
from marketfetch.phrases import joined
from marketfetch.quotas import Gate, KeyLimits, reporting
from marketfetch.quotas.values import Events, Health, KeyReport

if TYPE_CHECKING:
    from redis import Redis


@dataclass(frozen=True, slots=True)
class KeyLine:
    """One key of one vendor, with how many requests wait for it, and whose jobs alone it serves (empty: those without one)."""

    provider: str
    key: KeyReport
    parked: int
    owners: tuple[str, ...] = ()


def lines() -> list[KeyLine]:
    """Every configured key, by vendor. Raises MarketfetchError when Redis is away."""
    try:
        return [
            KeyLine(provider, key, _parked(connections.gate(provider), limits), owners_of(provider, key.label))
            for provider in vendors.names()
            for limits, key in zip(keys(provider), reporting.report(connections.gate(provider), keys(provider)), strict=True)
        ]
    except redis_errors.RedisError as error:
        raise _away(error) from error


def _parked(gate: Gate, key: KeyLimits) -> int:
    """What is parked in the lanes of a key; where none of the vendor's has an owner, all that the pool has."""
    owned = any(one.lanes != ("",) for one in keys(gate.pool))
    return sum(gate.parked(lane) for lane in key.lanes) if owned else gate.parked()


def sentences(provider: str, key: KeyReport) -> list[str]:
    """What keeps a key from its calls, and what to do: for `quotas` and `check` alike. Nothing of a key that is fine."""
    name, found = f"{provider} {key.label}", []
    whys = (why.rstrip(".") for why in (key.aside_why, key.paused_why, key.suspected_why))
    aside_why, paused_why, suspected_why = whys
    if aside_why:
        alone = sum(key.label in labels(one) for one in vendors.names()) == 1
        resume = f"marketfetch quotas resume {key.label}{'' if alone else f' --provider {provider}'}"
        found.append(f"{name} is set aside: {aside_why}. Correct the key, or try it again with `{resume}`.")
    elif key.paused_ms:
        found.append(f"{name} rests for {in_words(key.paused_ms / 1000)} more: {paused_why}.")
    if suspected_why:
        found.append(f"{name} is suspected and makes one call at a time, which decides: {suspected_why}.")
    if key.unknown_sentences:
        found.append(
            f"{name}: a sentence we do not know ({key.unknown_sentences} so far), please report it. The last one: "
            f"{key.last_sentence}"
        )
    return found


def of_keys(redis: Redis) -> Iterator[Finding]:
    """What `marketfetch check` says about the keys' state in Redis: an error where every key of a vendor is set aside."""
    for provider in vendors.names():
        reports = reporting.report(Gate(redis, pool=provider), keys(provider)) if keys(provider) else []
        level: Level = "error" if all(key.aside_why for key in reports) else "warning"
        for key in reports:
            for sentence in sentences(provider, key):
                yield Finding(level=level, subject=provider, sentence=sentence)


def events() -> dict[str, Events]:
    """The event counters of each vendor's gate since it was created. Raises MarketfetchError when Redis is away."""
    try:
        return {provider: connections.gate(provider).events() for provider in vendors.names()}
    except redis_errors.RedisError as error:
        raise _away(error) from error


def unserved() -> dict[str, str]:
    """Why nothing is granted of vendors that have parked requests and no worker, by vendor.

    Raises MarketfetchError when Redis is away.
    """
    try:
        waiting = [name for name in vendors.names() if connections.gate(name).counts().parked]
        alive = workers.heartbeats(connections.redis()) if waiting else []
    except redis_errors.RedisError as error:
        raise _away(error) from error
    return {name: sentence for name in waiting if (sentence := workers.unserved(name, alive))}


def health() -> list[Health]:
    """Whether each vendor's gate admits the requests that may run. Raises MarketfetchError when Redis is away."""
    try:
        return [reporting.health(connections.gate(provider), keys(provider)) for provider in vendors.names() if keys(provider)]
    except redis_errors.RedisError as error:
        raise _away(error) from error


def pause(label: str, *, provider: str | None, seconds: float) -> str:
    """Pauses a key. Returns the vendor's name. Raises MarketfetchError."""
    owner = _owner(label, provider)
    try:
        connections.gate(owner).pause(label, pause_ms=int(seconds * 1000), why="paused by an operator")
    except redis_errors.RedisError as error:
        raise _away(error) from error
    return owner


def resume(label: str, *, provider: str | None) -> str:
    """Ends a key's pause or suspicion, or returns a key that was set aside to service. Returns the vendor.

    Raises MarketfetchError.
    """
    owner = _owner(label, provider)
    try:
        connections.gate(owner).resume(label)
    except redis_errors.RedisError as error:
        raise _away(error) from error
    return owner


def _owner(label: str, provider: str | None) -> str:
    if provider is not None and provider not in vendors.names():
        raise WrongValueError(vendors.unknown(provider))
    known = {one: [key.label for key in keys(one)] for one in vendors.names() if provider in (None, one)}
    owners = [one for one, labels in known.items() if label in labels]
    if len(owners) == 1:
        return owners[0]
    if owners:
        raise BadRequestError(
            f"{joined(owners)} {'both' if len(owners) == 2 else 'each'} have a key labelled {label!r}: "
            f"say which with --provider, such as --provider {owners[0]}."
        )
    everyone = sorted({one for labels in known.values() for one in labels})
    raise UnknownName(f"No key is labelled {label!r}. Labels are: {', '.join(everyone) or 'none, as no key is configured'}.")


def _away(error: redis_errors.RedisError) -> UnavailableError:
    return UnavailableError(redis_writes.told(error, ", so the keys' state is not known"))
