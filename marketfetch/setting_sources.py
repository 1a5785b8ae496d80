"""From where a value of the settings comes, and how messages name that place. Values are arguments: no source is read here.

The sources in their order: the note of a running sandbox, the environment, marketfetch.toml, the vendors' own variables, the
database. The first one that holds a value wins, setting by setting: so the place of a value is that of the first source that
holds its path.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin

from pydantic import BaseModel

from marketfetch.sections import bare_label
from marketfetch.stored_settings import StoredSetting, merged
from marketfetch.toml_lines import line_of

PREFIX: Final = "MARKETFETCH_"

Location = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """What one source gives, nested as in marketfetch.toml. Subclasses know how to name a place in it."""

    values: Mapping[str, Any]

    def holds(self, path: Location) -> bool:
        """True if this source gives a value, or a part of a table, at this path."""
        found: Any = self.values
        for part in path:
            if isinstance(found, Mapping) and part in found:
                found = found[str(part)]
            elif isinstance(found, list) and isinstance(part, int) and part < len(found):
                found = found[part]
            else:
                return False
        return True

    def place(self, path: Location) -> str:
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class SandboxNote(Source):
    """What a running `marketfetch up --sandbox` overrides."""

    def place(self, path: Location) -> str:  # noqa: ARG002
        return "given by the running `marketfetch up --sandbox`"


@dataclass(frozen=True, slots=True)
class Environment(Source):
    """The MARKETFETCH_ variables; `variables` are their names as they are spelled."""

    variables: tuple[str, ...]

    def place(self, path: Location) -> str:
        # A list has one variable, not one for each entry; a variable may also hold a whole table as JSON.
        parts = [str(one).upper() for one in path if isinstance(one, str)]
        spelled = {one.upper(): one for one in self.variables}
        for length in range(len(parts), 0, -1):
            if (name := PREFIX + "__".join(parts[:length])) in spelled:
                return f"in the environment: {spelled[name]}"
        below = sorted(name for name in spelled if name.startswith(PREFIX + "__".join(parts)))
        return f"in the environment: {', '.join(spelled[one] for one in below) or PREFIX}"


@dataclass(frozen=True, slots=True)
class TomlFile(Source):
    """The settings file."""

    path: Path
    text: str

    def place(self, path: Location) -> str:
        line = line_of(self.text, path)
        return f"in {self.path}, line {line}" if line else f"in {self.path}"


@dataclass(frozen=True, slots=True)
class OwnVariables(Source):
    """The variables that the vendors' own clients read; `chosen` is the name of the one that is used, by vendor."""

    chosen: Mapping[str, str]

    def place(self, path: Location) -> str:
        return f"in the environment: {self.chosen[str(path[1])]}"


@dataclass(frozen=True, slots=True)
class StoredValues(Source):
    """What the database adds; `stored` are the settings that it has there, or the one that is given now."""

    stored: tuple[StoredSetting, ...]

    def place(self, path: Location) -> str:
        name = ".".join(str(part) for part in path)
        near = [one for one in self.stored if one.name == name or one.name.startswith(f"{name}.") or name.startswith(one.name)]
        if any(not one.changed_by for one in near):
            return "as it is given now"
        by = sorted({f"{one.name} by {one.changed_by}" for one in near})
        return f"set at run time {', '.join(by)}" if by else "set at run time"


def place(sources: Sequence[Source], path: Location) -> str:
    """Returns the place of the value at `path`, or of the nearest table above it that a source gives; "" if none gives any."""
    for length in range(len(path), 0, -1):
        for one in sources:
            if one.holds(path[:length]):
                return one.place(path[:length])
    return ""


def places(sources: Sequence[Source], path: Location, message: str) -> str:
    """The same for an error at `path`. If that is a table, the values are meant that the message names.

    `<vendor>.plan: there is no plan ...` names one at its beginning, `end_by must be longer than call` two in its text.
    """
    beginning = re.match(r"([\w.]+): ", message)
    if beginning:
        named = (*path, *beginning[1].split("."))
        if any(one.holds(named) for one in sources):
            return place(sources, named)
    names = {name for one in sources for name in _table(one.values, path) if re.search(rf"\b{re.escape(name)}\b", message)}
    found = {name: place(sources, (*path, name)) for name in sorted(names)}
    if len(set(found.values())) > 1:
        return "; ".join(f"{name} {where}" for name, where in found.items())
    return next(iter(found.values()), "") or place(sources, path)


