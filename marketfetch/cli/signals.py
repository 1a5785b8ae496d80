"""Signals become exceptions, so that every command ends through its `with` blocks."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType


class Stopped(KeyboardInterrupt):
    """SIGTERM or SIGHUP came: end as after Ctrl-C."""


@contextlib.contextmanager
def signals_as_exceptions() -> Iterator[None]:
    """SIGTERM and SIGHUP raise Stopped in the main thread, as Ctrl-C raises KeyboardInterrupt, so that blocks clean up.

    SIGINT too, which a shell sets to be ignored for background jobs: a SIGINT sent to one of these is meant to end it.
    """

    def stop(number: int, _: FrameType | None) -> None:
        raise Stopped(signal.Signals(number).name)

    with on_signals(stop):
        yield


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Delays signals to the end of this block, so that a server which starts inside is always stopped."""
    came: list[int] = []
    with on_signals(lambda number, _: came.append(number)):
        yield
    if came:
        raise Stopped(signal.Signals(came[0]).name)


@contextlib.contextmanager
def on_signals(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """For the time of the block, `handler` takes SIGINT, SIGTERM and SIGHUP. Main thread only."""
    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
