"""Keeps the settings of this process equal to those of the database while it runs.

A key in Redis holds the version of the latest change. A process asks for it once a second at most, where it is about to use
settings, and reads the database when the version is another one. Without Redis, or where a change could not be announced there,
it reads the database every 30 s. While the database is away, what was read last stays in force.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from types import ModuleType
from typing import TYPE_CHECKING, Final

from marketfetch import configured, connections, redis_errors
from marketfetch.addresses import missing_database
from marketfetch.exceptions import MarketfetchError
from marketfetch.lazy_logger import logger
from marketfetch.master_keys import master_keys
from marketfetch.redis_keys import named
from marketfetch.sealing import MasterKey, WrongMasterKey, opened
from marketfetch.settings import SettingsError, get_settings
from marketfetch.settings_of_database import use_stored
from marketfetch.storage.setting_changes import ChangeRow, latest_changes
from marketfetch.storage.store import NoTables, Store, StoreError
from marketfetch.stored_settings import StoredSetting

if TYPE_CHECKING:
    from redis import Redis

_log = logger("marketfetch.settings")

#: Holds the version of the latest change, as text.
VERSION_KEY: Final = "mf:settings"
#: How often a process asks Redis at most, and how often it reads the database where Redis says nothing new.
LOOK_S: Final = 1.0
DATABASE_LOOK_S: Final = 30.0
#: After an attempt that failed.
_AGAIN_S: Final = 3.0


class _State:
    """What this process has read. A forked child begins with what its parent knew."""

    def __init__(self) -> None:
        self.version = -1
        self.announced = ""
        self.look_at = self.database_at = 0.0
        self.wrong: dict[str, str] = {}
        self.secrets: dict[tuple[str, int], str] = {}
        self.away = ""
        #: What was taken out of the database, by name.
        self.unset: frozenset[str] = frozenset()


_state = _State()


def refresh(*, redis: Redis | None = None, store: Callable[[], Store] = connections.recorded, now: bool = False) -> bool:
    """Reads the settings of the database if they may have changed. Never raises; True if others are in force from now on.

    Costs nothing within a second of the last look; `now` looks in any case. `redis` and `store` are the caller's own, for
    threads that share none.
    """
    lock = _lock(os.getpid())
    if not lock.acquire(blocking=False):
        return False
    try:
        at = time.monotonic()
        if at < _state.look_at and not now:
            return False
        _state.look_at = at + LOOK_S
        announced = _announced(redis)
        _state.look_at = time.monotonic() + LOOK_S  # a Redis that hangs has taken longer than that
        if announced == _state.announced and at < _state.database_at and not now:
            return False
        changed = _read(store)
        _state.announced = announced
        _state.database_at = at + (_AGAIN_S if _state.away else DATABASE_LOOK_S)
        return changed
    finally:
        lock.release()


def load() -> bool:
    """Reads the settings of the database once, for a command: it asks no Redis, and makes no file. Never raises."""
    try:
        with _lock(os.getpid()):
            if missing_database() is not None:
                return False
            changed = _read(connections.recorded)
            # An open connection leaves SQLite's files beside the database where the command ends without using it.
            connections.recorded().close()
            return changed
    except (SettingsError, StoreError):
        return False  # the command that needs them says what is wrong


def announce(version: int) -> bool:
    """Tells every process of a change. False if Redis is away: they find it within 30 s."""
    try:
        redis = connections.redis()
        redis.set(named(redis, VERSION_KEY), version)
    except (redis_errors.RedisError, OSError):
        return False
    return True


def was_unset(name: str) -> bool:
    """True for a setting that was taken out of the database, such as an API key that calls were granted with until then."""
    return name in _state.unset


def wrong() -> dict[str, str]:
    """The settings of the database that this process leaves out, by name, and why."""
    return dict(_state.wrong)


def forget() -> None:
    """Begins anew, for a process that goes on with another database."""
    global _state
    _state = _State()


def stored_of(rows: Sequence[ChangeRow]) -> tuple[list[StoredSetting], dict[str, str]]:
    """The settings in these rows, their secrets opened, and why others can't be used, by name."""
    found: list[StoredSetting] = []
    unread: dict[str, str] = {}
    keys: tuple[MasterKey, ...] | None = None
    for row in rows:
        if row.after is None:
            continue
        try:
            entry = json.loads(row.after)
            value = entry.get("value")
            if "sealed" in entry:
                # One that was opened stays: so a change of the master key needs no restart.
                if (row.name, row.version) not in _state.secrets:
                    keys = master_keys() if keys is None else keys
                    secret = opened(entry["sealed"], name=row.name, key_id=entry["key_id"], keys=keys)
                    _state.secrets[row.name, row.version] = secret
                value = _state.secrets[row.name, row.version]
            found.append(StoredSetting(row.name, value, row.version, row.changed_by, row.at_ms))
        except WrongMasterKey as error:
            unread[row.name] = f"{row.name} can't be opened: {error}. Give this process that master key, or set it anew."
        except MarketfetchError as error:  # no master key, or no library that opens it
            unread[row.name] = f"{row.name} can't be opened. {error}"
        except (ValueError, KeyError, AttributeError, TypeError):
            unread[row.name] = f"{row.name} can't be read: its row in setting_changes is damaged, or of a newer release."
    return found, unread


def _read(store: Callable[[], Store]) -> bool:
    try:
        rows = latest_changes(store())
    except NoTables:
        rows = []
    except (StoreError, SettingsError) as error:
        if not _state.away and _process_log():
            # No warning: what stores and feeds warns of the outage, once a process.
            _log.info("settings of the database can't be read", error=str(error), next_step="those of before stay in force")
        _state.away = str(error)
        return False
    _state.away = ""
    version = max((row.version for row in rows), default=0)
    if version == _state.version and not _state.wrong:
        return False
    stored, unread = stored_of(rows)
    _state.unset = frozenset(row.name for row in rows if row.after is None)
    try:
        faults = {**use_stored(stored), **unread} if stored or _state.version > 0 else unread
    except SettingsError as error:
        _warn("settings were not read anew", error=str(error), next_step="those of before stay in force")
        return False
    for name, why in sorted(faults.items()):
        if _state.wrong.get(name) != why:
            _warn("a setting of the database is left out", name=name, error=why, next_step="its last good value stays")
    changed, first = version != _state.version, _state.version < 0
    _state.version, _state.wrong = version, faults
    if changed and (stored or not first):
        configured.options.cache_clear()
        configured.keys.cache_clear()
        if log := _process_log():
            log.cut_out(get_settings().secrets())
            _log.info("settings of the database are in force", version=version, settings=len(stored))
    return changed


def _process_log() -> ModuleType | None:
    """The log of a worker or a server; None in a command, which prints, and in an app that submits."""
    found = sys.modules.get("marketfetch.process_log")
    return found if found and found.is_set_up() else None


def _warn(what: str, **more: str) -> None:
    if _process_log():
        _log.warning(what, **more)


def _announced(redis: Redis | None) -> str:
    """The version in Redis; what it was if Redis is away."""
    try:
        redis = connections.redis() if redis is None else redis
        found = redis.get(named(redis, VERSION_KEY))
    except (redis_errors.RedisError, OSError, SettingsError):
        return _state.announced
    return found.decode(errors="replace") if isinstance(found, bytes) else ""


@lru_cache(maxsize=1)
def _lock(_pid: int) -> threading.Lock:
    """A forked child has one of its own: a thread of its parent may have held this one."""
    return threading.Lock()