def _table(values: Any, path: Location) -> Iterable[str]:
    for part in path:
        values = values.get(part) if isinstance(values, Mapping) else None
    return [str(name) for name in values] if isinstance(values, Mapping) else ()


class UnreadableVariable(ValueError):
    """A variable's text is none that can be read. `variable` is its name as it is spelled, `fault` the end of a sentence."""

    def __init__(self, variable: str, fault: str) -> None:
        super().__init__(f"{variable} {fault}")
        self.variable = variable
        self.fault = fault


def variables(model: type[BaseModel], environment: Mapping[str, str]) -> dict[str, Any]:
    """Returns what the MARKETFETCH_ variables give, nested as arguments of `model`. Raises UnreadableVariable.

    A name is that of the setting with "__" between its parts, in either case. Lists and tables are JSON, but a single API key,
    or names of modules, stand as they are. A variable of a whole section lies under those of its settings.
    """
    found: dict[str, Any] = {}
    for variable in sorted((one for one in environment if one.upper().startswith(PREFIX)), key=lambda one: one.count("__")):
        path = variable[len(PREFIX) :].lower().split("__")
        kind = _kind(model, path)
        if kind is not None:
            value = _value(kind, path[-1], environment[variable], variable)
            for part in reversed(path):
                value = {part: value}
            found = merged(found, value)
    return found


def _kind(model: type[BaseModel], path: Sequence[str]) -> Any:
    """The type of the setting at `path`, None if there is none. An entry of a table has the type of the table's values."""
    kind: Any = model
    for part in path:
        if kind is Any:
            break  # a table of another library's: what stands in it is theirs
        if get_origin(kind) is dict:
            kind = get_args(kind)[1]
        elif isinstance(kind, type) and issubclass(kind, BaseModel) and part in kind.model_fields:
            kind = kind.model_fields[part].annotation
        else:
            return None
    return kind


def _value(kind: Any, name: str, text: str, variable: str) -> Any:
    """What a variable's text stands for. Raises UnreadableVariable."""
    plain = text.strip()
    if name == "include" and plain[:1] not in ("[", '"'):
        return [one for one in re.split(r"[,\s]+", plain) if one]  # as Celery's own --include
    if not _is_json(kind) or not text:
        return text
    if name == "api_keys" and plain[:1] not in ("[", "{", '"'):
        if re.search(r"[,;\s]", plain):
            # Half of a key that holds a comma would be sent as a key: a guess is no option.
            fault = "holds a comma, a semicolon or a blank, so it may be several keys. Write several keys as a JSON list"
            raise UnreadableVariable(variable, fault)
        return [plain]
    one_of_several = kind is Any or get_origin(kind) in (Union, UnionType)
    try:
        found = json.loads(plain)
    except ValueError:
        if one_of_several:
            return text  # as a text it may be right; the model says what is wrong
        raise UnreadableVariable(variable, "is not valid JSON. Write lists and tables as JSON") from None
    if one_of_several and not isinstance(found, list | dict | None):
        return text
    # Some shells and files keep the quotes around a value.
    return [found] if name == "api_keys" and isinstance(found, str) else found


def _is_json(kind: Any) -> bool:
    """True for a list, a table or a section, also as one type of several."""
    if kind is Any:
        return True
    if get_origin(kind) in (Union, UnionType, Annotated):
        return any(_is_json(one) for one in get_args(kind))
    found = get_origin(kind) or kind
    return isinstance(found, type) and issubclass(found, list | tuple | dict | BaseModel)


def own_variables(by_vendor: Mapping[str, Sequence[str]], environment: Mapping[str, str]) -> OwnVariables:
    """Returns for each vendor the key in the first of its variables that is set and not empty.

    The whole text is the secret: a colon divides no label from it. The label is that of a bare secret, so that a key keeps its
    history of calls when it moves into the settings.
    """
    chosen: dict[str, str] = {}
    providers: dict[str, Any] = {}
    for vendor, variables in by_vendor.items():
        for one in variables:
            if secret := environment.get(one, "").strip():
                chosen[vendor] = one
                providers[vendor] = {"api_keys": [f"{bare_label(secret)}:{secret}"]}
                break
    return OwnVariables({"providers": providers} if providers else {}, chosen)
