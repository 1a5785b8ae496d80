"""The list of jobs as a table: on a terminal as wide as it is, into a pipe with every cell whole. An id is never cut."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import click

from marketfetch.cli import narrow
from marketfetch.lengths import in_a_table, per_minute

if TYPE_CHECKING:
    from marketfetch import JobSummary

HEADER: Final = ("job", "state", "done", "rate", "end", "symbols", "dataset", "owner")
#: The columns that become narrower where the terminal is, to how many characters, and those that go where that is not enough:
#: the first one first. The dataset is cut later than the rest: `polygo…` names no vendor.
_ELASTIC: Final = {5: 7, 6: 12, 7: 7}
_GO: Final = (7, 3, 6, 5, 4)
_COLOURS: Final = {"failed": "red", "done": "green", "cancelled": "yellow"}
_MANY: Final = 10_000


def print_jobs(jobs: Sequence[JobSummary]) -> None:
    """Prints a line a job to stdout."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, markup=False)
    rows = [HEADER, *(cells(job) for job in jobs)]
    for line in fitted(rows, console.width if console.is_terminal else None):
        if console.is_terminal:
            text = Text(line)
            for state, colour in _COLOURS.items():
                text.highlight_regex(rf"^\S+ +(?P<{colour}>{state})\b", style_prefix="")
            console.print(text, crop=False, overflow="ignore", no_wrap=True)
        else:
            click.echo(line)


def cells(job: JobSummary, *, now: datetime | None = None) -> tuple[str, ...]:
    """One job as the words under HEADER."""
    kind = job.provider if job.dataset in ("bars", "") else f"{job.provider} {job.dataset}"
    timespan = job.timespan if job.start else ""  # a whole list has neither a range nor a length of bars
    return (
        job.job_id,
        job.state,
        f"{_short(job.requests.over)}/{_short(job.requests.total)}",
        per_minute(job.rate_per_minute),
        _ends(job, now or datetime.now(UTC)),
        job.first_symbol + (f" +{job.symbols - 1}" if job.symbols > 1 else ""),
        f"{kind} {timespan}".rstrip(),
        job.owner,
    )


def fitted(rows: Sequence[Sequence[str]], width: int | None) -> list[str]:
    """The rows as lines of at most `width` characters, if the columns that are never cut allow it; None for any width."""
    return narrow.fitted(rows, width, elastic=_ELASTIC, go=_GO)[0]


def _ends(job: JobSummary, now: datetime) -> str:
    """`in 1h16m`, `3h ago`; `?` where it is not known."""
    if job.ended_at:
        return f"{in_a_table((now - job.ended_at).total_seconds())} ago"
    return "?" if job.eta_seconds is None else f"in {in_a_table(job.eta_seconds)}"


def _short(number: int) -> str:
    """`9999`, `12.3k`, `250k`, `1.2M`."""
    if number < _MANY:
        return f"{number}"
    unit, name = (1_000_000, "M") if number >= 1_000_000 else (1_000, "k")
    # Rounded down: 999,999 of 1,000,000 are not all.
    tenths = number * 10 // unit
    return f"{tenths / 10:.1f}{name}" if tenths < 1_000 else f"{tenths // 10}{name}"
