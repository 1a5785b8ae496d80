"""Every secret is cut out of what is logged, shown or kept, in whatever spelling it comes back.

A vendor may echo a key percent-encoded (once or twice), with JSON's or HTML's escapes, half of it in one spelling and half in
another, or in base64. One pattern a secret knows them all. Rows are never touched: they are parsed from the bytes as they
came, so a key that equals a symbol or a number changes nothing that is stored.
"""

from __future__ import annotations

import base64
import logging
import re
import string
from collections.abc import Iterable, Sequence
from functools import lru_cache
from html.entities import html5
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

if TYPE_CHECKING:
    from structlog.typing import EventDict, WrappedLogger

CUT: Final = "[secret]"
#: The signs of HTML's and JSON's escapes, which may be percent-encoded themselves.
_AMPERSAND, _HASH, _SEMICOLON, _BACKSLASH = (
    rf"(?:{re.escape(one)}|%(?:25)*(?i:{ord(one):x}))" for one in ("&", "#", ";", "\\")
)
#: Each level of JSON inside JSON doubles them. Bounded, as a text of nothing else would be searched again at each of them.
_BACKSLASHES: Final = f"{_BACKSLASH}{{1,16}}"
#: The two characters of base64 that a URL or JSON spells in other ways.
_IN_BASE64: Final = {
    "+": r"(?:[+\-]|%(?:25)*2[bB]|\\{1,16}u002[bB])",
    "/": r"(?:[/_]|%(?:25)*2[fF]|\\{1,16}/|\\{1,16}u002[fF])",
}
#: So many characters of a secret are looked for first.
_BEGINNING: Final = 4
#: Shorter runs of base64 would hit words by accident.
_SHORTEST_BASE64: Final = 8
#: Also cuts the value of anything that looks like a key in a URL, ours or not.
_IN_URL: Final = re.compile(
    r"(?i)\b((?:api|access|auth|secret)?[_\-]?(?:key|token)|auth|password|sig(?:nature)?)(=|%3D)(?!\[secret\])[^&\s\"'<>\\]+"
)
#: HTML's names of the characters that a key can hold: &quot; and &QUOT; and, as browsers read it, &quot.
_NAMED_ENTITIES: Final = {
    one: sorted((name for name, stands_for in html5.items() if stands_for == one), key=len, reverse=True)
    for one in string.punctuation
}


def redact(text: str, secrets: Iterable[str]) -> str:
    """The text without these secrets, in any spelling."""
    pattern = _pattern(tuple(secrets), text)
    return pattern.sub(CUT, text) if pattern else text


def redact_bytes(data: bytes, secrets: Iterable[str]) -> bytes:
    """The same for the body of a reply that is kept for a person to look at."""
    # latin-1 gives every byte a character of its own, so that nothing else in the body changes.
    text = data.decode("latin-1")
    pattern = _pattern(tuple(secrets), text)
    return pattern.sub(CUT, text).encode("latin-1") if pattern else data


def passwords(url: str) -> set[str]:
    """Returns the password of a URL as it stands there and decoded; the user if there is none, as it may be a token."""
    userinfo, at, _ = url.partition("://")[2].rpartition("@")
    user, colon, password = userinfo.partition(":")
    secret = password if colon else user
    return {secret, unquote(secret)} if at else set()


