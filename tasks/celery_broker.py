"""The configured broker as Celery's settings: a Redis is translated, every other URL is kombu's own."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from marketfetch.broker_urls import Broker

from .celery_redis import celery_redis


@dataclass(frozen=True, slots=True)
class CeleryBroker:
    """`url` is for `broker_url`, `tls` for `broker_use_ssl`, `options` for `broker_transport_options`."""

    url: str
    tls: dict[str, Any] | None
    options: dict[str, Any]


def celery_broker(broker: Broker, *, prefix: str, options: Mapping[str, Any]) -> CeleryBroker:
    """Translates the broker. `options` are a user's for a transport that is not Redis's: where files are, a region."""
    if broker.redis:
        found = celery_redis(broker.redis, prefix=prefix)
        return CeleryBroker(found.url, found.tls, found.options)
    # Without this py-amqp verifies no certificate. None: kombu puts the host's name there, which is then compared.
    verified = {"cert_reqs": ssl.CERT_REQUIRED, "server_hostname": None}
    return CeleryBroker(broker.text, verified if broker.text.startswith("amqps://") else None, dict(options))
