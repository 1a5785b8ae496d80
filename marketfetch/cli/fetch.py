"""`marketfetch fetch` submits a job; with --wait it follows the job to its end."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import IO, TYPE_CHECKING, Any

import click

from marketfetch.cli import completing
from marketfetch.cli.days import range_options
from marketfetch.cli.exit_codes import FAILED, OK
from marketfetch.cli.known_words import ADJUSTMENT, TIMESPAN
from marketfetch.cli.plan import show_plan
from marketfetch.cli.screen import command, hint, json_option
from marketfetch.cli.symbol_list import of_whole_market, symbols_of, with_universes
from marketfetch.documents.forecast_words import in_place_of_symbols
from marketfetch.phrases import counted

if TYPE_CHECKING:
    from marketfetch import Submitted


#: No market closes for longer: a range of so many days without a single row is a wrong symbol, not a holiday.
_SURELY_TRADED_DAYS = 10


class _FetchCommand(click.Command):
    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Lists the vendors, which are looked up only when the help is shown."""
        from marketfetch.vendors import names

        self.help = (self.help or "").replace("PROVIDER.", f"PROVIDER ({', '.join(names())}).", 1)
        super().format_help_text(ctx, formatter)


@click.command(cls=_FetchCommand)
@click.argument("provider", shell_complete=completing.providers)
@click.argument("symbols", nargs=-1, shell_complete=completing.symbols)
@click.option(
    "--symbols-file",
    type=click.File("rb"),
    help="More symbols: a line each, or a CSV with a column symbol or ticker (- for stdin; # begins a comment).",
)
@click.option(
    "--timespan", type=TIMESPAN, default="1d", show_default=True, help="The length of a bar: 1m 5m 15m 30m 1h 1d 1w 1mo."
)
@range_options(start_default="a year before --end", end_default="today in UTC")
@click.option(
    "--dataset",
    shell_complete=completing.datasets,
    default="bars",
    show_default=True,
    help="bars, splits, dividends, or the vendor's name for the data, such as WIKI/PRICES.",
)
@click.option("--adjustment", type=ADJUSTMENT, help="raw, split or split_dividend.  [default: raw where the vendor has it]")
@click.option("--again", is_flag=True, help="Fetch anew what an earlier equal job has stored.")
@click.option(
    "--priority",
    type=click.IntRange(0, 9),
    default=5,
    show_default=True,
    help="0 first, 9 last, strictly: see docs/operations.md.",
)
@click.option(
    "--by-symbol", is_flag=True, help="Ask for each symbol by itself, also where calls with the whole market are fewer."
)
@click.option("--name", default="", help="A name for the job, to find it by: `status NAME`.")
@click.option("--tag", "tags", multiple=True, help="A word to find the job by: `status --tag TAG`. May be given several times.")
@click.option("--wait", is_flag=True, help="Show progress until the job is over; exit with 1 if anything failed.")
@click.option("--dry-run", is_flag=True, help="Print what it would cost, as `marketfetch plan` does, and fetch nothing.")
@json_option
@click.pass_context
def fetch(
    ctx: click.Context,
    *,
    dry_run: bool,
    provider: str,
    symbols: tuple[str, ...],
    symbols_file: IO[bytes] | None,
    timespan: str,
    start: date | None,
    end: date | None,
    dataset: str,
    adjustment: str | None,
    again: bool,
    priority: int,
    by_symbol: bool,
    name: str,
    tags: tuple[str, ...],
    wait: bool,
    as_json: bool,
) -> None:
    """Fetch bars, or another dataset, of SYMBOLS from PROVIDER, a vendor as `marketfetch check` names it.

    Splits and dividends come as whole lists; some vendors have them by days too, and of all symbols (docs/datasets.md).
    SYMBOLS are in the vendor's own spelling, with blanks or commas between them; one that is named twice is asked once.
    @NAME stands for a universe of the settings, @FILE.txt for the symbols of a file.
    Prints the job's id and returns at once; workers do the rest. Days that are stored and final are not fetched again; the same
    arguments within a minute are one job. The job is yours (the setting owner, or your name on this system): the same wish of
    another user, or with another --name or --tag, is a job of its own that shares the calls.
    """
    from marketfetch import submit
    from marketfetch.addresses import database_choice, missing_database
    from marketfetch.cli.owner import is_system_user, owner
    from marketfetch.documents.job_documents import submitted_job
    from marketfetch.documents.outcome import why_no_call
    from marketfetch.exceptions import WrongValueError
    from marketfetch.jobs.list_wishes import whole_list
    from marketfetch.vendors import names, unknown

    wanted = symbols_of(symbols, symbols_file) or of_whole_market(provider, dataset)
    if not wanted and provider not in names():
        raise WrongValueError(f"{unknown(provider)} The vendor comes first, then the symbols.")
    if not wanted:
        raise click.UsageError("name at least one symbol, or give --symbols-file")
    wanted = with_universes(wanted, provider, start=start, end=end, timespan=timespan, dataset=dataset, adjustment=adjustment)
    if dry_run:
        show_plan(
            provider,
            tuple(wanted),
            start=start,
            end=end,
            timespan=timespan,
            dataset=dataset,
            adjustment=adjustment,
            again=again,
            priority=priority,
            by_symbol=by_symbol,
            as_json=as_json,
        )
        return
    new_database = missing_database()
    job = submit(
        provider,
        wanted,
        start=start,
        end=end,
        timespan=timespan,
        dataset=dataset,
        adjustment=adjustment,
        again=again,
        priority=priority,
        by_symbol=by_symbol,
        owner=owner(),
        keys_without_owner=is_system_user(),
        name=name,
        tags=tags,
    )
    if new_database:
        hint(f"The database is new: {new_database}. {database_choice()}")
    if job.refreshed:
        from marketfetch.documents.outcome import of_refreshed

        hint(of_refreshed(job.refreshed))
    if wait:
        # A whole list may be empty: most stocks were never split.
        may_be_empty = job.partly_stored or whole_list(provider, dataset)
        surely_traded = not may_be_empty and _days_over(start, end) >= _SURELY_TRADED_DAYS
        ctx.exit(_wait(job, name=provider, as_json=as_json, surely_traded=surely_traded))
    if as_json:
        click.echo(json.dumps(submitted_job(job)))
    else:
        click.echo(job.job_id)
    if not job.requests:
        days = {"start": start, "end": end, "timespan": timespan, "dataset": dataset, "adjustment": adjustment}
        hint(why_no_call(provider, wanted, **days))
        return
    hint(
        f"{counted(job.requests, 'request')}.{of_before(job)}{of_market(job)} See how it goes: {command()} status {job.job_id}"
    )


