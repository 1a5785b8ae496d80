"""Settings changed at run time: set, unset, undone, listed, with who and when. Every process has a change within seconds.

A change is validated as at the start of a process, against TOML, the environment and the other settings of the database. Where
TOML or the environment gives a setting, that stays in force: the change is recorded, and waits.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from marketfetch import connections, settings_in_force
from marketfetch.configured import labels
from marketfetch.exceptions import BadRequestError, UnavailableError, WrongValueError
from marketfetch.master_keys import master_keys, sealing_key
from marketfetch.sealing import WrongMasterKey, opened, seal
from marketfetch.settings import SettingsError, model, read_with
from marketfetch.settings_of_database import given_elsewhere, refuse_wrong
from marketfetch.storage import setting_changes
from marketfetch.storage.setting_changes import ChangedMeanwhile, ChangeRow
from marketfetch.storage.store import NoTables, StoreError
from marketfetch.stored_settings import StoredSetting, UnknownSetting, annotation_of, is_secret, path_of

_LONGEST_NAME: Final = 200
_LONGEST_VALUE: Final = 1_000_000
_SHOWN_CHANGES: Final = 100


class StaleChange(BadRequestError):
    """Another change of the setting came first. For a web app: 412. `latest` is that change."""

    def __init__(self, latest: Change) -> None:
        self.latest = latest
        what = "was unset" if latest.after is None else "was changed"
        super().__init__(
            f"{latest.name} {what} by {latest.changed_by} at {_moment(latest.at_ms)} (version {latest.version}), after you "
            "looked at it: nothing was changed. Look at it again, then change it."
        )


class UnknownChange(BadRequestError):
    """No change has this number, or there is none yet."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A value as it may be shown: of a secret only that there is one."""

    value: Any
    secret: bool


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a setting. `before` and `after` are None where it had no value in the database; `at_ms` is Unix ms.

    `elsewhere` is where TOML or the environment gives the setting, so that the change waits; "" where it is in force.
    `announced`: whether Redis has the new version; without it the workers find the change within 30 s.
    """

    version: int
    name: str
    changed_by: str
    at_ms: int
    undoes: int | None
    before: Shown | None
    after: Shown | None
    elsewhere: str = ""
    announced: bool = True


def put(name: str, value: Any, *, who: str, based_on: int | None = None) -> Change:
    """Sets a setting; for an API key the value is its secret.

    `based_on`: the version that the caller has seen (0: none); None: any. Raises WrongValueError: an unknown setting, or a
    wrong value, with the sentence of a process that starts with it; StaleChange; UnavailableError, also without a master key.
    """
    path = _path(name)
    secret = is_secret(path, model())
    if secret and not isinstance(value, str):
        raise WrongValueError(f"{name} is a secret: give it as one text.")
    if len(json.dumps(value)) > _LONGEST_VALUE:
        raise WrongValueError(
            f"The value of {name} is longer than {_LONGEST_VALUE:,} characters. Name a file of symbols instead."
        )
    rows = _latest()
    others, _ = settings_in_force.stored_of(rows)
    try:
        refuse_wrong(StoredSetting(name, value), others)
    except (SettingsError, UnknownSetting) as error:
        raise WrongValueError(str(error)) from None
    entry: dict[str, Any] = {"value": value}
    if secret:
        key = sealing_key()
        entry = {"sealed": seal(value, name=name, key=key), "key_id": key.id}
    return _recorded(name, json.dumps(entry), who=who, based_on=based_on)


def unset(name: str, *, who: str, based_on: int | None = None) -> Change:
    """Takes a setting out of the database. Raises as `put`; BadRequestError also where it is not there."""
    path_name = ".".join(_path(name))
    rows = _latest()
    if not any(row.name == path_name and row.after is not None for row in rows):
        known = ", ".join(row.name for row in rows if row.after is not None) or "none"
        raise BadRequestError(f"{name} is not set in the database, so there is nothing to unset. Set there: {known}.")
    _refuse_to_miss(name, rows)
    _refuse_to_share(name)
    return _recorded(name, None, who=who, based_on=based_on)


def undo(version: int | None = None, *, who: str) -> Change:
    """Undoes a change, None for the latest: its setting has the value from before it again.

    Raises UnknownChange; StaleChange where the setting was changed again since; BadRequestError, UnavailableError.
    """
    try:
        store = connections.recorded()
        latest = setting_changes.changes(store, limit=1)
        row = setting_changes.change_numbered(store, version) if version is not None else (latest[0] if latest else None)
    except NoTables:
        row = None
    except StoreError as error:
        raise UnavailableError(f"Nothing was undone: {error}.") from error
    if row is None:
        known = "there is none yet" if not version else "`marketfetch set --history` lists them"
        raise UnknownChange(f"There is no change {version or ''} of a setting: {known}.".replace("  ", " "))
    rows = _latest()
    if row.before is None:
        _refuse_to_miss(row.name, rows)
        _refuse_to_share(row.name)
    else:
        _refuse_to_bring_back(row, rows)
    return _recorded(row.name, row.before, who=who, based_on=row.version, undoes=row.version)


def history(name: str = "", *, limit: int = _SHOWN_CHANGES) -> list[Change]:
    """The latest changes, the newest first; only those of one setting, where one is named. Raises UnavailableError."""
    try:
        return [_change(row) for row in setting_changes.changes(connections.recorded(), name, limit=limit)]
    except NoTables:
        return []
    except StoreError as error:
        raise UnavailableError(f"The changes of settings can't be read: {error}.") from error


def where() -> str:
    """The database that keeps the changes, without a password."""
    return connections.recorded().database.where


def latest() -> list[Change]:
    """The latest change of each setting, by name. Raises UnavailableError."""
    return [_change(row) for row in _latest()]


def refuse_unknown(name: str) -> None:
    """Raises BadRequestError for a name that no setting has which can be changed at run time."""
    _path(name)


def takes_secret(name: str) -> bool:
    """True for a setting whose value is a secret, such as an API key. Raises BadRequestError."""
    return is_secret(_path(name), model())


def takes_list(name: str) -> bool:
    """True for a setting whose value is a list, such as limits. Raises BadRequestError."""
    return "list[" in repr(annotation_of(_path(name), model()))


def version_of(name: str) -> int:
    """The version of a setting: the number of its latest change, 0 without one. Raises UnavailableError."""
    return next((row.version for row in _latest() if row.name == name), 0)


def rotate() -> int:
    """Seals every secret of the database anew, with the first master key, in one transaction; returns how many rows changed.

    Raises UnavailableError, also for a secret that none of the master keys opens; then nothing changes.
    """
    keys, key = master_keys(), sealing_key()

    def anew(name: str, text: str) -> str:
        entry = json.loads(text)
        if "sealed" not in entry or entry["key_id"] == key.id:
            return text
        secret = opened(entry["sealed"], name=name, key_id=entry["key_id"], keys=keys)
        return json.dumps({**entry, "sealed": seal(secret, name=name, key=key), "key_id": key.id})

    try:
        return setting_changes.reseal(connections.store(), anew)
    except WrongMasterKey as error:
        raise UnavailableError(
            f"A secret can't be opened, so nothing was sealed anew: {error}. Give the old master key behind the new one."
        ) from None
    except StoreError as error:
        raise UnavailableError(f"Nothing was sealed anew: {error}.") from error


def _path(name: str) -> tuple[str, ...]:
    if len(name) > _LONGEST_NAME or not name.isprintable():
        raise WrongValueError(f"A setting's name has up to {_LONGEST_NAME} printable characters (got {name!r:.60}).")
    try:
        return path_of(name, model())
    except UnknownSetting as error:
        raise WrongValueError(str(error)) from None


def _latest() -> list[ChangeRow]:
    try:
        return setting_changes.latest_changes(connections.recorded())
    except NoTables:
        return []
    except StoreError as error:
        raise UnavailableError(f"The settings of the database can't be read: {error}.") from error


def _refuse_to_miss(name: str, rows: Sequence[ChangeRow]) -> None:
    left, _ = settings_in_force.stored_of([row for row in rows if row.name != name])
    try:
        read_with(left)
    except (SettingsError, UnknownSetting) as error:
        raise BadRequestError(f"{name} is needed by another setting: {error}") from None


def _refuse_to_share(name: str) -> None:
    """Without its owner a key would serve everyone's jobs. Raises BadRequestError."""
    path = _path(name)
    if path[0] == "providers" and path[2] == "key_owners" and path[3] in labels(path[1]):
        raise BadRequestError(
            f"{name} was not taken out: without it the key {path[3]!r} of an owner would serve the jobs of everyone without an "
            f"owner. Take the key out first: --unset providers.{path[1]}.api_keys.{path[3]}."
        )


