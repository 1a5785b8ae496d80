"""`python -P -m marketfetch.tasks.trial` tries what a worker does with Redis, once each, and prints one line of JSON.

`marketfetch check` runs it as a process: the core knows no Celery, and a trial that hangs is ended. What it writes is deleted.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any, Final
from uuid import uuid4

from marketfetch import connections
from marketfetch.exceptions import UnavailableError
from marketfetch.redaction import redact
from marketfetch.settings import get_settings
from marketfetch.storage import safe_url

from .app import app
from .worker.redis_transport import HardenedTransport

_ONE_TRY: Final = {"max_retries": 0, "interval_start": 0, "interval_step": 0, "interval_max": 0}
#: What a trial leaves if it is killed ends by itself.
_EXPIRES_S: Final = 60


def broker() -> None:
    """Sends a message to a queue of its own and takes it from there, over the transport of a worker's consumer."""
    name = f"marketfetch-check-{uuid4().hex}"
    with app.connection_for_read(connect_timeout=5) as connection:
        if connection.transport_cls in ("redis", "rediss"):
            connection.transport_cls = HardenedTransport
        connection.connect()
        # Not `with`: closing a queue tries to return what was not acknowledged.
        queue = connection.SimpleQueue(name)
        try:
            queue.put({"trial": name})
            message = queue.get(timeout=5)
            message.ack()
            if message.payload != {"trial": name}:
                raise UnavailableError("another message came back than was sent")
        finally:
            queue.queue.delete()
            queue.close()


def results() -> None:
    """Writes a result, reads it and deletes it."""
    app.conf.result_backend_transport_options = {**app.conf.result_backend_transport_options, "retry_policy": _ONE_TRY}
    task_id = f"marketfetch-check-{uuid4().hex}"
    app.backend.store_result(task_id, "trial", "SUCCESS")
    try:
        if app.backend.get_result(task_id) != "trial":
            raise UnavailableError("another result came back than was written")
    finally:
        app.backend.forget(task_id)


def gate() -> None:
    """Writes a key from a script, as every step of the gate does."""
    redis = connections.redis()
    key = f"mf:{{check}}:{uuid4().hex}"
    redis.eval("return redis.call('SET', KEYS[1], redis.call('TIME')[1], 'EX', ARGV[1])", 1, key, str(_EXPIRES_S))
    redis.delete(key)


#: In the order in which a worker needs them.
TRIALS: Final[dict[str, Callable[[], None]]] = {"broker": broker, "result backend": results, "gate": gate}


def found() -> dict[str, str]:
    """What went wrong with each part, "" where nothing did. No sentence holds a secret."""
    return {name: _error(trial) for name, trial in TRIALS.items()}


def _error(trial: Callable[[], Any]) -> str:
    try:
        trial()
    except Exception as error:
        url = app.conf.broker_url
        text = f"{type(error).__name__}: {' '.join(str(error).split())}".replace(url, safe_url(url))
        return redact(text, get_settings().secrets())[:300]
    return ""


if __name__ == "__main__":
    sys.stdout.write(json.dumps(found()) + "\n")
