"""Workers inside the process that sends, for tests: what is sent runs at once, in the thread that sends it, to its end.

Nothing of the way of a request is left out: it is parked, admitted, granted, fetched and stored by the functions that a worker
calls, and each task is traced by Celery's own tracer. What is missing is what lies between processes: the broker is a list,
results are in memory, and a wait is no wait, since `advance` moves the clock of the gate.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Final
from unittest import mock

from celery import Celery, Task, current_app
from celery.app import backends
from celery.app.trace import build_tracer
from celery.exceptions import NotRegistered
from kombu.utils.json import dumps, loads

from marketfetch import connections
from marketfetch.configured import keys
from marketfetch.jobs.feeding import sweep
from marketfetch.quotas import Gate
from marketfetch.settings import get_settings

from .app import app
from .sending.messages import FetchMessage
from .worker.releaser import ReleasingLoop

#: Headers and body.
Message = tuple[dict[str, Any], list[Any]]

#: As many grants at once as a worker of two children has.
_MOST_GRANTED: Final = 8
#: With a host, as kombu warns of a URL that has none. It is connected to nowhere.
_BROKER: Final = "memory://localhost"
_IN_MEMORY: Final = {"broker_url": _BROKER, "broker_read_url": _BROKER, "broker_write_url": _BROKER}


class _Producer:
    """Looks like a kombu producer to Celery's sender; what it publishes is appended to `messages`."""

    def __init__(self, messages: deque[Message], producer: Any) -> None:
        self._messages = messages
        self._producer = producer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._producer, name)

    def publish(self, body: Any, *, headers: dict[str, Any] | None = None, **_: Any) -> None:
        if headers and "task" in headers:  # an event for Flower has none
            # As a broker would pass them on: what is no JSON is refused here.
            self._messages.append(tuple(loads(dumps([headers, body]))))


class _GrantProducer:
    """The same for the releaser's grants."""

    def __init__(self, messages: deque[Message]) -> None:
        self._messages = messages

    def publish(self, message: FetchMessage, *, queue: str) -> None:  # noqa: ARG002 (one list for all queues)
        self._messages.append(tuple(loads(dumps([message.headers, message.body]))))

    def together(self) -> AbstractContextManager[None]:
        return nullcontext()


class InProcessWorkers:
    """Runs what is sent. `advance` moves the gate's clock by so many seconds."""

    def __init__(self, advance: Callable[[float], None]) -> None:
        self.held = False
        #: The pools that have had requests.
        self.pools: set[str] = set()
        self._advance = advance
        self._messages: deque[Message] = deque()
        self._producer = _GrantProducer(self._messages)
        self._turn = threading.Lock()
        self._wanted = False
        # Never started: it knows how a grant becomes a message.
        self._releaser = ReleasingLoop(app, consumed=tuple, slots=2)

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Within the block the app sends to these workers, and keeps results in memory."""
        app.loader.import_default_modules()  # as a worker does: they register the tasks
        send = app.amqp.send_task_message
        before = {name: app.conf[name] for name in _IN_MEMORY}
        pools, backend = (app._pool, app.amqp._producer_pool), app._backend_cache  # noqa: SLF001
        kind, url = backends.by_url("cache+memory://", app.loader)

        def send_here(producer: Any, name: str, message: Any, **options: Any) -> Any:
            return send(_Producer(self._messages, producer), name, message, **options)

        app.conf.update(_IN_MEMORY)
        app._pool = app.amqp._producer_pool = None  # noqa: SLF001
        app._backend_cache = kind(app=app, url=url)  # noqa: SLF001
        app.amqp.__dict__["send_task_message"] = send_here
        try:
            with mock.patch.object(Celery, "send_task", _sent_by_its_app(Celery.send_task)):
                yield
        finally:
            app.amqp.__dict__["send_task_message"] = send
            app._backend_cache = backend  # noqa: SLF001
            app._pool, app.amqp._producer_pool = pools  # noqa: SLF001
            app.conf.update(before)

    def work(self, *, patience_s: float) -> None:
        """Runs all that can run, and waits up to `patience_s` for what can't yet. Returns at once while another thread works.

        That thread then runs this one's tasks too.
        """
        self._wanted = True
        while self._wanted and not self.held and self._turn.acquire(blocking=False):
            try:
                self._wanted = False
                self._work(patience_s)
            finally:
                self._turn.release()

    def _work(self, left_s: float) -> None:
        while not self.held:
            if self._messages:
                self._run(*self._messages.popleft())
                continue
            waits = [self._release(connections.gate(name)) for name in sorted(self.pools)]
            if self._messages or sweep():
                continue
            wait_s = min((one for one in waits if one is not None), default=None)
            if wait_s is None or wait_s > left_s:
                return
            self._advance(wait_s)
            left_s -= wait_s

    def _release(self, gate: Gate) -> float | None:
        """Publishes what one gate admits; returns the seconds until it may admit more, None if nothing waits."""
        timings = get_settings().timings
        admission = gate.admit(
            room=_MOST_GRANTED,
            most_granted=_MOST_GRANTED,
            keys=keys(gate.pool),
            start_by_ms=int(timings.start_by * 1000),
            held_again_ms=int(timings.held_again * 1000),
        )
        for grant in admission.grants:
            self._releaser._publish(gate, grant, self._producer)  # noqa: SLF001
        return None if admission.wait_ms is None else max(admission.wait_ms, 1) / 1000

    def _run(self, headers: dict[str, Any], body: list[Any]) -> None:
        """Runs one task as a worker's child does. Its outcome is its result; only SystemExit and the like are raised."""
        args, kwargs, embed = body
        name, task_id = headers["task"], headers["id"]
        request = {**headers, "args": args, "kwargs": kwargs, "hostname": "in-process", "delivery_info": {}, **(embed or {})}
        task = _task(name)
        if task is None:
            app.backend.mark_as_failure(task_id, NotRegistered(name))
            return
        build_tracer(name, task, app=task.app)(task_id, args, kwargs, request)


def _sent_by_its_app(send_task: Callable[..., Any]) -> Callable[..., Any]:
    """Celery's `send_task`. A task of ours that another app sends is sent by our app: in production both share a Redis."""

    def send(sender: Celery, name: str, *arguments: Any, **options: Any) -> Any:
        # Celery registers a task with every app of a process, so the module tells whose it is.
        task = app.tasks.get(name)
        ours = task is not None and task.__module__.startswith(f"{__package__}.")
        return send_task(app if ours else sender, name, *arguments, **options)

    return send


def _task(name: str) -> Task | None:
    """A task of ours, else one of the app that the test itself uses; None if neither has it."""
    return app.tasks.get(name) or current_app.tasks.get(name)