def _refuse_to_bring_back(row: ChangeRow, rows: Sequence[ChangeRow]) -> None:
    before = ChangeRow(-row.version, row.name, row.changed_by, row.at_ms, None, None, row.before)
    found, unread = settings_in_force.stored_of([before])
    if unread:
        raise UnavailableError(f"Nothing was undone: {next(iter(unread.values()))}")
    others, _ = settings_in_force.stored_of(rows)
    try:
        refuse_wrong(found[0], others)
    except (SettingsError, UnknownSetting) as error:
        raise BadRequestError(f"Nothing was undone, as the value from before is wrong by now: {error}") from None


def _recorded(name: str, after: str | None, *, who: str, based_on: int | None, undoes: int | None = None) -> Change:
    try:
        row = setting_changes.add_change(
            connections.store(), name, after, changed_by=who, at_ms=_now_ms(), based_on=based_on, undoes=undoes
        )
    except ChangedMeanwhile as error:
        raise StaleChange(_change(error.latest)) from None
    except StoreError as error:
        raise UnavailableError(f"Nothing was changed: {error}.") from error
    announced = settings_in_force.announce(row.version)
    settings_in_force.refresh(now=True)
    return _change(row, announced=announced)


def _change(row: ChangeRow, *, announced: bool = True) -> Change:
    try:
        elsewhere = given_elsewhere(path_of(row.name, model()))
    except (UnknownSetting, SettingsError, KeyError):
        elsewhere = ""  # of a vendor that is not installed here, or of a newer release
    before, after = _shown(row.before), _shown(row.after)
    return Change(row.version, row.name, row.changed_by, row.at_ms, row.undoes, before, after, elsewhere, announced)


def _shown(text: str | None) -> Shown | None:
    if text is None:
        return None
    try:
        entry: Mapping[str, Any] = json.loads(text)
        return Shown(None if "sealed" in entry else entry["value"], "sealed" in entry)
    except (ValueError, KeyError, AttributeError, TypeError):
        return Shown("damaged", secret=False)


def _moment(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