class Redactor:
    """A structlog processor: no string of an event, however deep, leaves with a secret in it."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = tuple(secrets)
        redact("", self._secrets)  # before a worker forks its children, each of which would compile the pattern

    def add(self, secrets: Iterable[str]) -> None:
        """These secrets are cut out too; those of before still are."""
        self._secrets = tuple(sorted({*self._secrets, *secrets}, key=len, reverse=True))

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        return {key: self._clean(value) for key, value in event.items() if value is not None}

    def _clean(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {key: self._clean(one) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return [self._clean(one) for one in value]
        # structlog passes the stdlib record along; it is removed before rendering.
        if isinstance(value, int | float | bool | logging.LogRecord):
            return value
        return self.text(str(value))

    def text(self, text: str) -> str:
        """The text without any configured secret, and without the value of anything that looks like a key in a URL."""
        return _IN_URL.sub(rf"\1\2{CUT}", redact(text, self._secrets))


def _pattern(secrets: tuple[str, ...], text: str) -> re.Pattern[str] | None:
    """All secrets in all spellings; None if the text has not even the beginning of one.

    Compiling the whole pattern takes 0.1 s of CPU, its beginnings a tenth of that. Most processes see no secret in any text.
    """
    if not any(secrets):
        return None
    return _compiled(secrets, None) if _compiled(secrets, _BEGINNING).search(text) else None


@lru_cache(maxsize=64)
def _compiled(secrets: tuple[str, ...], characters: int | None) -> re.Pattern[str]:
    """The first `characters` of each secret, in all spellings. The longest first, so that one inside another is cut whole."""
    ordered = sorted({one for one in secrets if one}, key=len, reverse=True)
    spelled = [part for secret in ordered for part in (_escaped(secret), *_in_base64(secret))]
    parts = ["".join(one[:characters]) for one in spelled]
    # Most places of a text begin no secret: one look at a character tells.
    first = {one[0] for one in ordered} | {"%", "\\", "&", "+"} | {char for part in parts for char in part[:1] if char != "("}
    return re.compile(f"(?=[{''.join(re.escape(one) for one in sorted(first))}/_-])(?:{'|'.join(parts)})")


def _escaped(secret: str) -> list[str]:
    """Patterns for the secret's characters in a row, each of which may be escaped in a way of its own.

    A run of backslashes is one part, as escaping doubles them: two parts in a row would share a long run in too many ways.
    """
    parts = []
    for one, run in groupby(secret):
        length = len(list(run))
        if one == "\\":
            parts.append(f"(?:{_BACKSLASH}{{{length},{16 * length}}}|(?:{_character(one)}){{{length}}})")
        else:
            parts += [_character(one)] * length
    return parts


@lru_cache(maxsize=256)
def _character(one: str) -> str:
    # An ampersand may be escaped itself, again and again: &amp;#43;
    entity = f"{_AMPERSAND}(?:amp{_SEMICOLON})*"
    spellings = [rf"{entity}{_HASH}{name}{_SEMICOLON}?" for name in (rf"0*{ord(one)}", rf"[xX]0*(?i:{ord(one):x})")]
    spellings += [entity + name.replace(";", _SEMICOLON) for name in _NAMED_ENTITIES.get(one, ())]
    spellings += [_percent(one), _json(one), rf"{_BACKSLASHES}x(?i:{ord(one):02x})"]
    if one == " ":
        spellings.append(rf"(?:\+|{_percent('+')})")
    if one in "\"'/":
        spellings.append(f"{_BACKSLASHES}(?:{one}|{_percent(one)})")
    return f"(?:{'|'.join((*spellings, re.escape(one)))})"


def _percent(one: str) -> str:
    """Percent-encoded any number of times: %2B, %252B, %25252B."""
    return "".join(rf"%(?:25)*(?i:{byte:02x})" for byte in one.encode())


def _json(one: str) -> str:
    r"""JSON's \u escape of each UTF-16 unit, also where the JSON stands as text inside JSON."""
    units = one.encode("utf-16-be")
    return "".join(rf"{_BACKSLASHES}u(?i:{units[i]:02x}{units[i + 1]:02x})" for i in range(0, len(units), 2))


def _in_base64(secret: str) -> Sequence[list[str]]:
    """Patterns for the characters of the secret inside any base64 text: three alignments, both alphabets."""
    found = []
    for before in range(3):
        packed = base64.b64encode(b"\0" * before + secret.encode()).decode().rstrip("=")
        # The first characters hold bits of what stands before, the last one bits of what follows.
        whole = packed[(0, 2, 3)[before] :]
        core = whole if (before + len(secret.encode())) % 3 == 0 else whole[:-1]
        if len(core) >= _SHORTEST_BASE64:
            found.append([_IN_BASE64.get(one, one) for one in core])
    return found