def of_before(job: Submitted) -> str:
    """What is said of a wish of the same minute: its counts are those of the job that it made then."""
    if job.new:
        return ""
    return " The same job was submitted less than a minute ago: what it has fetched is not fetched twice (--again does)."


def of_market(job: Submitted) -> str:
    """Why calls with the whole market take the place of calls by symbol; "" where none does."""
    return f" {in_place_of_symbols(job.market)}" if job.market else ""


def _wait(job: Submitted, *, name: str, as_json: bool, surely_traded: bool) -> int:
    """Follows the job to its end and returns the exit code: 1 also if no row came although there must be some."""
    from marketfetch.cli.progress import watched
    from marketfetch.documents.outcome import next_step, sentences

    said = f"{of_before(job)}{of_market(job)}"
    hint(f"job {job.job_id}: {counted(job.requests, 'request')}{f'.{said}' if said else ''}")
    state = watched({job.job_id: name})[job.job_id]
    if as_json:
        click.echo(state.model_dump_json())
    else:
        click.echo("\n".join(sentences(state)))
        if step := next_step(state):
            hint(step)
    if state.state == "done" and not state.rows and surely_traded:
        hint("No row at all came of a range in which every market trades, so the exit code is 1.")
        return FAILED
    return OK if state.state == "done" else FAILED


def _days_over(start: date | None, end: date | None) -> int:
    """How many days of the range have passed: what lies ahead has no rows yet."""
    from marketfetch.schemas import day_words

    now = datetime.now(UTC)
    asked = day_words.absolute({"start": start, "end": end}, now)
    first, last = (date.fromisoformat(asked[name]) for name in ("start", "end"))
    return (min(last, now.date()) - first).days


def _plan(**arguments: Any) -> None:
    click.get_current_context().invoke(fetch, dry_run=True, name="", tags=(), wait=False, **arguments)


#: The arguments of `fetch` that say what is wanted.
plan = _FetchCommand(
    "plan",
    callback=_plan,
    params=[one for one in fetch.params if one.name not in ("dry_run", "name", "tags", "wait")],
    help="""Print what a fetch would cost and send nothing: SYMBOLS of PROVIDER.

    It takes the arguments of `fetch`. Days that are stored already cost no call. The rows and bytes are estimates; the time is
    that of the keys' limits, with what is used of them and what other jobs have parked.
    """,
)
