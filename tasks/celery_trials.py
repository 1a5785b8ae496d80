"""What a worker does with the broker and the result backend, done once, for `marketfetch check`.

Both leave nothing in Redis, also if this process ends in between: what they write expires, or is deleted in the same moment.
"""

from __future__ import annotations

import socket
import uuid
from typing import Final

from kombu import Exchange, Queue

from marketfetch.addresses import broker

from .app import app
from .worker.redis_transport import harden

_EXPIRES_S: Final = 30
_ANSWERS_S: Final = 4


def try_broker() -> None:
    """Looks at every queue, sends a message to one of its own and takes it from there, over a worker's connection.

    Raises what stops a worker at its start: an error of kombu or of redis-py.
    """
    if broker().redis is None:
        _try_another_broker()
        return
    with app.connection_for_read() as connection:
        harden(connection)
        # A worker connects again and again; a person who waits gets the first error.
        channel = connection.channel()
        for key in (*app.amqp.queues, channel.unacked_key):
            channel.client.exists(key)  # a user whose rights leave it out gets an error
        queue = f"celery:check:{uuid.uuid4().hex}"
        try:
            channel.basic_publish(channel.prepare_message("{}"), exchange="", routing_key=queue)
            channel.client.expire(queue, _EXPIRES_S)
            if channel.basic_get(queue, no_ack=True) is None:
                raise LookupError("a message that was sent did not arrive")
        finally:
            channel.client.delete(queue)


def _try_another_broker() -> None:
    """The same over the public parts of kombu. The queue belongs to this machine, so that at most one stays with a broker that
    can't delete queues.
    """
    with app.connection_for_read() as connection:
        connection.ensure_connection(max_retries=1, timeout=_ANSWERS_S)
        name = f"celery.check.{socket.gethostname()}"
        queue = Queue(name, Exchange(""), name, durable=False, auto_delete=True, expires=_EXPIRES_S)
        with connection.channel() as channel:
            for one in app.amqp.queues.values():
                one(channel).declare()  # what a worker does first, and what a user without the right to it can't
            with connection.SimpleQueue(queue, no_ack=True) as own:
                own.put({})
                try:
                    own.get(timeout=_ANSWERS_S)
                except own.Empty:
                    raise LookupError("a message that was sent did not arrive") from None
            queue(channel).delete()


def try_results() -> None:
    """Writes a result, reads it and deletes it. Raises what Celery's backend raises."""
    task_id = f"check-{uuid.uuid4().hex}"
    backend = app.backend
    backend.client.ping()  # without the retries of a writing, which take seconds
    try:
        backend.store_result(task_id, None, "SUCCESS")
        if backend.get_state(task_id) != "SUCCESS":
            raise LookupError("a result that was written is not there")
    finally:
        backend.forget(task_id)
