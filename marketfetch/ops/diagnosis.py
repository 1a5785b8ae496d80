"""`marketfetch check`: checks everything that a fetch needs, and reports findings in sentences with the next step."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import BaseModel, ConfigDict
from redis import Redis
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError

from marketfetch import vendors
from marketfetch.addresses import database_url, redis_url
from marketfetch.configured import keys
from marketfetch.local import sandbox_note
from marketfetch.ops import alerts, redis_writes
from marketfetch.ops.workers import releasers
from marketfetch.settings import config_path, example_of_keys, get_settings
from marketfetch.storage import open_store, safe_url
from marketfetch.storage.store import StoreError

#: The scripts of the gate are written for the commands of this version; Valkey began at 7.2.
OLDEST_REDIS: Final = (6, 2)
MOST_SKEW_S: Final = 1.0

Level = Literal["ok", "warning", "error"]


class Finding(BaseModel):
    """One check's result. An "error" stops fetching; a "warning" lets it continue, with the risk that the sentence names."""

    model_config = ConfigDict(frozen=True)

    level: Level
    subject: str
    sentence: str


def findings() -> list[Finding]:
    """Checks settings, keys, Redis, workers and the database. Takes a few seconds where one of them is unavailable.

    Raises SettingsError when the settings themselves can't be read. It writes nothing that stays, except that it creates a
    missing database, as the first worker would.
    """
    return [*_settings(), *(one for provider in vendors.names() for one in _provider(provider)), *_redis(), *_database()]


def upgrade() -> str:
    """Upgrades the database's tables to this release's schema; returns a sentence for people.

    Raises StoreError with the reason; an upgrade step that fails changes nothing.
    """
    store = open_store(database_url())
    try:
        return _as_sentence(store.upgrade())
    finally:
        store.close()


def _settings() -> Iterator[Finding]:
    path = config_path()
    where = f"{path} and the environment" if path else "the environment and the defaults (there is no marketfetch.toml)"
    yield Finding(level="ok", subject="settings", sentence=f"Valid. They come from {where}.")
    if sandbox_note.find(get_settings().state_dir):
        sentence = "`marketfetch up --sandbox` runs here: vendors, Redis and database are its own, not the configured ones."
        yield Finding(level="ok", subject="sandbox", sentence=sentence)
    if not any(get_settings().provider(name).keys for name in vendors.names()):
        yield Finding(
            level="error",
            subject="settings",
            sentence="No vendor has an API key, so nothing can be fetched. Set one, for example "
            f"{example_of_keys()}, or try `marketfetch up --sandbox`.",
        )


def _provider(name: str) -> Iterator[Finding]:
    section = get_settings().provider(name)
    labels = ", ".join(key.label for key in section.keys)
    if not labels:
        yield Finding(
            level="warning",
            subject=name,
            sentence=f"No API key, so jobs for it are refused. Set providers.{name}.api_keys if you want it.",
        )
        return
    host = urlsplit(section.base_url)
    if not _can_be_called(host):
        sentence = f"providers.{name}.base_url is no URL that can be called ({section.base_url}). Correct it."
        yield Finding(level="error", subject=name, sentence=sentence)
        return
    yield Finding(level="ok", subject=name, sentence=f"Keys: {labels}. Asked at {host.scheme}://{host.netloc}.")
    if host.scheme == "http" and host.hostname not in ("127.0.0.1", "::1", "localhost"):
        yield Finding(
            level="warning",
            subject=name,
            sentence=f"providers.{name}.base_url begins with http://, so keys travel in clear. Write https://.",
        )
    allowed = keys(name)[0]
    texts = [*(one.text for one in allowed.windows), *(one.text for one in allowed.calendars)]
    if texts:
        origin = "your limits" if section.limits is not None else f"the plan {section.plan!r}"
        most = f", {allowed.concurrency} at once" if allowed.concurrency else ""
        yield Finding(level="ok", subject=name, sentence=f"By {origin}, each key makes {' and '.join(texts)}{most}.")
    else:
        yield Finding(
            level="warning",
            subject=name,
            sentence="No limits are set, so only the vendor's refusals slow us down. "
            f'Set what your plan allows, for example providers.{name}.limits = ["5/minute"].',
        )


def _can_be_called(url: SplitResult) -> bool:
    try:
        return url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:  # a port that is no number
        return False


def _redis() -> Iterator[Finding]:
    url = redis_url()
    where = safe_url(url)
    try:
        with Redis.from_url(url, socket_timeout=5, socket_connect_timeout=3) as redis:
            yield from _redis_facts(redis, where)
    except (AuthenticationError, NoPermissionError) as error:
        sentence = f"{where} refuses us ({error}). Correct user and password in MARKETFETCH_REDIS_URL."
        yield Finding(level="error", subject="redis", sentence=sentence)
    except (RedisError, OSError, ValueError) as error:
        why = str(error).replace(url, where).rstrip(".")
        sentence = f"{where} can't be reached ({why}). {redis_writes.remedy_of_silence()}"
        yield Finding(level="error", subject="redis", sentence=sentence)


def _redis_facts(redis: Redis, where: str) -> Iterator[Finding]:
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
    refused = redis_writes.sentence(redis, where)
    if refused:
        yield Finding(level="error", subject="redis", sentence=refused)
    yield _workers(releasers(redis), refused=bool(refused))
    for sentence in alerts.of_messages(redis):
        yield Finding(level="warning", subject="messages", sentence=sentence)


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


def _database() -> Iterator[Finding]:
    try:
        store = open_store(database_url())
        try:
            store.create()
            yield Finding(level="ok", subject="database", sentence=f"{store.check()}.")
        finally:
            store.close()
    except StoreError as error:
        yield Finding(level="error", subject="database", sentence=_as_sentence(str(error)))


def _as_sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."
