"""redis-py's clients of the configured Redis, also where Sentinel has to say which server that is at this moment."""

from __future__ import annotations

from typing import Any, Final, cast

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError, Sentinel

from marketfetch.redis_urls import RedisUrl

#: The next Sentinel is asked at once: redis-py's retries would wait seconds for the one that is away.
ASK_THE_NEXT: Final = Retry(NoBackoff(), 0)


class Client(Redis):
    """A client whose keys have this prefix in front of their names: see marketfetch/redis_keys.py."""

    key_prefix = ""
    asked: Sentinel | None = None

    def close(self) -> None:
        """Closes the connections to the server, and to Sentinel."""
        super().close()
        if self.asked is not None:
            self.asked.close()


class _Sentinels(Sentinel):
    """Raises a sentence where no Sentinel names a master."""

    def discover_master(self, service_name: str) -> tuple[str, int]:
        try:
            return cast("tuple[str, int]", super().discover_master(service_name))  # type: ignore[no-untyped-call]
        except MasterNotFoundError as error:
            asked = ", ".join("{host}:{port}".format_map(one.connection_pool.connection_kwargs) for one in self.sentinels)
            why = str(error).rpartition(" - ")
            reason = f" ({why[2]})" if why[1] else ""
            raise MasterNotFoundError(f"no Sentinel at {asked} knows a server {service_name!r} that is up{reason}") from error


def open_client(url: RedisUrl, *, prefix: str = "", **options: Any) -> Client:
    """Returns a client that connects at its first command. `options` are redis-py's, such as `socket_timeout`."""
    client = _client(url, options)
    client.key_prefix = prefix
    return client


def _client(url: RedisUrl, options: dict[str, Any]) -> Client:
    if not url.sentinels:
        return cast("Client", Client.from_url(url.text, **options))
    reach = {name: one for name, one in options.items() if name.startswith("socket_")}
    to_server = dict(url.options) | ({"ssl": True} if url.tls else {})
    asked = _Sentinels(url.sentinels, sentinel_kwargs=sentinel_options(url) | reach, **to_server, **options)  # type: ignore[no-untyped-call]
    client: Client = asked.master_for(url.master, redis_class=Client)  # type: ignore[no-untyped-call]
    client.asked = asked
    return client


def sentinel_options(url: RedisUrl) -> dict[str, Any]:
    """redis-py's options of a connection to Sentinel itself, as redis-py, kombu and Celery take them."""
    return {**url.sentinel_login, **({"ssl": True, **url.tls} if url.tls else {}), "retry": ASK_THE_NEXT}
