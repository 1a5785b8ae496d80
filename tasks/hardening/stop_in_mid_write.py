"""A signal that ends the worker is answered in the middle of whatever the main thread does.

What fails without it: Celery's cold shutdown (SIGQUIT, and SIGTERM where it is remapped) runs inside the signal handler, up to
the wait for the children's end. If the main thread was writing a task to a child, the rest of the message is never written: the
child waits for it, the worker for the child, and neither ends. Of 138 stops of a busy worker 5 hung. Shown on Celery's own
handler by tests/hardening/test_stops.py::test_a_worker_that_is_stopped_while_it_writes_to_a_child_ends.
Upstream: https://github.com/celery/celery/issues/1770 (a stopping worker waits for a child that waits in a read; closed without
a cause).
Delete when: Celery's signal handlers only note the signal, and its event loop shuts the worker down.
Private API: `_active_writers`, `_cache` and `_flush_writer`, with which Celery's own `flush` keeps messages whole after a lost
connection; `Hub.create_loop`, the frame in which callbacks run.
"""

from __future__ import annotations

import inspect
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

from celery import bootsteps
from celery.concurrency.asynpool import AsynPool
from kombu.asynchronous.hub import Hub
from kombu.utils import eventio

_SIGNALS: Final = (signal.SIGTERM, signal.SIGQUIT, signal.SIGINT)
#: How soon a signal that came at a bad moment is looked at again; callbacks of the event loop take less.
_LOOK_AGAIN_S: Final = 0.005
#: A worker whose callback hangs must end too: after this many looks the signal is answered where it is, as Celery would.
_MOST_LOOKS: Final = 4_000

_Handler = Callable[[int, FrameType | None], Any]


class StopsBetweenCallbacks(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery is untyped
    """Celery's handlers of signals run while the event loop waits, or outside it: never inside one of its callbacks."""

    # Celery sets its handlers before the first step starts.
    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: Any, **kwargs: Any) -> None:
        super().__init__(worker, **kwargs)
        self._asked: tuple[_Handler, int] | None = None
        self._looks = 0

    def start(self, worker: Any) -> None:  # noqa: ARG002 (Celery's signature)
        signal.signal(signal.SIGALRM, self._look)
        self._wrap()

    def _wrap(self) -> None:
        for number in _SIGNALS:
            handler = signal.getsignal(number)
            if callable(handler) and handler is not signal.default_int_handler and not isinstance(handler, _Deferred):
                signal.signal(number, _Deferred(self, handler))

    def answer(self, handler: _Handler, number: int, frame: FrameType | None) -> None:
        self._asked, self._looks = (handler, number), 0
        signal.setitimer(signal.ITIMER_REAL, _LOOK_AGAIN_S, _LOOK_AGAIN_S)
        self._look(signal.SIGALRM, frame)

    def _look(self, _: int, frame: FrameType | None) -> None:
        self._looks += 1
        if not self._asked or (in_a_callback(frame) and self._looks < _MOST_LOOKS):
            return
        (handler, number), self._asked = self._asked, None
        signal.setitimer(signal.ITIMER_REAL, 0)
        # Celery's handler sets the handlers of the next signals first. Those are answered at once: this one runs by then.
        handler(number, frame)
        # Ctrl-C sets another handler and returns.
        self._wrap()


class _Deferred:
    """A handler of Celery's in a wrapper that knows itself."""

    def __init__(self, step: StopsBetweenCallbacks, handler: _Handler) -> None:
        self._step, self._handler = step, handler

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self._step.answer(self._handler, number, frame)


def in_a_callback(frame: FrameType | None) -> bool:
    """Whether the event loop is at work in this frame: it is in the loop, and does not wait for events."""
    if frame is not None and frame.f_code.co_filename == eventio.__file__:
        return False
    while frame is not None:
        if frame.f_code is Hub.create_loop.__code__:
            return True
        frame = frame.f_back
    return False


class WholeMessagesAtTheEnd(AsynPool):  # type: ignore[misc]  # Celery is untyped
    """Before its children are asked to end, each gets the rest of a message that was larger than its pipe."""

    def close(self) -> None:
        for job in list(self._cache.values()):
            writer: Any = getattr(job, "_writer", lambda: None)()
            if writer in self._active_writers and inspect.getgeneratorstate(writer) == inspect.GEN_SUSPENDED:
                self._flush_writer(job._write_to, writer)  # noqa: SLF001
        super().close()
