"""Passwords in files of their own, as containers get them: read once, percent-encoded, and put into a URL that has none.

So a password may have any character, and stands in no URL, command line or environment that a person writes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit

#: Schemes whose URLs have a place for a password before the host.
_SCHEMES: Final = ("redis", "rediss", "sentinel", "postgres", "postgresql")


class WrongPasswordFile(ValueError):
    """The file or the URL is not as needed. The sentence holds no password."""


def with_password(url: str, path: Path) -> str:
    """The URL with the password that stands in the file, whose last line break is no part of it. Raises WrongPasswordFile."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or "it is no UTF-8"
        raise WrongPasswordFile(f"{path} can't be read ({why}): write a password into it, readable for this user") from None
    password = text.removesuffix("\n").removesuffix("\r")
    if not password or "\n" in password or "\x00" in password:
        raise WrongPasswordFile(f"{path} holds no password: write it as the file's only line")
    scheme, colon, rest = url.partition("://")
    login, at, place = rest.rpartition("@")
    # Postgres may name its host, or the folder of a socket, in the query.
    if not colon or scheme not in _SCHEMES or not (urlsplit(f"//{place}").netloc or scheme.startswith("postgres")):
        raise WrongPasswordFile("the URL has no place for a password before a host: leave the file out")
    if ":" in login or ";" in rest:
        raise WrongPasswordFile("the URL has a password itself: leave it out there, or leave the file out")
    user = login if at else ""
    return f"{scheme}://{user}:{quote(password, safe='')}@{place}"
