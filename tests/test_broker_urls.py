"""A broker apart from Redis: which URLs are one, and what Celery is set to. Without one everything is as it was."""

from __future__ import annotations

import ssl

import pytest
from kombu.transport import TRANSPORT_ALIASES

from marketfetch.broker_urls import TRANSPORTS, Broker, WrongBrokerUrl, read_broker
from marketfetch.redis_urls import is_of_redis, read
from tasks.celery_broker import celery_broker

SECRET = "S3CR3T"
GATE = read("redis://:pw@h/0")


def test_every_transport_of_kombu_is_known_and_no_other() -> None:
    theirs = {name for name in TRANSPORT_ALIASES if not is_of_redis(name)}
    assert theirs - {"memory"} == set(TRANSPORTS)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"amqp://me:{SECRET}@h:5672/vhost", "amqp://me:***@h:5672/vhost"),
        (f"amqp://me:{SECRET}@h1;amqp://me:{SECRET}@h2", "amqp://me:***@h1;amqp://me:***@h2"),
        ("sqla+sqlite:///messages.db", "sqla+sqlite:///messages.db"),
        ("filesystem://", "filesystem://"),
    ],
)
def test_a_broker_of_kombus_gets_its_url_its_own_options_and_none_of_redis(url: str, shown: str) -> None:
    found = read_broker(url, gate=GATE)
    assert (found, found.shown, SECRET in repr(found)) == (Broker(url), shown, False)
    celery = celery_broker(found, prefix="a:", options={"data_folder_in": "in"})
    assert (celery.url, celery.tls, celery.options) == (url, None, {"data_folder_in": "in"})


def test_amqps_verifies_the_certificate_and_the_hosts_name() -> None:
    assert celery_broker(read_broker("amqps://h", gate=GATE), prefix="", options={}).tls == {
        "cert_reqs": ssl.CERT_REQUIRED,
        "server_hostname": None,
    }


def test_another_redis_is_read_as_the_gates_is_and_the_same_one_is_not_apart() -> None:
    other = read_broker("valkey://h2/1", gate=GATE)
    assert (other.apart, other.redis) == (True, read("redis://h2/1"))
    assert celery_broker(other, prefix="a:", options={"ignored": 1}).options == {"global_keyprefix": "a:"}
    assert read_broker("redis://:pw@h/0", gate=GATE).apart is False


@pytest.mark.parametrize(
    ("url", "says"),
    [
        (f"rabbitmq://me:{SECRET}@h", "rabbitmq://*** is no URL of a broker that kombu has a transport for: write amqp://"),
        (f"amqq://me:{SECRET}@h", "Did you mean amqp://?"),
        (f"me:{SECRET}@h", "h is no URL of a broker"),
        ("memory://", "inside of one process only"),
    ],
)
def test_another_url_is_refused_without_its_password(url: str, says: str) -> None:
    with pytest.raises(WrongBrokerUrl) as refused:
        read_broker(url, gate=GATE)
    assert says in str(refused.value)
    assert SECRET not in str(refused.value)
