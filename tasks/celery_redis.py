"""The configured Redis as Celery's settings: kombu and Celery read other URLs than redis-py, and each reads TLS differently.

kombu ignores the certificate of a bare `rediss://`, and Celery's backend refuses that URL; both call a Unix socket
`redis+socket://`, and name its database `virtual_host`; of several Sentinels each has a URL of its own. Of parameters that are
not theirs kombu makes a TypeError.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from marketfetch.redis_clients import sentinel_options
from marketfetch.redis_urls import RedisUrl


@dataclass(frozen=True, slots=True)
class CeleryRedis:
    """`url` is for `broker_url` and `result_backend`, `tls` for `broker_use_ssl` and `redis_backend_use_ssl`, `options` for the
    transport options of both.

    `tls` is None without TLS. `over_tcp`: the connection has TCP's keepalive, which a Unix socket does not take.
    """

    url: str
    tls: dict[str, Any] | None
    options: dict[str, Any]
    over_tcp: bool


def celery_redis(url: RedisUrl, *, prefix: str = "", connect_s: float = 5) -> CeleryRedis:
    """Translates the URL. `prefix` begins the name of every key, `connect_s` is how long one Sentinel may take to answer."""
    told = url.options
    login = _login(told.get("username"), told.get("password"))
    database = told.get("db", 0)
    options: dict[str, Any] = {"global_keyprefix": prefix} if prefix else {}
    if url.scheme == "unix":
        # kombu and Celery read the path up to the next ? or #, and unquote it.
        query = urlencode({"virtual_host": database})
        return CeleryRedis(f"redis+socket://{login}{quote(told['path'])}?{query}", None, options, over_tcp=False)
    if url.sentinels:
        options |= {
            "master_name": url.master,
            "sentinel_kwargs": sentinel_options(url) | {"socket_connect_timeout": connect_s, "socket_timeout": connect_s},
        }
        urls = (f"sentinel://{login}{_host(host)}:{port}/{database}" for host, port in url.sentinels)
        return CeleryRedis(";".join(urls), url.tls, options, over_tcp=True)
    address = f"{_host(told.get('host', 'localhost'))}:{told.get('port', 6379)}"
    return CeleryRedis(f"{url.scheme}://{login}{address}/{database}", url.tls, options, over_tcp=True)


def _host(host: str) -> str:
    return f"[{host}]" if ":" in host else quote(host)


def _login(user: str | None, password: str | None) -> str:
    """`user:password@`, each quoted: kombu takes a bare `;` for the end of one URL and the beginning of another."""
    if not user and not password:
        return ""
    return f"{quote(user or '', safe='')}{':' if password else ''}{quote(password or '', safe='')}@"
