"""A Redis URL is one thing to redis-py, kombu and Celery, or it is refused with the right spelling."""

from __future__ import annotations

import ssl
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from celery import Celery
from kombu import Connection
from kombu.transport.redis import Channel
from redis.connection import parse_url

from marketfetch.redis_urls import WrongRedisUrl, checked
from tasks.celery_redis import celery_redis

SECRET = "S3CR3T"
KINDS = {"redis": redis.Connection, "rediss": redis.SSLConnection, "unix": redis.UnixDomainSocketConnection}
#: redis-py takes words or Python's constants; Celery's backend makes constants of the words.
VERIFICATIONS = {ssl.CERT_REQUIRED: "required", ssl.CERT_OPTIONAL: "optional", ssl.CERT_NONE: "none"}


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1:6379/0",
        "redis://h",
        "redis://:p%3Bw%40@h:1/",
        "redis://me:pw@[::1]:6379/15",
        "redis://h?db=3",
        "rediss://h",
        "rediss://me:pw@h:1/2?ssl_ca_certs=%2Fa%20b.pem&ssl_check_hostname=false",
        "rediss://h/1?ssl_cert_reqs=CERT_OPTIONAL&ssl_min_version=771",
        "rediss://h/1?ssl_cert_reqs=none",
        "unix:///run/a%20b%2541.sock",
        "unix:///run/redis.sock?db=3&password=p%3Bw%2F%40%25",
        "unix://me@/run/redis.sock?password=pw",
    ],
)
def test_a_url_means_the_same_to_all_three(url: str) -> None:
    url = checked(url)
    assert checked(url) == url
    told, ours = parse_url(url), celery_redis(url)
    channel: Any = object.__new__(Channel)
    channel.connection = SimpleNamespace(client=Connection(ours.url, ssl=ours.tls), default_port=6379)
    app = Celery("x", backend=ours.url, set_as_current=False)
    app.conf.update(redis_backend_use_ssl=ours.tls, redis_socket_keepalive=ours.over_tcp)
    expected = {"db": 0, **{name: value for name, value in told.items() if name != "connection_class"}}
    if url.startswith("rediss://"):
        expected = {"ssl_cert_reqs": "required", **expected}
    for read in (channel._connparams(), app.backend.connparams):
        assert issubclass(read.get("connection_class", redis.Connection), KINDS[url.partition(":")[0]])
        same = {name: read.get(name) for name in expected}
        if url.startswith("rediss://"):
            same["ssl_cert_reqs"] = VERIFICATIONS.get(read["ssl_cert_reqs"], read["ssl_cert_reqs"])
        assert same == expected
    assert app.backend.client.connection_pool.make_connection(), "Celery's connection takes every parameter"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("valkey.example.org", "write redis://user:password@host:6379/0"),
        ("sentinel://h:26379/0", "write redis://"),
        ("redis+socket:///run/redis.sock?virtual_host=1", "write unix:///path/to/redis.sock?db=0&password=PASSWORD"),
        ("unix://run/redis.sock", "names no socket by its whole path: write unix:///path"),
        ("unix:///", "names no socket"),
        (f"redis://:a/{SECRET}@h", "%2F for /"),
        (f"redis://:12#{SECRET}@h", "%23 for #"),
        (f"redis://:12?{SECRET}@h", "%3F for ?"),
        (f"redis://me:{SECRET}", "write redis://user:password@host"),
        (f"redis://me:{SECRET}@h:port/0", "redis://me:***@h:port/0 is no URL"),
        ("redis://h/zero", "ends with something else than the number of a database"),
        ("redis://h/1;redis://g/1", "number of a database"),
        ("redis://h/0?db=1", "names the database twice"),
        ("redis://h?db=one", "a wrong value"),
        ("redis://h?db=", "without a value"),
        ("redis://h/0?socket_timeout=5", "the parameter 'socket_timeout', which workers can't use"),
        (f"redis://h/0?auth={SECRET}", "the parameter 'auth'"),
        ("redis://h/0?ssl_cert_reqs=none", "the parameter ssl_cert_reqs, which belongs to rediss://"),
        ("rediss://h/0?ssl_cert_req=none", "Did you mean 'ssl_cert_reqs'?"),
        ("rediss://h/0?ssl_cert_reqs=maybe", "none of required, optional, none: write rediss://"),
    ],
)
def test_another_url_is_refused_with_the_right_spelling_and_without_its_password(url: str, says: str) -> None:
    with pytest.raises(WrongRedisUrl) as refused:
        checked(url)
    assert says in str(refused.value)
    assert SECRET not in str(refused.value)
