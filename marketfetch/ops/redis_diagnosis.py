"""What `marketfetch check` finds about Redis: the server, the gate's writes, and both of Celery's connections."""

from __future__ import annotations

import importlib
import time
from collections.abc import Iterator
from typing import Any, Final

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from marketfetch import vendors
from marketfetch.addresses import broker, broker_setting, redis_setting, redis_url, state_dir
from marketfetch.configured import labels
from marketfetch.connections import new_redis
from marketfetch.extras import MissingExtra, need
from marketfetch.local.valkey_server import find_valkey
from marketfetch.ops import alerts, redis_writes
from marketfetch.ops.finding import Finding, as_sentence
from marketfetch.ops.key_status import of_keys
from marketfetch.ops.workers import heartbeats, unserved
from marketfetch.quotas.write_trial import try_writing
from marketfetch.settings import SettingsError, get_settings

#: The scripts of the gate are written for the commands of this version; Valkey began at 7.2.
OLDEST_REDIS: Final = (6, 2)
MOST_SKEW_S: Final = 1.0

#: Celery's side is named by text: the core does not import it, and a machine that only submits does not have it.
_CELERY_SIDE: Final = "marketfetch.tasks.celery_trials"
#: What Celery does with Redis, the function that tries it, and what works then.
_CELERY_TRIALS: Final = (
    ("broker", "try_broker", "A worker's connection sends and receives a message."),
    ("results", "try_results", "A result is written and read."),
)
#: redis-py's retries would spend the time limit on the first command.
_NO_RETRY: Final = Retry(NoBackoff(), 0)


def of_redis(*, celery: bool) -> Iterator[Finding]:
    """Connects to Redis, writes as the gate does and, with `celery`, as a worker does. Nothing that it writes stays."""
    try:
        url = redis_url()
        broker()
    except SettingsError as error:
        yield Finding(level="error", subject="redis", sentence=f"{as_sentence(error.message)} With this one no worker starts.")
        return
    where = url.shown
    if (url.tls or {}).get("ssl_cert_reqs") == "none":
        sentence = "ssl_cert_reqs=none verifies no certificate: another server can take its place and read the password. "
        yield Finding(level="warning", subject="redis", sentence=f"{sentence}Name the authority's certificate in ssl_ca_certs.")
    writes, started = False, get_settings().redis_url is not None or find_valkey(state_dir()) is not None
    try:
        with new_redis(socket_timeout=5, socket_connect_timeout=3, retry=_NO_RETRY) as redis:
            yield from _facts(redis, where)
            refused = _refusal(redis, where)
            writes = not refused
            if refused:
                yield Finding(level="error", subject="redis", sentence=refused)
            else:
                yield Finding(level="ok", subject="gate", sentence="Its scripts run and write.")
            alive = heartbeats(redis)
            yield _workers(len(alive), refused=bool(refused))
            for name in vendors.names() if alive else ():
                if labels(name) and (sentence := unserved(name, alive)):
                    yield Finding(level="warning", subject="workers", sentence=sentence)
            yield from of_keys(redis)
            for sentence in alerts.sentences(redis):
                yield Finding(level="warning", subject="messages", sentence=sentence)
    except (AuthenticationError, NoPermissionError) as error:
        sentence = f"{where} refuses us ({error}). Correct user and password in {redis_setting()}, or the user's rights."
        yield Finding(level="error", subject="redis", sentence=sentence)
    except (RedisError, OSError, ValueError) as error:
        if not started and isinstance(error, RedisConnectionError):
            sentence = f"Not started: `marketfetch up` starts one. Until then none responds ({where}, the default)."
            yield Finding(level="warning", subject="redis", sentence=sentence)
            return
        why = str(error).replace(url.text, where).rstrip(".")
        sentence = f"{where} can't be reached ({why}). {redis_writes.remedy_of_silence()}"
        yield Finding(level="error", subject="redis", sentence=sentence)
    if writes and celery:
        yield from _celery(where)
    elif celery and broker().apart:
        sentence = f"{broker().shown} was not tried: first the Redis of gate and results must work."
        yield Finding(level="warning", subject="broker", sentence=sentence)


