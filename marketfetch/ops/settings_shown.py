"""Every setting that can be changed at run time: its value, which source gives it, and its version. No secret is shown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel

from marketfetch import settings_in_force
from marketfetch.ops import changing_settings
from marketfetch.ops.changing_settings import Change
from marketfetch.settings import Settings, get_settings, model
from marketfetch.settings_of_database import given_elsewhere
from marketfetch.stored_settings import AT_RUN_TIME, KEYS, UnknownSetting, is_secret, path_of

Source = Literal["database", "elsewhere", "default"]


@dataclass(frozen=True, slots=True)
class SettingNow:
    """A setting that is in force or stands in the database. `value` is None for a secret.

    `source`: the database, "elsewhere" (TOML, the environment, a running sandbox: `where` names the place), or the default.
    `version` is that of its latest change, 0 without one; `latest` is that one. `wrong`: why the database's value is not used.
    """

    name: str
    value: Any
    secret: bool
    source: Source
    where: str
    version: int = 0
    latest: Change | None = None
    wrong: str = ""


def listed() -> list[SettingNow]:
    """Every setting, by name: those in force, and those of the database that wait behind TOML. Raises UnavailableError."""
    settings_in_force.refresh(now=True)
    latest: dict[str, Change] = {}
    for one in changing_settings.latest():
        latest[one.name] = one
    names = sorted({*_in_force(get_settings()), *(name for name, one in latest.items() if one.after is not None)})
    return [_now(name, latest.get(name)) for name in names]


def names() -> list[str]:
    """The names of all settings that have a value in this process, by name. Reads no database."""
    return sorted(_in_force(get_settings()))


def named(name: str) -> SettingNow:
    """One setting. Raises BadRequestError for a name that none has, UnavailableError."""
    changing_settings.refuse_unknown(name)
    settings_in_force.refresh(now=True)
    return _now(name, next((one for one in changing_settings.latest() if one.name == name), None))


def _now(name: str, latest: Change | None) -> SettingNow:
    stored = latest.after if latest else None
    wrong = settings_in_force.wrong().get(name, "")
    version = latest.version if latest else 0
    try:
        path = path_of(name, model())
        secret = is_secret(path, model())
        elsewhere = given_elsewhere(path)
    except (UnknownSetting, KeyError):
        return SettingNow(name, stored.value if stored else None, False, "database", "", version, latest, wrong)
    source: Source = "elsewhere" if elsewhere else "database" if stored and not wrong else "default"
    where = elsewhere or (f"set at run time by {latest.changed_by}" if latest and source == "database" else "by default")
    value = None if secret else _value(get_settings(), path)
    return SettingNow(name, value, secret, source, where, version, latest, wrong)


def _value(settings: Settings, path: tuple[str, ...]) -> Any:
    """The value in force, as JSON has it; None where there is none."""
    found: Any = settings.model_dump(mode="json", include={path[0]})
    for part in path:
        if isinstance(found, list):
            found = next((one for one in found if isinstance(one, dict) and one.get("name") == part), None)
        else:
            found = found.get(part) if isinstance(found, dict) else None
    return found


def _in_force(settings: Settings) -> Iterator[str]:
    """The names of all settings with a value: every field, and every entry of a table."""
    for name in AT_RUN_TIME:
        yield from _below(name, getattr(settings, name))


def _below(name: str, value: Any) -> Iterator[str]:
    if isinstance(value, BaseModel) and name.count(".") < 2:
        for field in type(value).model_fields:
            if field == KEYS:
                yield from (f"{name}.{KEYS}.{key.label}" for key in getattr(value, "keys", ()))
            else:
                yield from _below(f"{name}.{field}", getattr(value, field))
    elif isinstance(value, dict):
        yield from (f"{name}.{entry}" for entry in value)
    elif name == "schedule":
        yield from (f"{name}.{one.name}" for one in value)
    else:
        yield name
