"""Which Redis and which database belong to this folder. The Redis that `up` started is found by its port file."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from marketfetch.broker_urls import Broker, WrongBrokerUrl, read_broker
from marketfetch.local import runs_elsewhere, sandbox_note
from marketfetch.local.valkey_server import find_valkey
from marketfetch.redis_urls import RedisUrl, read
from marketfetch.sentinel_urls import WrongRedisUrl
from marketfetch.setting_sources import PREFIX
from marketfetch.settings import SettingsError, get_settings, origin
from marketfetch.storage.urls import absolute_url, sqlite_path

DEFAULT_REDIS_URL = "redis://127.0.0.1:6379/0"


def redis_url() -> RedisUrl:
    """The configured Redis; else the embedded one that `marketfetch up` runs here; else a local default.

    Raises SettingsError for a URL that is none, or that workers could not use.
    """
    settings = get_settings()
    if settings.redis_url is not None:
        try:
            return read(settings.redis_url.get_secret_value())
        except WrongRedisUrl as error:
            raise SettingsError(f"redis_url: {error} ({origin('redis_url')}).") from None
    return read(find_valkey(state_dir()) or DEFAULT_REDIS_URL)


def broker() -> Broker:
    """Where messages are: in the Redis of gate and results unless broker_url names another broker. Raises SettingsError."""
    redis, named = redis_url(), get_settings().broker_url
    if named is None:
        return Broker(redis.text, redis, apart=False)
    try:
        return read_broker(named.get_secret_value(), gate=redis)
    except (WrongBrokerUrl, WrongRedisUrl) as error:
        raise SettingsError(f"broker_url: {error} ({origin('broker_url')}).") from None


def broker_setting() -> str:
    """Returns the setting to correct if the broker can't be used, and where it stands."""
    return redis_setting() if get_settings().broker_url is None else f"broker_url ({origin('broker_url')})"


def redis_prefix() -> str:
    """What the name of each key and channel in Redis begins with, where several installations share a database; mostly ""."""
    prefix = get_settings().redis_prefix
    return f"{prefix}:" if prefix else ""


def redis_setting() -> str:
    """Returns the setting to correct if that URL is wrong, and where it stands, or could."""
    where = origin("redis_url") if get_settings().redis_url is not None else f"as a variable: {PREFIX}REDIS_URL"
    return f"redis_url ({where})"


def database_url() -> str:
    """The URL of the database; it may hold a password. That of a file is absolute, from the folder of this process."""
    return absolute_url(get_settings().database_url.get_secret_value())


def missing_database() -> Path | None:
    """The file of the database, absolute, if it is one that does not exist yet."""
    url = database_url()
    if not url.strip().startswith("sqlite:"):
        return None
    path = sqlite_path(url)
    return None if path.exists() else path


def database_choice() -> str:
    """Why it is this database, and how to name another one: a sentence, for one that has not what a user looks for."""
    if sandbox_note.find(state_dir()):
        return "That is the sandbox's own database, which every command here uses while the sandbox runs."
    named = origin("database_url")
    if named == "by default":
        how = f"go to the folder of your jobs, or set {PREFIX}DATABASE_URL"
        default = f"That is the default database, in the folder where a command runs: {how}."
        # Where the jobs probably are comes before what could be done anywhere.
        return " ".join(filter(None, (sandbox_left(), runs_elsewhere.sentence(), default)))
    choice = f"database_url ({named}) names that database: correct it if your jobs are in another one."
    return " ".join(filter(None, (sandbox_left(), choice)))


def sandbox_left() -> str:
    """Where the jobs and bars of a sandbox are that has run here and runs no more, as a sentence; "" if there is none."""
    if not sandbox_note.is_left(state_dir()):
        return ""
    return (
        f"The sandbox of this folder is stopped: `marketfetch up --sandbox` starts it again, with its jobs and bars "
        f"({sandbox_note.home(state_dir())})."
    )


def without_a_key() -> str:
    """What to do in a folder without a key. Where `up` runs in another one, its keys are meant more often than not."""
    if left := sandbox_left():
        return left
    where = runs_elsewhere.sentence()
    keys = f" {where} Its keys are used by the commands in that folder." if where else ""
    return f"Without a key, `marketfetch up --sandbox` brings invented bars.{keys}"


def sandbox_gone() -> tuple[str, str]:
    """What became of the sandbox that gave this process its settings, and the remedy; two "" if it runs, or there is none.

    A command that waits has read its settings when the sandbox ran. Each start of a sandbox picks a new port for its Redis.
    """
    url, home = get_settings().redis_url, sandbox_note.home(state_dir())
    its_database = f"sqlite:///{quote(str((home / sandbox_note.DATABASE).absolute()))}"
    if url is None or get_settings().database_url.get_secret_value() != its_database:
        return "", ""
    running = sandbox_note.find(state_dir())
    if not running:
        return "The sandbox of this folder has stopped", "`marketfetch up --sandbox` starts it again, and its jobs go on."
    if running.get("redis_url") != url.get_secret_value():
        return "The sandbox of this folder was started again, at another address", "Give this command once more."
    return "", ""


def redis_choice() -> str:
    """The Redis that is asked because no other is known, as a sentence; "" where one is configured or `up` runs here."""
    if get_settings().redis_url is not None or find_valkey(state_dir()):
        return ""
    looked = (
        f"Looked in the Redis at {DEFAULT_REDIS_URL}, the default: redis_url is not set, and `marketfetch up` does not run in "
        f"{Path.cwd()}. Go to the folder where it runs, or set {PREFIX}REDIS_URL."
    )
    return " ".join(filter(None, (looked, runs_elsewhere.sentence(), sandbox_left())))


def state_dir() -> Path:
    """The folder of the embedded servers' files. It may not exist yet."""
    return get_settings().state_dir