def _facts(redis: Redis, where: str) -> Iterator[Finding]:
    before = time.time()
    seconds, micros = redis.time()
    # Half the round trip is the way to Redis; the other half is the measurement error.
    skew = seconds + micros / 1e6 - (before + time.time()) / 2
    facts = redis.info("everything")
    version = str(facts.get("valkey_version") or facts.get("redis_version") or "0.0")
    name = "Valkey" if "valkey_version" in facts else "Redis"
    yield Finding(level="ok", subject="redis", sentence=f"{name} {version} responds at {where}.")
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_REDIS:
        sentence = f"Version {version} is too old: the gate needs 6.2 or newer. Upgrade it."
        yield Finding(level="error", subject="redis", sentence=sentence)
    if not facts.get("aof_enabled"):
        yield Finding(
            level="warning",
            subject="redis",
            sentence="It keeps no append-only file, so its restart forgets what is parked. Set `appendonly yes`.",
        )
    policy = str(facts.get("maxmemory_policy", "noeviction"))
    if policy != "noeviction":
        yield Finding(
            level="error",
            subject="redis",
            sentence=f"Its maxmemory-policy is {policy}: when memory is short it would throw requests away. "
            "Set `maxmemory-policy noeviction`.",
        )
    if abs(skew) > MOST_SKEW_S:
        yield Finding(
            level="warning",
            subject="clock",
            sentence=f"Redis's clock is {abs(skew):.1f} s {'ahead of' if skew > 0 else 'behind'} this machine's. "
            "Limits go by Redis's clock; let NTP set both.",
        )
    else:
        yield Finding(level="ok", subject="clock", sentence=f"Redis and this machine agree to {abs(skew):.2f} s.")


def _refusal(redis: Redis, where: str) -> str:
    """Returns why Redis refuses the gate's writes, and what to do; "" if it takes them. Raises RedisError."""
    if refused := redis_writes.sentence(redis, where):
        return refused
    try:
        try_writing(redis)
    except RedisError as error:
        if not redis_writes.word(error):
            raise
    # A full disk shows after the first write that Redis has to keep.
    return redis_writes.sentence(redis, where)


def _workers(count: int, *, refused: bool) -> Finding:
    if not count and refused:
        sentence = "How many run is not known while Redis takes no writes: those that do wait for it, and go on by themselves."
        return Finding(level="warning", subject="workers", sentence=sentence)
    if count:
        return Finding(level="ok", subject="workers", sentence=f"{count} ready to fetch.")
    return Finding(
        level="warning",
        subject="workers",
        sentence="None is running, so jobs will wait. Start `marketfetch up`, or `celery -A marketfetch worker`.",
    )


def _celery(where: str) -> Iterator[Finding]:
    """Uses Redis as a worker's consumer and its result backend do: kombu and Celery have connections of their own."""
    try:
        need("celery", "requests", for_what="A worker")
    except MissingExtra:
        sentence = "Not tried: Celery is not installed here, so this machine submits and reads, and runs no worker."
        yield Finding(level="ok", subject="broker", sentence=sentence)
        return
    messages = broker()
    used = {"broker": (messages.shown, broker_setting()), "results": (where, redis_setting())}
    side: Any = importlib.import_module(_CELERY_SIDE)
    for subject, trial, works in _CELERY_TRIALS:
        address, setting = used[subject]
        try:
            getattr(side, trial)()
        except Exception as error:
            why = str(error).partition("\n")[0].rstrip(".") or type(error).__name__
            sentence = f"Workers can't use {address} ({why}). Correct {setting}, or the user's rights there."
            yield Finding(level="error", subject=subject, sentence=sentence)
        else:
            apart = f" It is {address}." if subject == "broker" and messages.apart else ""
            yield Finding(level="ok", subject=subject, sentence=f"{works}{apart}")
