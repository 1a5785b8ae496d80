"""Which Redis a URL names, for redis-py, kombu and Celery alike: each of them reads a URL in its own way.

A URL that one of them refuses, or reads as another database, would stop workers long after `fetch` has accepted a job. So every
process takes the URL through `read`, and gives each library what it understands: redis-py by marketfetch/redis_clients.py,
kombu and Celery by tasks/celery_redis.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

from marketfetch.sentinel_urls import WrongRedisUrl, spelled, take_apart
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
    "sentinel": "sentinel://user:password@host1:26379,host2:26379/0?master_name=mymaster",
}
#: The parameters that belong to Sentinel itself; the others belong to the servers that it watches.
_OF_SENTINEL: Final = ("master_name", "sentinel_username", "sentinel_password")
_PARAMETERS: Final = {
    "redis": ("db",),
    "rediss": ("db", *TLS),
    "unix": ("db", "password", "username"),
    "sentinel": ("db", *_OF_SENTINEL, *TLS),
}
#: Other names for the same, as kombu, Celery and other clients write them.
_OTHER_SCHEMES: Final = {
    "redis+socket": "unix",
    "socket": "unix",
    "redis+tls": "rediss",
    "valkey": "redis",
    "valkeys": "rediss",
    "redis+sentinel": "sentinel",
    "redis-sentinel": "sentinel",
}
_OTHER_PARAMETERS: Final = {"virtual_host": "db", "sentinel_master": "master_name"}
_VERIFICATIONS: Final = ("required", "optional", "none")


@dataclass(frozen=True, slots=True)
class RedisUrl:
    """`text` is the URL in the first of its spellings, which `read` returns unchanged; it may hold passwords.

    `options` are redis-py's for a connection to the server: login, `db`, TLS and the address; behind Sentinel no address.
    `sentinels` are host and port of each, `master` is the name under which they know the server, `sentinel_login` are username
    and password for themselves.
    """

    text: str
    options: Mapping[str, Any]
    sentinels: tuple[tuple[str, int], ...] = ()
    master: str = ""
    sentinel_login: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"RedisUrl({self.shown!r})"

    @property
    def scheme(self) -> str:
        return self.text.partition(":")[0]

    @property
    def shown(self) -> str:
        """The URL for messages, without a password."""
        return safe_url(self.text)

    @property
    def is_near(self) -> bool:
        """True if no network lies between: a Unix socket, or a loopback address."""
        host = str(self.options.get("host", "localhost"))
        return self.scheme == "unix" or (not self.sentinels and host in ("localhost", "127.0.0.1", "::1"))

    @property
    def tls(self) -> dict[str, Any] | None:
        """The options of TLS, None without it. The certificate is verified unless they say otherwise."""
        found = {name: value for name, value in self.options.items() if name.startswith("ssl_")}
        return {"ssl_cert_reqs": "required", **found} if found or self.scheme == "rediss" else None


def is_of_redis(scheme: str) -> bool:
    """True for the scheme of a URL that `read` takes."""
    return scheme in _FORMS or scheme in _OTHER_SCHEMES


def read(url: str) -> RedisUrl:
    """Returns the Redis that this URL names. Raises WrongRedisUrl where the libraries would not all use the same."""
    shown = safe_url(url).partition("?")[0]
    url = _in_our_words(url.strip())
    scheme = url.partition(":")[0]
    form = _FORMS.get(scheme)
    if form is None or "://" not in url:
        raise WrongRedisUrl(f"{shown} is no URL of a Redis: write {_FORMS['redis']}")
    wrong = WrongRedisUrl(
        f"{shown if '@' in shown else f'{scheme}://***'} is no URL of a Redis: write {form}, and in user and password "
        "%23 for #, %2C for a comma, %2F for /, %3A for :, %3B for a semicolon, %3F for ? and %40 for @"
    )
    sentinels: tuple[tuple[str, int], ...] = ()
    try:
        if scheme == "sentinel":
            sentinels, url = take_apart(url)
        parts = urlsplit(url)
        if "#" in url or "@" in parts.query or parts.port == 0:
            raise wrong
    except WrongRedisUrl as error:
        raise wrong if error is wrong else WrongRedisUrl(f"{shown} {error}: write {form}") from None
    except ValueError:  # its text may hold a part of the password
        raise wrong from None
    if problem := _database(parts) or _parameters(parts):
        raise WrongRedisUrl(f"{shown} {problem}: write {form}")
    try:
        return _read(url, parts, sentinels)
    except ValueError:
        raise WrongRedisUrl(f"{shown} has a parameter with a wrong value: write {form}") from None


def _read(url: str, parts: SplitResult, sentinels: tuple[tuple[str, int], ...]) -> RedisUrl:
    from redis.connection import parse_url  # see redis_errors.py

    if not sentinels:
        options = parse_url(url)  # type: ignore[no-untyped-call]
        options.pop("connection_class", None)
        return RedisUrl(url, options)
    given = dict(parse_qsl(parts.query))
    login = parts.netloc.rpartition("@")[0] + ("@" if "@" in parts.netloc else "")
    database = f"/{given.pop('db', '') or parts.path.strip('/') or 0}"
    hosts = ",".join(spelled(*one) for one in sentinels)
    text = f"sentinel://{login}{hosts}{database}?{urlencode(given)}"
    of_sentinel = {name: given.pop(name, "") for name in _OF_SENTINEL}
    options = parse_url(f"redis://{login}host{database}?{urlencode(given)}")  # type: ignore[no-untyped-call]
    del options["host"]
    master = of_sentinel.pop("master_name")
    return RedisUrl(
        text, options, sentinels, master, {name.removeprefix("sentinel_"): one for name, one in of_sentinel.items() if one}
    )


def _in_our_words(url: str) -> str:
    """The URL with our names of schemes and parameters, and with redis-py's of the verifications."""
    for theirs, ours in _OTHER_SCHEMES.items():
        url = re.sub(rf"(?:^|(?<=;)){re.escape(theirs)}://", f"{ours}://", url)
    for theirs, ours in _OTHER_PARAMETERS.items():
        url = re.sub(rf"(?<=[?&]){theirs}=", f"{ours}=", url)
    # Celery's spelling of the verification, which redis-py does not know.
    return re.sub(r"(?<=[?&]ssl_cert_reqs=)CERT_(?=\w)\w+", lambda found: found[0].removeprefix("CERT_").lower(), url)


def _database(parts: SplitResult) -> str:
    """Says what is wrong with the place of the database's number, "" if nothing is."""
    if parts.scheme == "unix":
        if parts.hostname or not parts.path.strip("/"):
            return "names no socket by its whole path"
    elif not re.fullmatch(r"/?[0-9]*", parts.path):
        return "ends with something else than the number of a database"
    elif "db" in dict(parse_qsl(parts.query)) and parts.path.strip("/"):
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
    if parts.scheme == "sentinel" and "master_name" not in dict(given):
        return "does not say under which name Sentinel knows the server"
    return ""
