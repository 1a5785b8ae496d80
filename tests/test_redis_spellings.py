"""A Redis URL is one thing to redis-py, kombu and Celery, or it is refused with the right spelling."""

from __future__ import annotations

import re
import ssl
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from celery import Celery
from kombu import Connection
from kombu.transport import redis as kombu_redis

from marketfetch.redis_clients import open_client
from marketfetch.redis_urls import RedisUrl, read
from marketfetch.sentinel_urls import WrongRedisUrl
from tasks.celery_redis import celery_redis

SECRET = "S3CR3T"
KINDS = {
    "redis": redis.Connection,
    "rediss": redis.SSLConnection,
    "unix": redis.UnixDomainSocketConnection,
    "sentinel": redis.sentinel.SentinelManagedConnection,
}
#: redis-py takes words, and makes constants of them.
VERIFICATIONS = {ssl.CERT_REQUIRED: "required", ssl.CERT_OPTIONAL: "optional", ssl.CERT_NONE: "none"}


def pools(url: RedisUrl, prefix: str = "") -> dict[str, Any]:
    """The pools of connections that redis-py, kombu and Celery make of a URL; none of them connects."""
    theirs = celery_redis(url, prefix=prefix)
    channel: Any = object.__new__(kombu_redis.SentinelChannel if url.sentinels else kombu_redis.Channel)
    client = Connection(theirs.url, ssl=theirs.tls, transport_options=theirs.options)
    channel.connection = SimpleNamespace(client=client, default_port=26379 if url.sentinels else 6379)
    vars(channel).update(theirs.options)
    app = Celery("x", backend=theirs.url, set_as_current=False)
    app.conf.update(
        redis_backend_use_ssl=theirs.tls,
        redis_socket_keepalive=theirs.over_tcp,
        result_backend_transport_options=theirs.options,
    )
    return {
        "redis-py": open_client(url).connection_pool,
        "kombu": channel._get_pool(),
        "Celery": app.backend.client.connection_pool,
    }


def told(pool: Any) -> dict[str, Any]:
    """The options of a connection of this pool, with what it makes of those that are not given."""
    connection = pool.make_connection()
    found = {**pool.connection_kwargs, "db": connection.db}
    if isinstance(connection, redis.SSLConnection):
        found["ssl_cert_reqs"] = VERIFICATIONS[connection.cert_reqs]
    return found


@pytest.mark.parametrize(
    ("url", "means"),
    [
        ("redis://127.0.0.1:6379/0", {"host": "127.0.0.1", "port": 6379, "db": 0}),
        ("redis://h", {"host": "h", "db": 0}),
        ("redis://:p%3Bw%40@h:1/", {"host": "h", "port": 1, "password": "p;w@", "db": 0}),
        ("redis://me:pw@[::1]:6379/15", {"host": "::1", "username": "me", "password": "pw", "db": 15}),
        ("redis://h?db=3", {"host": "h", "db": 3}),
        ("valkey://me:pw@h/4", {"host": "h", "username": "me", "db": 4}),
        ("rediss://h", {"host": "h", "ssl_cert_reqs": "required"}),
        ("valkeys://h", {"host": "h", "ssl_cert_reqs": "required"}),
        (
            "rediss://me:pw@h:1/2?ssl_ca_certs=%2Fa%20b.pem&ssl_check_hostname=false",
            {"ssl_ca_certs": "/a b.pem", "ssl_check_hostname": False, "db": 2, "ssl_cert_reqs": "required"},
        ),
        ("rediss://h/1?ssl_cert_reqs=CERT_OPTIONAL&ssl_min_version=771", {"ssl_cert_reqs": "optional", "ssl_min_version": 771}),
        ("rediss://h/1?ssl_cert_reqs=none", {"ssl_cert_reqs": "none", "db": 1}),
        ("unix:///run/a%20b%2541.sock", {"path": "/run/a b%41.sock", "db": 0}),
        (
            "unix:///run/redis.sock?db=3&password=p%3Bw%2F%40%25",
            {"path": "/run/redis.sock", "password": "p;w/@%", "db": 3},
        ),
        ("unix://me@/run/redis.sock?password=pw", {"username": "me", "password": "pw"}),
        ("redis+socket://me:pw@/run/redis.sock?virtual_host=3", {"path": "/run/redis.sock", "username": "me", "db": 3}),
        ("sentinel://h/2?master_name=m", {"db": 2}),
        (
            "redis+sentinel://me:p%3Bw%2C%40@h1:1,[::1]:2/3?master_name=m&sentinel_username=s&sentinel_password=p%2Bw",
            {"username": "me", "password": "p;w,@", "db": 3},
        ),
        ("sentinel://h1?ssl_ca_certs=/ca.pem&db=1&sentinel_master=m", {"ssl_ca_certs": "/ca.pem", "ssl_cert_reqs": "required"}),
    ],
)
def test_a_url_means_the_same_to_all_three(url: str, means: dict[str, Any]) -> None:
    found = read(url)
    assert read(found.text) == found
    expected = {"db": 0, **found.options, **means}
    for who, pool in pools(found).items():
        assert issubclass(pool.connection_class, KINDS[found.scheme]), who
        assert expected.items() <= told(pool).items(), who
        if found.sentinels:
            assert pool.service_name == "m"
            asked = [told(one.connection_pool) for one in pool.sentinel_manager.sentinels]
            assert [(one["host"], one["port"]) for one in asked] == list(found.sentinels)
            for one in asked:
                assert {**found.sentinel_login, **(found.tls or {})}.items() <= one.items(), who
            for one in (pool, *(sentinel.connection_pool for sentinel in pool.sentinel_manager.sentinels)):
                assert issubclass(one.connection_class, redis.SSLConnection) == bool(found.tls)


