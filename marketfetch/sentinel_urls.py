"""A URL of several Sentinels, taken apart: kombu and Celery write one URL per host, other clients one with all hosts.

`sentinel://:pw@h1:26379,h2:26379/0?master_name=m`, `sentinel://:pw@h1:26379/0;sentinel://:pw@h2:26379/0?master_name=m` and
`sentinel://:pw@h1,h2/m/0` are the same.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote, urlsplit

_PORT: Final = 26379
_SCHEME: Final = "sentinel://"


class WrongRedisUrl(ValueError):
    """The URL would fail in a part of marketfetch. The sentence has the right spelling, and no password."""


def take_apart(url: str) -> tuple[tuple[tuple[str, int], ...], str]:
    """Returns host and port of every Sentinel, and the rest as a URL with the first host alone.

    Raises WrongRedisUrl with a clause that has no part of the URL but its parameters' names, ValueError where a host is none.
    """
    hosts: list[tuple[str, int]] = []
    logins: set[str] = set()
    paths: set[str] = set()
    queries: set[str] = set()
    for one in url.split(";"):
        whole, _, query = one.removeprefix(_SCHEME).partition("?")
        place, _, path = whole.rpartition("@")[2].partition("/")
        logins.add(whole.rpartition("@")[0])
        paths.add(path.strip("/"))
        queries.add(query)
        hosts += [_host(name) for name in place.split(",")]
    # Celery takes login and database of the first URL, whatever the others say.
    (login, *more), (path, *longer), (query, *others) = (sorted(some - {""}) or [""] for some in (logins, paths, queries))
    if more or longer or others:
        raise WrongRedisUrl("has hosts with different logins, databases or parameters")
    name, _, database = path.rpartition("/")
    if path and not name and not re.fullmatch("[0-9]+", path):
        name, database = path, ""
    if name:
        if "master_name=" in query:
            raise WrongRedisUrl("names the master twice")
        query = f"{query}&master_name={quote(name, safe='%')}".lstrip("&")
    return tuple(hosts), f"{_SCHEME}{login}{'@' if login else ''}{spelled(*hosts[0])}/{database}{'?' if query else ''}{query}"


def spelled(host: str, port: int) -> str:
    """Returns host and port as they stand in a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _host(text: str) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    if not parts.hostname or parts.port == 0:
        raise ValueError("no host")
    return parts.hostname, parts.port or _PORT
