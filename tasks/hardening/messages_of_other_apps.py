"""A message of another app's task, in a queue that both use, is discarded by a worker that does not know the task.

What fails without it: two apps in one Redis database have the same default queue, `celery`. Each worker takes the other's
messages, finds no such task, discards them and writes NotRegistered as the result. Shown on Celery's own consumer by
tests/hardening/test_unusable.py::test_celery_discards_a_message_of_another_app.
Upstream: https://github.com/celery/celery/issues/3420 (closed: the worker does not crash any more, and discards the message).
Delete when: Celery has a setting to return a message of a task that it does not know, at a bounded rate.
Private API: `_brpop_start`, where kombu begins to wait for the lists of Redis, and `_update_queue_cycle`, which says for which.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from celery.worker.consumer import Consumer
from kombu.transport import redis as transport
from redis.exceptions import RedisError

from marketfetch.ops import dead_letters
from marketfetch.ops.alerts import Alert
from marketfetch.suggestions import did_you_mean

from ..sending.parking import FETCH_PREFIX
from ..worker.burial import wrapped_note

#: Queues that only workers of marketfetch consume: a message there that they do not know has no other worker.
_FETCH_QUEUES: Final = "fetch."
_STORE_QUEUE: Final = "store"
#: Names of tasks that are ours. One that no worker knows is mistyped, and its sender waits for the sentence.
_OUR_NAMES: Final = (FETCH_PREFIX, "tasks.store.", "marketfetch.")
#: So many messages are returned in a row; then the queue rests, so that a long one costs a worker little.
_MOST_IN_A_ROW: Final = 100
_REST_S: Final = 1.0


class RestingQueues(transport.Channel):  # type: ignore[misc]  # kombu is untyped
    """A channel that can leave single queues alone for a time, while it goes on with the others."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        #: Until when each queue rests, on the monotonic clock.
        self._rests: dict[str, float] = {}
        super().__init__(*args, **kwargs)

    def rest(self, queue: str, seconds: float) -> None:
        """Takes no message from this queue for so long."""
        self._rests[queue] = time.monotonic() + seconds
        self._update_queue_cycle()

    @property
    def active_queues(self) -> list[str]:
        """kombu's, without the queues that rest."""
        now = time.monotonic()
        return [one for one in super().active_queues if self._rests.get(one, now) <= now]

    def _brpop_start(self, *args: Any, **kwargs: Any) -> Any:
        now = time.monotonic()
        if over := [queue for queue, until in self._rests.items() if until <= now]:
            for queue in over:
                del self._rests[queue]
            self._update_queue_cycle()
        return super()._brpop_start(*args, **kwargs)


class MessagesOfOtherApps(Consumer):  # type: ignore[misc]  # Celery is untyped
    """Returns a message of another app's task to the end of its queue, where the worker that knows it finds it.

    Redis hands a message to the worker that has waited longest, so an idle worker of the other app gets it next. A message
    that comes back all the same shows that the whole queue is waiting for that worker: the queue rests for a second.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        #: Per queue, the delivery tags of the messages that were returned since it last rested.
        self._returned: dict[str, set[str]] = {}
        self._alerts: dict[str, Alert] = {}

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Any:
        receive = super().create_task_handler(*args, **kwargs)

        def on_task_received(message: Any) -> None:
            queue = _queue_of(message)
            if isinstance(message.channel, RestingQueues) and (task := task_of_another_app(message, queue, self.app.tasks)):
                self._return(message, queue, task)
            else:
                receive(message)

        return on_task_received

    def _return(self, message: Any, queue: str, task: str) -> None:
        message.requeue()
        tags = self._returned.setdefault(queue, set())
        if message.delivery_tag in tags or len(tags) + 1 >= _MOST_IN_A_ROW:
            tags.clear()
            message.channel.rest(queue, _REST_S)
        else:
            tags.add(message.delivery_tag)
        alert = self._alerts.setdefault(queue, Alert(f"messages of other apps in {queue}"))
        with suppress(RedisError):  # the message is back in its queue, and the next one says so again
            alert.holds(_sentence(queue, task, self.app.tasks))


def task_of_another_app(message: Any, queue: str, tasks: Mapping[str, Any]) -> str:
    """The task's name, where the message is for a worker of another app; "" for ours, and for what is no task message."""
    if queue == _STORE_QUEUE or queue.startswith(_FETCH_QUEUES) or wrapped_note(message):
        return ""
    name = message.headers.get("task")
    if "task" not in message.headers:
        try:
            payload = message.decode()
        except Exception:
            return ""  # damaged, or of a kind that is not accepted: it names no task that another worker could know
        name = payload.get("task") if isinstance(payload, dict) else None  # the protocol of Celery 3
    if not isinstance(name, str) or not name or not name.isprintable() or name in tasks or name.startswith(_OUR_NAMES):
        return ""
    return name


def _queue_of(message: Any) -> str:
    key = getattr(message, "list_key", "") or str(message.delivery_info.get("routing_key"))
    return str(key).partition(dead_letters.PRIORITY_MARK)[0]


def _sentence(queue: str, task: str, tasks: Mapping[str, Any]) -> str:
    meant = did_you_mean(task, [one for one in tasks if not one.startswith("celery.")], as_written="{!r}", cutoff=0.85)
    example = dead_letters.clean(f"{task!r}. {meant}".rstrip())
    return (
        f"The queue {queue} has messages of tasks that a worker of marketfetch does not know, such as {example} They stay "
        f"there for the worker that does. Start that one, and give its app a queue of its own (task_default_queue), or let our "
        f"workers run its tasks: marketfetch up --include MODULE. docs/celery.md has both."
    )
