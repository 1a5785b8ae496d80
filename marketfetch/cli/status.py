"""`marketfetch status` shows the state of a job, or the list of jobs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from marketfetch.cli.screen import hint, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from marketfetch import JobSummary


@click.command()
@click.argument("job", required=False)
@click.option("--watch", is_flag=True, help="Follow the job until it is over.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.option("--limit", type=click.IntRange(1, 1000), default=10, show_default=True, help="How many jobs to list.")
@click.option("--tag", default="", help="List only jobs with this tag.")
@click.option("--mine", is_flag=True, help="List only your jobs: of the setting owner, or of your name on this system.")
@click.pass_context
def status(ctx: click.Context, *, job: str | None, watch: bool, as_json: bool, limit: int, tag: str, mine: bool) -> None:
    """Show the state of JOB, an id or its first 4 digits or more; without JOB, list the latest jobs.

    Exits with 0 while a job runs and when all of it succeeded; with 1 when it is over and a request failed, or cancelled.
    """
    import marketfetch
    from marketfetch.cli.outcome import sentences
    from marketfetch.cli.owner import owner
    from marketfetch.cli.progress import follow

    if job is not None and (tag or mine):
        raise click.UsageError("--tag and --mine choose jobs for the list: leave out JOB")
    if job is None:
        if watch:
            raise click.UsageError("--watch needs the id of a job")
        whose = owner() if mine else ""
        chosen = " and ".join([*([f"of {whose!r}"] if mine else []), *([f"with the tag {tag!r}"] if tag else [])])
        _list(marketfetch.list_jobs(limit, owner=whose, tag=tag), as_json=as_json, chosen=chosen)
        return
    state = marketfetch.status(job)
    if watch and state.state == "running":
        state = follow({state.job: state.provider})[state.job]
    if as_json:
        click.echo(state.model_dump_json())
    else:
        click.echo("\n".join(sentences(state)))
        for sentence in state.trouble:
            hint(sentence)
    ctx.exit(1 if state.state in ("failed", "cancelled") else 0)


def _list(found: Sequence[JobSummary], *, as_json: bool, chosen: str) -> None:
    if as_json:
        click.echo(json.dumps({"jobs": [_summary(one) for one in found]}))
        return
    if not found:
        hint(f"There are no jobs {chosen}." if chosen else "There are no jobs yet. Begin with `marketfetch fetch`.")
        return
    rows = [("job", "provider", "symbols", "timespan", "start", "end", "submitted (UTC)")]
    for one in found:
        submitted = f"{one.created_at:%Y-%m-%d %H:%M}"
        if one.trouble:
            rows += [(one.job_id, one.provider, "", "", "", "", submitted)]
        else:
            rows += [(one.job_id, one.provider, f"{one.symbols}", one.timespan, f"{one.start}", f"{one.end}", submitted)]
    table(rows)
    for one in found:
        if one.trouble:
            hint(one.trouble)


def _summary(one: JobSummary) -> dict[str, object]:
    return {
        "job": one.job_id,
        "provider": one.provider,
        "symbols": one.symbols,
        "timespan": one.timespan,
        "start": one.start.isoformat() if one.start else None,
        "end": one.end.isoformat() if one.end else None,
        "created_at": one.created_at.isoformat(),
        "owner": one.owner,
        "name": one.name,
        "tags": list(one.tags),
        **({"trouble": one.trouble} if one.trouble else {}),
    }
