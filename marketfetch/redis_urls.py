"""Which Redis URLs work in every process: redis-py, kombu and Celery each read a URL in their own way.

A URL that one of them refuses, or reads as another database, would stop workers long after `fetch` has accepted a job. So every
process takes the URL through `checked`, and sends Celery's two parts what they understand (tasks/celery_redis.py).
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import SplitResult, parse_qsl, urlsplit

from redis.connection import parse_url

from marketfetch.storage import safe_url
from marketfetch.suggestions import did_you_mean

#: The parameters of a Redis on TLS. Others of redis-py are no text, or need a package of their own.
TLS: Final = (
    *("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile", "ssl_password"),
    *("ssl_cert_reqs", "ssl_check_hostname", "ssl_ciphers", "ssl_min_version"),
)
_FORMS: Final = {
    "redis": "redis://user:password@host:6379/0",
    "rediss": "rediss://user:password@host:6379/0?ssl_ca_certs=/path/to/ca.pem",
    "unix": "unix:///path/to/redis.sock?db=0&password=PASSWORD",
}
_PARAMETERS: Final = {"redis": ("db",), "rediss": ("db", *TLS), "unix": ("db", "password", "username")}
#: Other names for the same, as kombu and Celery write them.
_OTHER_SCHEMES: Final = {
    "redis+socket": "unix",
    "socket": "unix",
    "redis+tls": "rediss",
    "valkey": "redis",
    "valkeys": "rediss",
}
_VERIFICATIONS: Final = ("required", "optional", "none")


class WrongRedisUrl(ValueError):
    """The URL would fail in a part of marketfetch. The sentence has the right spelling, and no password."""


def checked(url: str) -> str:
    """Returns the URL as redis-py reads it; raises WrongRedisUrl where redis-py, kombu and Celery would not all do the same."""
    # Celery's spelling of the verification, which redis-py does not know.
    url = re.sub(r"(?<=[?&]ssl_cert_reqs=)CERT_(?=\w)\w+", lambda found: found[0].removeprefix("CERT_").lower(), url.strip())
    shown = safe_url(url).partition("?")[0]
    try:
        parts = urlsplit(url)
        port_is_a_number = parts.port is None or parts.port > 0
    except ValueError:  # its text may hold a part of the password
        port_is_a_number, parts = False, urlsplit(f"{url.partition(':')[0]}://")
        shown = shown if "@" in shown else f"{parts.scheme}://***"  # a login without its host
    form = _FORMS.get(parts.scheme)
    if form is None:
        meant = _OTHER_SCHEMES.get(parts.scheme, "redis")
        raise WrongRedisUrl(f"{shown} is no URL of a Redis: write {_FORMS[meant]}")
    if "#" in url or "@" in parts.query or not port_is_a_number:
        raise WrongRedisUrl(
            f"{shown} is no URL of a Redis: write {form}, and in user and password %23 for #, %2F for /, %3A for :, %3F for ? "
            "and %40 for @"
        )
    if problem := _database(parts) or _parameters(parts):
        raise WrongRedisUrl(f"{shown} {problem}: write {form}")
    try:
        parse_url(url)  # type: ignore[no-untyped-call]
    except ValueError:
        raise WrongRedisUrl(f"{shown} has a parameter with a wrong value: write {form}") from None
    return url


def _database(parts: SplitResult) -> str:
    """Says what is wrong with the place of the database's number, "" if nothing is."""
    if parts.scheme == "unix":
        if parts.hostname or not parts.path.strip("/"):
            return "names no socket by its whole path"
    elif not re.fullmatch(r"/?[0-9]*", parts.path):
        return "ends with something else than the number of a database"
    elif "db=" in parts.query and parts.path.strip("/"):
        return "names the database twice"
    return ""


def _parameters(parts: SplitResult) -> str:
    """Says which parameter workers could not use, "" if there is none."""
    given, known = parse_qsl(parts.query, keep_blank_values=True), _PARAMETERS[parts.scheme]
    for name, value in given:
        if name in TLS and parts.scheme == "redis":
            return f"has the parameter {name}, which belongs to rediss://"
        if name not in known:
            meant = did_you_mean(name, known, as_written="{!r}")
            return f"has the parameter {name!r}, which workers can't use{f' ({meant})' if meant else ''}"
        if not value or [one for one, _ in given].count(name) > 1:
            return f"has the parameter {name} without a value, or twice"
        if name == "ssl_cert_reqs" and value not in _VERIFICATIONS:
            return f"has an ssl_cert_reqs that is none of {', '.join(_VERIFICATIONS)}"
    return ""
