"""The configured Redis as Celery's settings: kombu and Celery read other URLs than redis-py, and each reads TLS differently.

kombu ignores the certificate of a bare `rediss://`, and Celery's backend refuses that URL; both call a Unix socket
`redis+socket://`, and name its database `virtual_host`. Of parameters that are not theirs kombu makes a TypeError.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from redis.connection import parse_url


@dataclass(frozen=True, slots=True)
class CeleryRedis:
    """`url` is for `broker_url` and `result_backend`, `tls` for `broker_use_ssl` and `redis_backend_use_ssl`.

    `tls` is None without TLS. `over_tcp`: the connection has TCP's keepalive, which a Unix socket does not take.
    """

    url: str
    tls: dict[str, Any] | None
    over_tcp: bool


def celery_redis(url: str) -> CeleryRedis:
    """Translates a URL that `marketfetch.redis_urls.checked` has returned."""
    parts, told = urlsplit(url), parse_url(url)
    login = _login(told.get("username"), told.get("password"))
    database = told.get("db", 0)
    if parts.scheme == "unix":
        # kombu and Celery read the path up to the next ? or #, and unquote it.
        query = urlencode({"virtual_host": database})
        return CeleryRedis(f"redis+socket://{login}{quote(told['path'])}?{query}", None, over_tcp=False)
    host = parts.netloc.rpartition("@")[2]
    tls = {name: value for name, value in told.items() if name.startswith("ssl_")}
    return CeleryRedis(
        f"{parts.scheme}://{login}{host}/{database}",
        {"ssl_cert_reqs": "required", **tls} if parts.scheme == "rediss" else None,
        over_tcp=True,
    )


def _login(user: str | None, password: str | None) -> str:
    """`user:password@`, each quoted: kombu takes a bare `;` for the end of one URL and the beginning of another."""
    if not user and not password:
        return ""
    return f"{quote(user or '', safe='')}{':' if password else ''}{quote(password or '', safe='')}@"
