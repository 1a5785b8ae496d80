"""`marketfetch status` shows the state of a job, or the list of jobs; `marketfetch watch` follows them."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from marketfetch.cli import completing
from marketfetch.cli.exit_codes import FAILED, OK
from marketfetch.cli.screen import hint, json_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from marketfetch import JobStatus
    from marketfetch.jobs.job_list import Listing


@click.command()
@click.argument("job", required=False, shell_complete=completing.jobs)
@click.option("--failed", is_flag=True, help="List only jobs with failed requests; with JOB, show every failed request of it.")
@click.option("--watch", is_flag=True, help="Follow JOB, or every listed job that runs, until it is over.")
@click.option("--freshness", is_flag=True, help="List the stored series that are behind their calendar, by how many sessions.")
@json_option
@click.option(
    "--limit",
    type=click.IntRange(1, 1000),
    default=20,
    show_default=True,
    help="List so many of the latest jobs, and each older one that runs.",
)
@click.option("--tag", default="", help="List only jobs with this tag.")
@click.option("--mine", is_flag=True, help="List only your jobs: of the setting owner, or of your name on this system.")
@click.pass_context
def status(
    ctx: click.Context,
    *,
    job: str | None,
    failed: bool,
    watch: bool,
    freshness: bool,
    as_json: bool,
    limit: int,
    tag: str,
    mine: bool,
) -> None:
    """Show the state of JOB: an id, its first 4 digits or more, or a name. Without JOB, list the latest jobs and all that run.

    Exits with 0 while a job runs and when all of it succeeded; with 1 when JOB is over and a request failed, or cancelled, and
    when a watched job ended so; with --freshness, when a series is stale of which the vendor may have more, or which the vendor
    adjusted before a split or dividend that is known now.
    """
    from marketfetch.cli.owner import owner

    if freshness:
        from marketfetch.cli.freshness import show_freshness

        if job is not None or failed or watch or tag or mine:
            raise click.UsageError("--freshness looks at stored series: leave out JOB and what chooses jobs")
        ctx.exit(show_freshness(limit=limit, as_json=as_json))
    if job is None:
        chosen = Chosen(limit, owner=owner() if mine else "", tag=tag, failed=failed)
        ctx.exit(_show_list(chosen, watch=watch, as_json=as_json))
    if tag or mine:
        raise click.UsageError("--tag and --mine choose jobs for the list: leave out JOB")
    ctx.exit(_show_job(job, failed=failed, watch=watch, as_json=as_json))


@click.command()
@click.argument("job", required=False, shell_complete=completing.jobs)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, at the end.")
@click.pass_context
def watch(ctx: click.Context, *, job: str | None, as_json: bool) -> None:
    """Follow JOB, or every job that runs, until it is over: the same as `status --watch`.

    Ctrl-C ends the watching, and no job. Exits with 1 when a job ended with failures, or cancelled.
    """
    ctx.invoke(status, job=job, watch=True, as_json=as_json)


def _show_job(job: str, *, failed: bool, watch: bool, as_json: bool) -> int:
    import marketfetch
    from marketfetch.cli.progress import watched
    from marketfetch.documents.outcome import failure_lines, next_step, sentences
    from marketfetch.jobs.job_status import failures

    state = marketfetch.status(job)
    if watch and state.state == "running":
        state = watched({state.job: state.provider})[state.job]
    if failed:
        state.failures = failures(state.job)
    if as_json:
        click.echo(state.model_dump_json())
        return _exit_code([state])
    lines = failure_lines(state) if failed else sentences(state)
    click.echo("\n".join(lines))
    for sentence in filter(None, [*state.trouble, next_step(state)]):
        hint(sentence)
    return _exit_code([state])


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which jobs to list."""

    limit: int
    owner: str
    tag: str
    failed: bool

    def listing(self, also: Sequence[str] = ()) -> Listing:
        from marketfetch.jobs.job_list import listing

        return listing(self.limit, owner=self.owner, tag=self.tag, failed=self.failed, running=True, also=also)

    def none(self) -> str:
        """What is said where there is none."""
        if not (self.owner or self.tag):
            return "No job has a failed request" if self.failed else "There are no jobs yet"
        of = f" of {self.owner!r}" if self.owner else ""
        having = [*([f"the tag {self.tag!r}"] if self.tag else []), *(["a failed request"] if self.failed else [])]
        return f"There are no jobs{of}{' with ' if having else ''}{' and '.join(having)}"


def _show_list(chosen: Chosen, *, watch: bool, as_json: bool) -> int:
    from marketfetch.cli.job_table import print_jobs
    from marketfetch.cli.progress import watched
    from marketfetch.documents.job_documents import job_list

    found = chosen.listing()
    running = [one.job_id for one in found.jobs if one.state == "running"]
    ended: list[JobStatus] = []
    if watch and running:
        ended = list(watched({one: one for one in running}).values())
        found = chosen.listing(also=running)
    found.trouble.extend([*_stale_prices(), *_of_schedules()])
    if as_json:
        click.echo(json.dumps(job_list(found)))
    elif found.jobs:
        print_jobs(found.jobs)
        _hints(found)
    else:
        _say_none(chosen)
    if watch and not running and not as_json:
        hint("No job is running.")
    return _exit_code(ended)


def _say_none(chosen: Chosen) -> None:
    """Says that there is no such job, in which database it was looked for, and how to name another."""
    from marketfetch.addresses import database_choice
    from marketfetch.jobs.lookup import recorded

    begin = (
        ""
        if chosen.owner or chosen.tag or chosen.failed
        else " Begin with `marketfetch up`, or without an API key with `marketfetch up --sandbox`; then `marketfetch fetch`."
    )
    hint(f"{chosen.none()} in {recorded().database.where}.{begin} {database_choice()}")


def _exit_code(states: list[JobStatus]) -> int:
    return FAILED if any(one.state in ("failed", "cancelled") for one in states) else OK


def _stale_prices() -> list[str]:
    """Says how many series their vendor adjusted before an action that is known now, and of one of them which."""
    from marketfetch.jobs.lookup import recorded
    from marketfetch.phrases import counted
    from marketfetch.storage.store import NoTables
    from marketfetch.storage.vendor_adjusted import stale_series

    try:
        stale = stale_series(recorded(), time.time_ns() // 1_000_000)
    except NoTables:
        return []  # nothing has been stored yet
    if not stale:
        return []
    one = max(stale, key=lambda series: series.ex_date)
    series = counted(len(stale), "series", "series")
    verb = "is" if len(stale) == 1 else "are"
    return [f"{series} of adjusted prices {verb} stale: {one.symbol} {one.why}. `marketfetch status --freshness` lists all."]


def _of_schedules() -> list[str]:
    """Says which schedules can't be run, or have failed. Where that is not known, the list says why already."""
    from marketfetch.exceptions import MarketfetchError
    from marketfetch.jobs.schedule_faults import faults
    from marketfetch.storage.store import StoreError

    try:
        return faults()
    except (MarketfetchError, StoreError):
        return []


def _hints(found: Listing) -> None:
    """Says below the list what waits, and what an operator should act on."""
    from marketfetch.documents.outcome import waits

    for provider, call in {one.provider: one.next_call for one in found.jobs if one.next_call}.items():
        hint(f"{provider}: {waits(call)}")
    for sentence in [*found.trouble, *(one.trouble for one in found.jobs if one.trouble)]:
        hint(sentence)
