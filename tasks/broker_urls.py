"""The URL of Redis as Celery and kombu want it: they know two of redis-py's spellings by other names, or not at all."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit


def for_celery(url: str) -> str:
    """The same Redis in Celery's spelling. Any other URL stays as it is.

    `unix://user:password@/path?db=2` is `redis+socket://user:password@/path?virtual_host=2` there. `rediss://` without
    `ssl_cert_reqs` stops a worker at boot: it checks the server's certificate here, as redis-py does by default.
    https://docs.celeryq.dev/en/stable/getting-started/backends-and-brokers/redis.html
    """
    scheme, place, path, query, _ = urlsplit(url)
    named = parse_qsl(query, keep_blank_values=True)
    if scheme == "unix":
        renamed = [("virtual_host" if name == "db" else name, value) for name, value in named]
        return f"redis+socket://{place}{path}" + (f"?{urlencode(renamed)}" if renamed else "")
    if scheme == "rediss" and "ssl_cert_reqs" not in dict(named):
        return urlunsplit((scheme, place, path, urlencode([*named, ("ssl_cert_reqs", "required")]), ""))
    return url
