"""Live progress of jobs: a bar per job on a terminal, a line per job every few seconds in a log."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Final

import click

from marketfetch.cli.screen import counted, err

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

    from marketfetch import JobStatus

_EVERY_SECONDS: Final = 0.25
_LINE_EVERY_SECONDS: Final = 3.0


def follow(jobs: Mapping[str, str], *, tend: Callable[[], list[str]] = list) -> dict[str, JobStatus]:
    """Shows jobs (id -> the name to show) until all are over, and returns their final states.

    `tend` is called a few times a second; the sentences it returns are shown. An obstacle (no worker, no database) is shown
    once, when it appears. Only an exception ends this early: Ctrl-C, or what `tend` raises.
    """
    console = err()
    view: Bars | Lines = Bars(console, jobs) if console.is_terminal else Lines(jobs)
    pause = threading.Event()
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
                view.done()
                return states
            # `status` of a job of a million requests is expensive: at least four fifths of the time are left to the workers.
            pause.wait(max(_EVERY_SECONDS, 4 * (time.monotonic() - began)))


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


def over(state: JobStatus) -> int:
    """Counts the requests of a job that are over: stored, failed or cancelled."""
    return state.requests.stored + state.requests.failed + state.requests.cancelled


def waiting(state: JobStatus) -> int:
    """Counts the requests of a job that are parked."""
    return state.requests.parked


class Bars:
    """For a terminal."""

    def __init__(self, console: Console, jobs: Mapping[str, str]) -> None:
        from rich.progress import BarColumn, Progress, TextColumn
        from rich.table import Column

        # Together less than 80 characters, so that nothing is cut in a common terminal.
        columns = (
            "{task.description:<13}",
            BarColumn(bar_width=12),
            "{task.completed:>3.0f}/{task.total:.0f} requests",
            "{task.fields[rows]:>9,} rows",
            "{task.fields[rejects]:>2,} rejects",
            "{task.fields[note]}",
        )
        unbroken = Column(no_wrap=True)
        self._progress: Progress = Progress(
            *(TextColumn(one, table_column=unbroken.copy()) if isinstance(one, str) else one for one in columns),
            console=console,
        )
        self._said: str = ""
        self._tasks: dict[str, TaskID] = {
            job: self._progress.add_task(name, total=0, rows=0, rejects=0, note="") for job, name in jobs.items()
        }

    def shown(self) -> AbstractContextManager[object]:
        return self._progress

    def update(self, job: str, state: JobStatus) -> None:
        failed = state.requests.failed
        self._progress.update(
            self._tasks[job],
            total=state.requests.total,
            completed=over(state),
            rows=state.rows,
            rejects=state.rejects,
            note=f"{waiting(state):,} waiting" if waiting(state) else f"{failed} failed" if failed else "",
        )
        if state.state != "running":
            self._progress.stop_task(self._tasks[job])

    def say(self, sentence: str) -> None:
        if sentence != self._said:
            self._progress.console.print(sentence)
        self._said = sentence

    def done(self) -> None:
        self._progress.refresh()


class Lines:
    """For a log: one line a job every few seconds, and one when it is over."""

    def __init__(self, jobs: Mapping[str, str]) -> None:
        self._names = jobs
        self._next: dict[str, float] = {}
        self._said = ""
        self._over: set[str] = set()

    def shown(self) -> AbstractContextManager[object]:
        return nullcontext()

    def update(self, job: str, state: JobStatus) -> None:
        now = time.monotonic()
        ended = state.state != "running"
        if job in self._over or (now < self._next.get(job, 0.0) and not ended):
            return
        self._next[job] = now + _LINE_EVERY_SECONDS
        if ended:
            self._over.add(job)
        counts = state.requests
        parts = [
            f"{over(state)} of {counted(counts.total, 'request')}",
            counted(state.rows, "row"),
            counted(state.rejects, "reject"),
            f"{waiting(state)} waiting",
            *([f"{counts.failed} failed"] if counts.failed else []),
        ]
        click.echo(f"{self._names[job]}: {', '.join(parts)}", err=True)

    def say(self, sentence: str) -> None:
        if sentence != self._said:
            click.echo(sentence, err=True)
        self._said = sentence

    def done(self) -> None:
        """Nothing is left to show."""
