"""The documents of settings that can be changed at run time, and of their changes. None has a secret in it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from typing_extensions import TypedDict

if TYPE_CHECKING:
    from marketfetch.ops.changing_settings import Change, Shown
    from marketfetch.ops.settings_shown import SettingNow


class SettingDocument(TypedDict):
    """A setting: `value` in force (null for a secret), the `source` that gives it (`database`, `elsewhere`, `default`), and
    `where` that is, in words; `version` for If-Match. `stored`: the database's value, which may wait behind `elsewhere`."""

    name: str
    value: Any
    secret: bool
    source: str
    where: str
    version: int
    stored: Any
    changed_by: str | None
    changed_at: str | None
    wrong: str | None


class SettingsDocument(TypedDict):
    """Every setting that can be changed at run time, by name."""

    settings: list[SettingDocument]


class ChangeDocument(TypedDict):
    """A change: by whom and when, the values before and after (null for none; of a secret the word "hidden"), and which
    change it undoes. `waits_behind`: where TOML or the environment gives the setting, so that the change is not in force."""

    version: int
    name: str
    changed_by: str
    changed_at: str
    before: Any
    after: Any
    undoes: int | None
    waits_behind: str | None
    announced: bool


class ChangesDocument(TypedDict):
    """Changes of settings, the newest first."""

    changes: list[ChangeDocument]


class NewMasterKey(TypedDict):
    """A new master key, which is stored nowhere."""

    master_key: str


class SealedAnew(TypedDict):
    """How many secrets of the database the first master key has sealed anew."""

    sealed: int


def setting_document(one: SettingNow) -> SettingDocument:
    stored = one.latest if one.latest and one.latest.after else None
    return {
        "name": one.name,
        "value": one.value,
        "secret": one.secret,
        "source": one.source,
        "where": one.where,
        "version": one.version,
        "stored": _value(stored.after) if stored else None,
        "changed_by": one.latest.changed_by if one.latest else None,
        "changed_at": _iso(one.latest.at_ms) if one.latest else None,
        "wrong": one.wrong or None,
    }


def settings_document(found: Sequence[SettingNow]) -> SettingsDocument:
    return {"settings": [setting_document(one) for one in found]}


def change_document(one: Change) -> ChangeDocument:
    return {
        "version": one.version,
        "name": one.name,
        "changed_by": one.changed_by,
        "changed_at": _iso(one.at_ms),
        "before": _value(one.before),
        "after": _value(one.after),
        "undoes": one.undoes,
        "waits_behind": one.elsewhere or None,
        "announced": one.announced,
    }


def changes_document(found: Sequence[Change]) -> ChangesDocument:
    return {"changes": [change_document(one) for one in found]}


def _value(shown: Shown | None) -> Any:
    if shown is None:
        return None
    return "hidden" if shown.secret else shown.value


def _iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat()
