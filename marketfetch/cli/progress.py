"""Live progress of jobs: a bar per job on a terminal; in a log a line a minute at most, and only when something changed."""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Final

import click

from marketfetch.cli.screen import command, err, hint
from marketfetch.cli.signals import signals_as_exceptions
from marketfetch.documents.outcome import waits
from marketfetch.lengths import in_words, per_minute
from marketfetch.phrases import counted

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from marketfetch import JobStatus

_LINE_EVERY_SECONDS: Final = 60.0
#: The share of a new estimate that is shown at once: one that comes four times a second must not jump.
_SHARE: Final = 0.25
_BAR: Final = 10


def watched(jobs: Mapping[str, str]) -> dict[str, JobStatus]:
    """As `follow`, for a user who may leave: Ctrl-C says that the jobs go on."""
    try:
        with signals_as_exceptions():
            return follow(jobs)
    except KeyboardInterrupt:
        again = f"{command()} watch{f' {next(iter(jobs))}' if len(jobs) == 1 else ''}"
        goes_on = "The job goes on" if len(jobs) == 1 else f"The {len(jobs)} jobs go on"
        hint(f"\n{goes_on} without you. Watch again: {again}")
        raise


def follow(jobs: Mapping[str, str], *, tend: Callable[[], list[str]] = list) -> dict[str, JobStatus]:
    """Shows jobs (id -> the name to show) until all are over, and returns their final states.

    `tend` is called a few times a second; the sentences it returns are shown. An obstacle (no worker, no database) is shown
    once, when it appears. Only an exception ends this early: Ctrl-C, or what `tend` raises.
    """
    from marketfetch.jobs.steering import pause_s

    console = err()
    view: Bars | Lines = Bars(console, jobs) if console.is_terminal and not console.is_dumb_terminal else Lines(jobs)
    pause, asked = threading.Event(), time.monotonic()
    shown: set[str] = set()
    with view.shown():
        while True:
            began = time.monotonic()
            states = _read(jobs, view)
            for job, state in states.items():
                view.update(job, state)
            for sentence in tend():
                view.say(sentence)
            for sentence in sorted({sentence for state in states.values() for sentence in state.trouble}):
                # "rests for 57 s more" and "rests for 56 s more" are one message.
                if (news := re.sub(r"[0-9.]+", "", sentence)) not in shown:
                    shown.add(news)
                    view.say(sentence)
            if len(states) == len(jobs) and all(state.state != "running" for state in states.values()):
                return states
            pause.wait(pause_s(time.monotonic() - began, waited_s=began - asked))


def _read(jobs: Mapping[str, str], view: Bars | Lines) -> dict[str, JobStatus]:
    """Returns the state of each job. A job whose state is not available now is left out, and the reason shown."""
    from marketfetch import status
    from marketfetch.exceptions import MarketfetchError

    states = {}
    for job in jobs:
        try:
            states[job] = status(job)
        except MarketfetchError as error:
            view.say(str(error))
    return states


class Moment:
    """A moment ahead that is estimated again and again: it comes nearer steadily, and moves to a new estimate by and by."""

    def __init__(self) -> None:
        self._at: float | None = None

    def estimate(self, seconds: float | None) -> None:
        if seconds is None:
            self._at = None
            return
        at = time.monotonic() + seconds
        self._at = at if self._at is None else self._at + (at - self._at) * _SHARE

    @property
    def left(self) -> float | None:
        return None if self._at is None else max(0.0, self._at - time.monotonic())


class Bars:
    """For a terminal: a line a job that never wraps, and below them what all of them wait for. Moves by itself."""

    def __init__(self, console: Console, jobs: Mapping[str, str]) -> None:
        self._console = console
        self._names = dict(jobs)
        self._states: dict[str, JobStatus] = {}
        self._ends = {job: Moment() for job in jobs}
        self._calls = {job: Moment() for job in jobs}
        self._said = ""
        # An older terminal's encoding has no line to draw with.
        self._drawn = "━" if console.encoding.startswith("utf") else "="

    def shown(self) -> AbstractContextManager[object]:
        from rich.live import Live

        return Live(get_renderable=self._picture, console=self._console, refresh_per_second=4, vertical_overflow="visible")

    def update(self, job: str, state: JobStatus) -> None:
        self._states[job] = state
        self._ends[job].estimate(state.eta_seconds)
        self._calls[job].estimate(state.next_call.seconds if state.next_call else None)

    def say(self, sentence: str) -> None:
        if sentence != self._said:
            self._console.print(sentence)
        self._said = sentence

    def _picture(self) -> Text:
        from rich.text import Text

        lines = [self._line(job) for job in self._names]
        lines += sorted({line for job in self._states if (line := self._waits(job))})
        return Text("\n".join(line[: self._console.width] for line in lines), no_wrap=True, overflow="crop")

    def _line(self, job: str) -> str:
        """The parts that the width allows, the most telling ones first."""
        if not (state := self._states.get(job)):
            return self._names[job]
        counts = state.requests
        done = counts.over * _BAR // counts.total if counts.total else 0
        parts = [
            f"{self._names[job]:<13}",
            (self._drawn * done).ljust(_BAR, " " if self._drawn == "=" else "╌"),
            f"{counts.over}/{counts.total} requests",
            *([f"{counts.failed} failed"] if counts.failed else []),
        ]
        left = self._ends[job].left
        more = [
            *([f"{in_words(left)} left"] if state.state == "running" and left is not None else []),
            *([per_minute(state.rate_per_minute)] if state.state == "running" else []),
            counted(state.rows, "row"),
            *([counted(state.rejects, "reject")] if state.rejects else []),
        ]
        line = "  ".join(parts)
        for part in more:
            if len(line) + 2 + len(part) <= self._console.width:
                line += f"  {part}"
        return line

    def _waits(self, job: str) -> str:
        call, left = self._states[job].next_call, self._calls[job].left
        if call is None or left is None:
            return ""
        return f"{self._states[job].provider}: {waits(call, math.ceil(left))}"


class Lines:
    """For a log: a line a job when its counts have changed, once a minute at most, and one when it is over."""

    def __init__(self, jobs: Mapping[str, str]) -> None:
        self._names = jobs
        self._next: dict[str, float] = {}
        self._last: dict[str, object] = {}
        self._said: dict[str, float] = {}

    def shown(self) -> AbstractContextManager[object]:
        return nullcontext()

    def update(self, job: str, state: JobStatus) -> None:
        now = time.monotonic()
        ended = state.state != "running"
        counts = state.requests
        news = (counts, state.rows, ended)
        if news == self._last.get(job) or (now < self._next.get(job, 0.0) and not ended):
            return
        self._next[job], self._last[job] = now + _LINE_EVERY_SECONDS, news
        parts = [
            f"{counts.over} of {counted(counts.total, 'request')}",
            counted(state.rows, "row"),
            *([counted(state.rejects, "reject")] if state.rejects else []),
            *([f"{counts.failed} failed"] if counts.failed else []),
            *([f"{counts.parked} waiting"] if counts.parked else []),
            *([per_minute(state.rate_per_minute)] if state.rate_per_minute else []),
            *([f"about {in_words(state.eta_seconds)} left"] if state.eta_seconds else []),
        ]
        call = f"; {waits(state.next_call)}" if state.next_call else ""
        click.echo(f"{self._names[job]}: {', '.join(parts)}{call}", err=True)

    def say(self, sentence: str) -> None:
        now = time.monotonic()
        if now >= self._said.get(sentence, 0.0):
            click.echo(sentence, err=True)
            self._said[sentence] = now + _LINE_EVERY_SECONDS
