"""Settings that stand in the database: which may stand there, and how they are laid under TOML and environment.

A name is that of the setting with dots, and one entry of a table is a setting of its own: `providers.VENDOR.limits`,
`providers.VENDOR.api_keys.main`, `universes.watchlist`, `schedule.nightly`. What TOML or the environment sets stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, get_origin

from pydantic import BaseModel, SecretStr

from marketfetch.suggestions import did_you_mean

if TYPE_CHECKING:
    from marketfetch.settings import Settings

#: What a process reads anew while it runs. All other settings are needed before the database can be asked, or at the start.
AT_RUN_TIME: Final = (
    *("providers", "universes", "schedule", "max_reject_share", "reject_share_min_rows"),
    *("most_idle_pages", "overlap_sessions", "stale_from_sessions", "whole_market_from"),
)
KEYS: Final = "api_keys"

Path = tuple[str, ...]


class UnknownSetting(ValueError):
    """No setting has this name, or it can't be changed at run time. The message is a sentence."""


@dataclass(frozen=True, slots=True)
class StoredSetting:
    """A setting as the database has it, a secret opened."""

    name: str
    value: Any
    version: int = 0
    changed_by: str = ""
    at_ms: int = 0

    def __repr__(self) -> str:
        return f"StoredSetting({self.name!r}, version={self.version})"  # the value may be a secret


def path_of(name: str, model: type[BaseModel]) -> Path:
    """The parts of a setting's name. A label may hold dots. Raises UnknownSetting."""
    first, *rest = name.split(".")
    if first not in AT_RUN_TIME and first in model.model_fields:
        raise UnknownSetting(f"{first} is read when a process starts: set it in marketfetch.toml or the environment.")
    path: list[str] = []
    kind: Any = model
    left = [first, *rest]
    while left and isinstance(kind, type) and issubclass(kind, BaseModel):
        part = left.pop(0)
        known = [one for one in kind.model_fields if path or one in AT_RUN_TIME]
        if part not in known:
            meant = did_you_mean(part, known, as_written=".".join([*path, "{}"]))
            raise UnknownSetting(f"{'.'.join([*path, part])} is no setting that can be changed at run time. {meant}".rstrip())
        path.append(part)
        kind = kind.model_fields[part].annotation
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        raise UnknownSetting(f"{name} is a section: name one of its settings, such as {name}.{next(iter(kind.model_fields))}.")
    if _has_entries(tuple(path), kind):
        entry = ".".join(left)
        if not entry:
            raise UnknownSetting(f"{name} has entries, each a setting of its own: name one, such as {name}.main.")
        return (*path, entry)
    if left:
        raise UnknownSetting(f"{'.'.join(path)} has no parts: set it as a whole.")
    return tuple(path)


def is_secret(path: Path, model: type[BaseModel]) -> bool:
    """True for a setting whose value is sealed in the database, and never shown."""
    return SecretStr.__name__ in repr(annotation_of(path, model))


def annotation_of(path: Path, model: type[BaseModel]) -> Any:
    """The type of the field at `path`, or of the table that it is an entry of."""
    kind: Any = model
    for part in path:
        if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
            break
        kind = kind.model_fields[part].annotation
    return kind


def given(own: Settings, path: Path) -> bool:
    """True where TOML, the environment or a sandbox gives this setting: then it wins."""
    if path[0] == "universes":
        return path[1] in own.universes
    if path[0] == "schedule":
        return any(one.name == path[1] for one in own.schedule)
    if path[0] != "providers":
        return path[0] in own.model_fields_set
    section = own.provider(path[1])
    if path[2] == KEYS:
        return any(key.label == path[3] for key in section.keys)
    if len(path) > 3:
        return path[3] in (getattr(section, path[2]) or {})
    return path[2] in section.model_fields_set


def laid_under(own: Settings, stored: Sequence[StoredSetting], model: type[BaseModel]) -> dict[str, Any]:
    """What the stored settings add to `own`, nested as arguments of the model: all but what is given there."""
    found: dict[str, Any] = {}
    for one in stored:
        path = path_of(one.name, model)
        if not given(own, path):
            put(found, path, one, own)
    return found


def put(found: dict[str, Any], path: Path, one: StoredSetting, own: Settings) -> None:
    """Adds a setting to nested arguments; a list has the entries of `own` with other names before it."""
    if path[0] == "schedule":
        schedules = found.setdefault("schedule", [each for each in own.schedule if each.name != path[1]])
        schedules.append({**(one.value if isinstance(one.value, dict) else {}), "name": path[1]})
        return
    table = found
    for part in path[:-1]:
        if part == KEYS:
            break
        table = table.setdefault(part, {})
    if path[0] != "providers" or path[2] != KEYS:
        table[path[-1]] = one.value
        return
    # A key that stands in TOML under another label stays as it is there.
    theirs = [key for key in own.provider(path[1]).keys if key.label != path[3]]
    keys = table.setdefault(KEYS, [f"{key.label}:{key.secret.get_secret_value()}" for key in theirs])
    keys.append(f"{path[3]}:{one.value}")


def in_turn(stored: Sequence[StoredSetting]) -> list[StoredSetting]:
    """The keys first, as other settings name them by their labels; then by name."""
    return sorted(stored, key=lambda one: (f".{KEYS}." not in one.name, one.name))


def merged(first: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Nested arguments with those of `over` on top: tables are merged, everything else is replaced."""
    found = dict(first)
    for name, value in over.items():
        mine = found.get(name)
        found[name] = merged(mine, value) if isinstance(mine, Mapping) and isinstance(value, Mapping) else value
    return found


def _has_entries(path: Path, kind: Any) -> bool:
    return path[-1] in (KEYS, "schedule") or get_origin(kind) is dict
