"""Sentences about wrong settings: the setting, what is wrong, what was perhaps meant, and where the value was read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, get_args, get_origin

from pydantic import BaseModel, ValidationError

from marketfetch.setting_sources import PREFIX, Source, places
from marketfetch.suggestions import did_you_mean
from marketfetch.validation_words import in_words
from marketfetch.vendors.protocol import BASE_URL

#: A setting whose name holds one of these may have a secret as its value.
_SECRET: Final = ("key", "url", "proxy", "secret", "password")
#: How a prefix of Redis keys is written: it stands in patterns and in names of channels.
REDIS_PREFIX: Final = r"^([A-Za-z0-9][A-Za-z0-9_.-]{0,63})?$"
_PATTERNS: Final = {
    BASE_URL: "must begin with https:// or http://, and have no user, question mark or # in it",
    REDIS_PREFIX: "must begin with a letter or a digit, and go on with letters, digits, _ . or -, 64 characters at most",
}


def sentence(error: ValidationError, model: type[BaseModel], sources: Sequence[Source]) -> str:
    """Returns a clause for each error: setting, fault, suggestion, place. Quotes a value only if it can't be a secret."""
    clauses = []
    for one in error.errors(include_url=False, include_input=True):
        path = ".".join(str(part) for part in one["loc"])
        message = _PATTERNS.get((one.get("ctx") or {}).get("pattern", ""), "") or in_words(one)
        clause = f"{path}: {message}"
        if one["type"] == "extra_forbidden":
            parents = [str(part) for part in one["loc"][:-1]]
            siblings = [name.split("__")[-1] for name, _ in fields(model) if name.split("__")[:-1] == parents]
            meant = did_you_mean(str(one["loc"][-1]), siblings, as_written=".".join([*parents, "{}"]))
            clause = f"{path} is no setting of marketfetch. {meant}".rstrip()
        elif one["type"] == "literal_error":
            meant = did_you_mean(str(one["input"]), _choices(path, model), as_written="{!r}")
            clause += f", not {one['input']!r}. {meant}".rstrip()
        elif isinstance(one["input"], int | float | str) and not any(word in path for word in _SECRET):
            clause += "" if repr(one["input"]) in message else f", got {one['input']!r}"
        where = places(sources, one["loc"], message)
        clauses.append(f"{clause} ({where})" if where else clause)
    return "; ".join(clauses)


def unknown_variable(variables: Iterable[str], model: type[BaseModel]) -> str:
    """Returns the sentence about the first MARKETFETCH_ variable that is no setting, "" if each is one."""
    known = dict(fields(model))
    free = [name for name, annotation in known.items() if get_origin(annotation) is dict]
    for variable in variables:
        if not variable.upper().startswith(PREFIX):
            continue
        name = variable[len(PREFIX) :].lower()
        # The names in a table such as key_limits are the user's own.
        if name in known or name.startswith(tuple(f"{one}__" for one in free)):
            continue
        meant = did_you_mean(name.upper(), [one.upper() for one in known], as_written=f"{PREFIX}{{}}")
        meant = meant or "See marketfetch.toml.example for every name."
        return f"the environment variable {variable} is no setting of marketfetch. {meant}"
    return ""


def fields(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yields every setting and section: the name of its variable in lower case, and its annotation."""
    for name, field in model.model_fields.items():
        yield f"{prefix}{name}", field.annotation
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from fields(field.annotation, f"{prefix}{name}__")


def _choices(path: str, model: type[BaseModel]) -> list[str]:
    found: Any = model
    for part in path.split("."):
        # A number is a place in a list, of whose items the annotation says the type.
        found = get_args(found)[0] if part.isdigit() else found.model_fields[part].annotation
    return [str(choice) for choice in get_args(found)]
