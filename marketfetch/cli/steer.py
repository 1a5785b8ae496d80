"""`marketfetch cancel`, `resume` and `retry` change what a job still does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from marketfetch.cli import completing
from marketfetch.cli.exit_codes import FAILED, OK
from marketfetch.cli.screen import command, hint, json_option
from marketfetch.phrases import counted

if TYPE_CHECKING:
    from marketfetch import JobStatus


@click.command()
@click.argument("job", shell_complete=completing.jobs)
@json_option
def cancel(*, job: str, as_json: bool) -> None:
    """Make no more calls for JOB. Running requests still end; requests that other jobs share stay."""
    import marketfetch
    from marketfetch.documents.outcome import next_step, sentences

    state = marketfetch.cancel(job)
    said = [_under_way(state)] if state.state == "running" else sentences(state)
    click.echo(state.model_dump_json() if as_json else "\n".join(said))
    if state.state in ("done", "failed"):
        hint("Nothing was cancelled: every request of the job was over already.")
    if step := next_step(state):
        hint(step)


@click.command()
@click.argument("job", required=False, shell_complete=completing.jobs)
@json_option
@click.pass_context
def resume(ctx: click.Context, *, job: str | None, as_json: bool) -> None:
    """Park at once what is to do of JOB, or of every open job. Nothing that is stored, empty or failed is fetched again.

    Workers do the same every few seconds, except for a job that was cancelled. Exits with 1 if one of the open jobs can't go
    on; the others do.
    """
    import marketfetch
    from marketfetch.documents.job_documents import fed_jobs
    from marketfetch.jobs.steering import resume_all

    before = marketfetch.status(job) if job is not None else None
    fed = resume_all() if before is None else {before.job: marketfetch.resume(before.job)}
    if as_json:
        click.echo(json.dumps(fed_jobs(fed)))
    for name, requests in fed.items():
        if isinstance(requests, Exception):
            hint(str(requests))
        elif as_json:
            continue
        elif before and before.requests.cancelled > requests:
            click.echo(f"{name}: {_go_on(before.requests.cancelled, requests)}")
        else:
            goes = f"{counted(requests, 'request')} {'goes' if requests == 1 else 'go'} on."
            click.echo(f"{name}: {goes if requests else _as_it_is(name)}")
    if not fed:
        (hint if as_json else click.echo)(
            "No job is open, so there is nothing to resume. One that is cancelled goes on with `marketfetch resume JOB`."
        )
    ctx.exit(FAILED if any(isinstance(requests, Exception) for requests in fed.values()) else OK)


@click.command()
@click.argument("job", shell_complete=completing.jobs)
@json_option
def retry(*, job: str, as_json: bool) -> None:
    """Make the failed requests of JOB again."""
    import marketfetch
    from marketfetch.documents.job_documents import fed_job
    from marketfetch.documents.outcome import of_retry

    job = _whole(job)
    in_vain = of_retry(marketfetch.status(job))
    failed = marketfetch.retry(job)
    if failed and in_vain:
        hint(in_vain)
    if as_json:
        click.echo(json.dumps(fed_job(job, failed)))
        return
    click.echo(
        f"{counted(failed, 'failed request')} of {job} {'is' if failed == 1 else 'are'} to be made again."
        if failed
        else f"No request of {job} has failed."
    )
    if failed:
        hint(f"See how it goes: {command()} status {job}")


def _under_way(state: JobStatus) -> str:
    """What a cancel has ended of a job that still runs, and why it runs."""
    counts = state.requests
    said = [f"Cancelled: {counted(counts.cancelled, 'request')} of {state.job}."]
    if counts.running:
        said.append(
            f"{counted(counts.running, 'call')} under way will end and {'is' if counts.running == 1 else 'are'} stored."
        )
    if counts.parked:
        stay = "stays, as another job waits for it" if counts.parked == 1 else "stay, as other jobs wait for them"
        said.append(f"{counted(counts.parked, 'request')} {stay}.")
    return " ".join(said)


def _go_on(cancelled: int, parked: int) -> str:
    """What is said of cancelled requests of which fewer were parked anew: another job shares them, or they are very many."""
    again = f"{counted(cancelled, 'cancelled request')} {'is' if cancelled == 1 else 'are'} to be made again"
    if parked:
        return f"{again}, {parked:,} of them from now on."
    return f"{again}: another job waits for {'it' if cancelled == 1 else 'them'} already."


def _as_it_is(job: str) -> str:
    """What is said of a job of which nothing was parked anew."""
    import marketfetch

    state = marketfetch.status(job)
    if state.state == "running":
        return "nothing was missing: its requests wait for their turn, or run."
    failed = counted(state.requests.failed, "failed request")
    again = f" `marketfetch retry {job}` makes its {failed} again." if state.requests.failed else ""
    return f"nothing is left to do: every request is over.{again}"


def _whole(job: str) -> str:
    """The id of the job that is meant by the beginning of one."""
    from marketfetch.jobs.lookup import known_job, recorded

    return known_job(recorded(), job).id
