"""What pydantic says of a value, in our words: the one place that translates it, for settings, wishes, messages, rejects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, get_args

from pydantic_core.core_schema import ErrorType

#: The words of an error type; {names} are those of the error's context. A type that is not here has words of its kind, below.
_WORDS: Final[Mapping[str, str]] = {
    "missing": "is missing",
    "extra_forbidden": "is not known here",
    "literal_error": "must be one of {expected}",
    "enum": "must be one of {expected}",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be {ge} or more",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be {le} or less",
    "finite_number": "must be a finite number",
    "string_too_short": "must have {min_length} characters or more",
    "string_too_long": "must have {max_length} characters or fewer",
    "too_short": "must have {min_length} entries or more",
    "too_long": "must have {max_length} entries or fewer",
    "string_unicode": "must be a text that UTF-8 can write",
    "string_pattern_mismatch": "is written in a way that is not known here",
    "model_type": "must be a table of names and values",
    "model_attributes_type": "must be a table of names and values",
    "none_required": "must be left out",
}
#: The same by the beginning of a type: int_parsing, int_type, int_from_float and so on.
_KINDS: Final = {
    "int": "must be a whole number",
    "float": "must be a number",
    "decimal": "must be a number",
    "bool": "must be true or false",
    "string": "must be a text",
    "bytes": "must be a text",
    "list": "must be a list",
    "tuple": "must be a list",
    "set": "must be a list",
    "frozen": "must be a list",
    "iterable": "must be a list",
    "dict": "must be a table of names and values",
    "mapping": "must be a table of names and values",
    "date": "must be a date such as 2024-01-31",
    "datetime": "must be a moment such as 2024-01-31T16:00:00Z",
    "time": "must be a time of day",
    "path": "must be the path of a file",
    "json": "must be JSON",
    "url": "must be a URL",
}


def in_words(error: Mapping[str, Any]) -> str:
    """The clause for one of `ValidationError.errors()`, to be put behind the name of what is wrong."""
    kind, context = str(error["type"]), error.get("ctx") or {}
    if kind in ("value_error", "assertion_error"):
        return str(error["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    words = _WORDS.get(kind) or _KINDS.get(kind.partition("_")[0])
    if words is None:
        # A PydanticCustomError of ours, or of a vendor's package, brings a sentence; the rest is named by its kind.
        return f"can't be used ({kind.replace('_', ' ')})" if kind in get_args(ErrorType) else str(error["msg"])
    return words.format_map({name: f"{one:g}" if isinstance(one, float) else one for name, one in context.items()})
