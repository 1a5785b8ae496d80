"""`marketfetch schedule`: the schedules of the settings, when each is due, and its runs."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from marketfetch.cli import completing
from marketfetch.cli.screen import command, hint, json_option, table

if TYPE_CHECKING:
    from marketfetch.jobs.scheduling import Planned


@click.group()
def schedule() -> None:
    """Show, run and pause the schedules of marketfetch.toml: a [[schedule]] there is a job that beat starts when it is due."""


@schedule.command("list")
@json_option
def list_command(*, as_json: bool) -> None:
    """List the schedules: what each asks for, when it is due next, and the job of its latest run. Times are UTC."""
    _show(sorted_by_time=False, as_json=as_json)


@schedule.command("next")
@json_option
def next_command(*, as_json: bool) -> None:
    """List the schedules in the order in which they are due next. Times are UTC."""
    _show(sorted_by_time=True, as_json=as_json)


@schedule.command()
@click.argument("name", shell_complete=completing.schedules)
@json_option
def run(name: str, *, as_json: bool) -> None:
    """Submit a run of the schedule NAME now, also if it is paused; prints the job's id."""
    from marketfetch.documents.job_documents import submitted_job
    from marketfetch.jobs.scheduling import run_now

    job = run_now(name)
    click.echo(json.dumps(submitted_job(job)) if as_json else job.job_id)
    hint(f"See how it goes: {command()} status {job.job_id}")


@schedule.command()
@click.argument("name", shell_complete=completing.schedules)
@json_option
def pause(name: str, *, as_json: bool) -> None:
    """Start no run of the schedule NAME until `schedule resume NAME`. A run that goes is not stopped.

    --json prints all schedules, as they are then.
    """
    from marketfetch.jobs.scheduling import pause as paused

    paused(name)
    if as_json:
        _print_document()
    hint(f"{name} is paused: {command()} schedule resume {name} goes on.")


@schedule.command()
@click.argument("name", shell_complete=completing.schedules)
@json_option
def resume(name: str, *, as_json: bool) -> None:
    """Start the runs of the schedule NAME again: the one that was due last, if it was missed, within a minute.

    --json prints all schedules, as they are then.
    """
    from marketfetch.jobs.scheduling import resume as resumed

    resumed(name)
    if as_json:
        _print_document()
    hint(f"{name} goes on.")


def _print_document() -> None:
    from marketfetch.documents.schedule_documents import schedules_document
    from marketfetch.jobs.scheduling import schedules

    click.echo(json.dumps(schedules_document(schedules())))


def _show(*, sorted_by_time: bool, as_json: bool) -> None:
    from marketfetch.documents.schedule_documents import schedules_document
    from marketfetch.jobs.schedule_faults import of_schedules
    from marketfetch.jobs.scheduling import schedules

    found = schedules()
    if sorted_by_time:
        found.sort(key=lambda one: (one.paused_ms is not None, one.next_ms is None, one.next_ms or 0))
    if as_json:
        click.echo(json.dumps(schedules_document(found)))
        return
    if not found:
        hint("The settings have no schedule: add a [[schedule]] to marketfetch.toml (docs/operations.md has an example).")
        return
    rows: list[tuple[str, ...]] = [("name", "asks for", "when", "next (UTC)", "last run (UTC)")]
    rows += [_cells(one) for one in found]
    table(rows, elastic={"asks for": 15, "when": 12}, go=("last run (UTC)", "asks for"))
    for sentence in of_schedules(found):
        hint(sentence)


def _cells(one: Planned) -> tuple[str, ...]:
    asked = one.schedule
    what = f"{asked.provider} {' '.join(asked.words)} {asked.dataset} {asked.timespan}"
    coming = "paused" if one.paused_ms is not None else _time(one.next_ms) or "?"
    last = f"{_time(one.latest_ms)} {one.latest_job}" if one.latest_job else "not yet"
    return asked.name, what if len(what) <= 50 else f"{what[:47]}...", asked.when, coming, last


def _time(at_ms: int | None) -> str:
    return "" if at_ms is None else f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M}"
