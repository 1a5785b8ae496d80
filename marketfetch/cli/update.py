"""`marketfetch update`: the last sessions of many symbols, less what is stored and final."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import IO, TYPE_CHECKING, Final

import click

from marketfetch.cli import completing
from marketfetch.cli.exit_codes import FAILED, OK
from marketfetch.cli.fetch import of_before, of_market
from marketfetch.cli.known_words import ADJUSTMENT, TIMESPAN
from marketfetch.cli.screen import command, hint, json_option
from marketfetch.cli.symbol_list import symbols_of, with_universes
from marketfetch.phrases import counted

if TYPE_CHECKING:
    from marketfetch.jobs.days_before import LeftOut


#: As many symbols are written into a command that is advised.
_MOST_TYPED: Final = 5
#: The defaults of options, which an advised command need not name.
_USUAL: Final = {"timespan": "1d", "dataset": "bars"}


@click.command()
@click.argument("provider", shell_complete=completing.providers)
@click.argument("symbols", nargs=-1, shell_complete=completing.symbols)
@click.option(
    "--symbols-file", type=click.File("rb"), help="More symbols: a line each, or a CSV with a column symbol or ticker."
)
@click.option("--last", default="5 sessions", show_default=True, help="How far back: '5 sessions' by each calendar, or '30d'.")
@click.option(
    "--timespan", type=TIMESPAN, default="1d", show_default=True, help="The length of a bar: 1m 5m 15m 30m 1h 1d 1w 1mo."
)
@click.option(
    "--dataset", shell_complete=completing.datasets, default="bars", show_default=True, help="The vendor's name for the data."
)
@click.option("--adjustment", type=ADJUSTMENT, help="raw, split or split_dividend.  [default: as for fetch]")
@click.option(
    "--by-symbol", is_flag=True, help="Ask for each symbol by itself, also where calls with the whole market are fewer."
)
@click.option("--name", default="", help="A name for the job, to find it by: `status NAME`.")
@click.option("--tag", "tags", multiple=True, help="A word to find the job by: `status --tag TAG`. May be given several times.")
@click.option("--wait", is_flag=True, help="Show progress until the job is over; exit with 1 if anything failed.")
@json_option
@click.pass_context
def update(
    ctx: click.Context,
    *,
    provider: str,
    symbols: tuple[str, ...],
    symbols_file: IO[bytes] | None,
    last: str,
    timespan: str,
    dataset: str,
    adjustment: str | None,
    by_symbol: bool,
    name: str,
    tags: tuple[str, ...],
    wait: bool,
    as_json: bool,
) -> None:
    """Fetch the last sessions of SYMBOLS from PROVIDER, until today: what is stored and final is not asked for again.

    SYMBOLS are as for `fetch`: @NAME stands for a universe. Where nothing is new, no call is made. Prices that PROVIDER has
    adjusted before a split or dividend that is known now are asked for again, all days of them. For every evening, put it into
    cron, or into the beat of an app of yours as the task `marketfetch.update`.
    """
    from marketfetch.cli.owner import is_system_user, owner
    from marketfetch.documents.job_documents import submitted_job
    from marketfetch.documents.outcome import ALL_STORED, of_refreshed
    from marketfetch.jobs.days_before import left_out
    from marketfetch.jobs.updating import update as updated

    named = symbols_of(symbols, symbols_file)
    if not named:
        raise click.UsageError("name at least one symbol or @universe, or give --symbols-file")
    if last.strip().isdigit():
        hint(f"--last {last} means {last} sessions, by each symbol's calendar; '{last} days' are days.")
    job = updated(
        provider,
        with_universes(named, provider, timespan=timespan, dataset=dataset, adjustment=adjustment),
        last=last,
        timespan=timespan,
        dataset=dataset,
        adjustment=adjustment,
        by_symbol=by_symbol,
        owner=owner(),
        keys_without_owner=is_system_user(),
        name=name,
        tags=tags,
    )
    options = {"timespan": timespan, "dataset": dataset, "adjustment": adjustment}
    again = of_refreshed(job.refreshed)
    older = _older(left_out(job.job_id), provider, options)
    said = f"{of_before(job)}{of_market(job)}"
    if wait:
        hint(f"job {job.job_id}: {counted(job.requests, 'request')}{f'.{said}' if said else ''}")
        code = _wait(job.job_id, provider, as_json=as_json)
        for sentence in filter(None, (again, older)):
            hint(sentence)
        ctx.exit(code)
    click.echo(json.dumps(submitted_job(job)) if as_json else job.job_id)
    for sentence in filter(None, (again, older)):
        hint(sentence)
    if not job.requests:
        hint(ALL_STORED)
        return
    hint(f"{counted(job.requests, 'request')}.{said} See how it goes: {command()} status {job.job_id}")


def _older(found: Sequence[LeftOut], provider: str, options: Mapping[str, str | None]) -> str:
    """Names the sessions between what was stored before and the update, and the command that fetches them; "" for none."""
    if not found:
        return ""
    most = max(found, key=lambda one: one.sessions)
    of = most.symbol if len(found) == 1 else f"{most.symbol}, and some of {counted(len(found) - 1, 'other symbol')},"
    more = [word for name, value in options.items() if value and value != _USUAL.get(name) for word in (f"--{name}", value)]
    symbols = [one.symbol for one in found] if len(found) <= _MOST_TYPED else ["..."]
    words = [shlex.quote(one) for one in ("fetch", provider, *symbols, *more, "--start", str(min(one.since for one in found)))]
    verb = "is" if most.sessions == 1 and len(found) == 1 else "are"
    return (
        f"{counted(most.sessions, 'session')} of {of} before {most.before} {verb} not stored: "
        f"`marketfetch {' '.join(words)}` fetches what is missing."
    )


def _wait(job_id: str, provider: str, *, as_json: bool) -> int:
    from marketfetch.cli.progress import watched
    from marketfetch.documents.outcome import next_step, sentences

    state = watched({job_id: provider})[job_id]
    if as_json:
        click.echo(state.model_dump_json())
    else:
        click.echo("\n".join(sentences(state)))
        if step := next_step(state):
            hint(step)
    return OK if state.state == "done" else FAILED
