"""`marketfetch purge` deletes old records, or what is parked. Bars stay."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import click

from marketfetch.cli import completing
from marketfetch.cli.ages import AGE
from marketfetch.cli.screen import hint, json_option
from marketfetch.phrases import counted, joined

if TYPE_CHECKING:
    from marketfetch.jobs.lane_purge import PurgedLane

#: In the place of a job: everything that is parked.
_ALL: Final = "all"


@click.command()
@click.option("--older-than", type=AGE, help="Old records: days or weeks since a job was over, such as 90d or 12w.")
@click.option(
    "--parked",
    metavar="JOB|all",
    shell_complete=completing.jobs,
    help="Cancel this job, or all jobs and tasks, and remove what they have parked.",
)
@click.option("--yes", is_flag=True, help="With --parked: do not ask.")
@json_option
def purge(*, older_than: timedelta | None, parked: str | None, yes: bool, as_json: bool) -> None:
    """Delete old records (--older-than), or what is parked (--parked). Every bar stays.

    --older-than deletes jobs that are over or cancelled, the requests and rejects that no other job asks for, and dead
    messages. What a purged job had asked is fetched anew when it is submitted again.

    --parked JOB cancels the job: its parked requests leave Redis, running ones end and are stored, and what other jobs and
    tasks share with it stays. `marketfetch resume JOB` lets it go on. --parked all does so with every open job, and revokes the
    parked tasks of your apps.
    """
    if (older_than is None) == (parked is None):
        raise click.UsageError("say what: --older-than AGE, such as 90d, or --parked JOB|all")
    if parked is not None:
        _purge_lane(parked, yes=yes, as_json=as_json)
    elif older_than is not None:
        _purge_old(older_than, as_json=as_json)


def _purge_old(older_than: timedelta, *, as_json: bool) -> None:
    from marketfetch.ops import retention

    gone = retention.purge(older_than=older_than)
    if as_json:
        click.echo(gone.model_dump_json())
        return
    parts = (
        counted(gone.jobs, "job"),
        counted(gone.requests, "request"),
        counted(gone.rejects, "reject"),
        counted(gone.dead_messages, "dead message"),
    )
    gone_any = gone.jobs or gone.requests or gone.rejects or gone.dead_messages
    click.echo(f"Purged {', '.join(parts)}. Every bar is kept." if gone_any else "Nothing was old enough to be purged.")


def _purge_lane(name: str, *, yes: bool, as_json: bool) -> None:
    from marketfetch.jobs.lane_purge import purge_all, purge_job

    if not yes and (question := _question(name)):
        click.confirm(question, abort=True, err=True)
    purged = purge_all() if name == _ALL else purge_job(name)
    if as_json:
        click.echo(purged.model_dump_json())
    else:
        _say(name, purged)


def _question(name: str) -> str:
    """Says what would be purged; "" where there is nothing. Raises MarketfetchError."""
    import marketfetch
    from marketfetch.jobs.lane_purge import parked

    if name == _ALL:
        found = parked()
        if not (found.jobs or found.tasks or found.requests):
            return ""
        lanes = ", ".join(f"{many:,} of {vendor}" for vendor, many in found.requests.items()) or "none"
        jobs, tasks = counted(found.jobs, "job"), counted(found.tasks, "task")
        return f"Cancel {jobs} (of every owner) and revoke {tasks}? Parked requests: {lanes}."
    state = marketfetch.status(name)
    if state.state != "running":
        return ""
    requests = state.requests
    return (
        f"Cancel job {state.job}? Of its requests {requests.parked:,} are parked; {requests.running:,} run and will be stored."
    )


def _say(name: str, purged: PurgedLane) -> None:
    for one in purged.jobs:
        if not one.requests + one.running:
            click.echo(f"{one.job}: nothing of it was parked.")
            continue
        runs = f"; {counted(one.running, 'running one')} will be stored" if one.running else ""
        click.echo(f"{one.job}: cancelled, {counted(one.requests, 'request')} of it withdrawn{runs}.")
        hint(f"`marketfetch resume {one.job}` lets it go on.")
    if name == _ALL:
        click.echo(_total(purged))
    if len(purged.jobs) > 1:
        hint("A request that several of the jobs share is counted for each.")
    if purged.tasks:
        hint("A worker marks the tasks as REVOKED within seconds, or when one starts.")


def _total(purged: PurgedLane) -> str:
    parts = [
        *([f"cancelled {counted(len(purged.jobs), 'job')}"] if purged.jobs else []),
        *([f"revoked {counted(purged.tasks, 'task')}"] if purged.tasks else []),
        *([f"removed {counted(purged.others, 'request')} of jobs that this database does not know"] if purged.others else []),
    ]
    return f"Purge: {joined(parts)}." if parts else "Nothing was parked, and no job was open."