def test_every_url_of_the_page_is_read_and_a_line_of_its_table_names_one_kind() -> None:
    page = (Path(__file__).parents[1] / "docs" / "operations.md").read_text(encoding="utf-8")
    table = [line for line in page.partition("## Redis URLs")[2].partition("## ")[0].splitlines() if line.startswith("| `")]
    lines = [re.findall(r"`(\w[\w+-]*://[^`]+)`", line) for line in table]
    assert [{read(url).scheme for url in urls} for urls in lines] == [{read(urls[0]).scheme} for urls in lines]
    assert {read(urls[0]).scheme for urls in lines} == set(KINDS)
    assert {read(url).tls is None for url in lines[4]} == {False}


def test_the_spellings_of_several_sentinels_are_one() -> None:
    ours = "sentinel://:p%20w@h1:26379,h2:26380/1?master_name=my%20master"
    for url in (
        "sentinel://:p%20w@h1,h2:26380/1?sentinel_master=my+master",
        "sentinel://:p%20w@h1:26379/1;sentinel://:p%20w@h2:26380/1?master_name=my%20master",
        "sentinel://h1:26379;sentinel://:p%20w@h2:26380/1?master_name=my%20master",
        "redis-sentinel://:p%20w@h1,h2:26380/my%20master/1",
        "redis+sentinel://:p%20w@h1,h2:26380/my%20master?db=1",
    ):
        assert read(url) == read(ours), url
    assert read(ours).shown == "sentinel://:***@h1:26379,h2:26380/1?master_name=my+master"


def test_a_redis_is_near_where_no_network_lies_between() -> None:
    near = ("redis://127.0.0.1:6379/0", "redis://localhost", "rediss://[::1]:6379/1", "unix:///run/redis.sock?db=0")
    far = ("redis://10.0.0.1:6379/0", "redis://redis/0", "sentinel://127.0.0.1:26379/0?master_name=mymaster")
    assert [url for url in (*near, *far) if read(url).is_near] == list(near)


def test_a_prefix_stands_in_both_options_of_celery() -> None:
    assert celery_redis(read("redis://h"), prefix="a:").options == {"global_keyprefix": "a:"}


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("valkey.example.org", "write redis://user:password@host:6379/0"),
        ("amqp://h", "write redis://"),
        ("redis+socket://run/redis.sock?virtual_host=1", "write unix:///path/to/redis.sock?db=0&password=PASSWORD"),
        (
            "sentinel://h:26379/0",
            "does not say under which name Sentinel knows the server: write sentinel://user:password@host1",
        ),
        ("sentinel://h1,/0?master_name=m", "is no URL of a Redis: write sentinel://"),
        (f"sentinel://me:{SECRET},h2/0?master_name=m", "write sentinel://"),
        (f"sentinel://:a;{SECRET}@h2/0?master_name=m", "%3B for a semicolon"),
        (f"sentinel://:{SECRET}@h1/0;sentinel://:pw@h2/0?master_name=m", "has hosts with different logins"),
        ("sentinel://h1/0;sentinel://h2/1?master_name=m", "has hosts with different logins, databases"),
        ("sentinel://h1/m/0?master_name=m", "names the master twice"),
        ("sentinel://h1/0?master_name=m&sentinel_pasword=x", "Did you mean 'sentinel_password'?"),
        ("redis://h?master_name=m", "the parameter 'master_name', which workers can't use"),
        ("unix:///run/redis.sock?virtual_host=/1", "a wrong value"),
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
        read(url)
    assert says in str(refused.value)
    assert SECRET not in str(refused.value)
