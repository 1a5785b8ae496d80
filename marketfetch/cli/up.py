"""`marketfetch up`: everything for one machine, until Ctrl-C."""

from __future__ import annotations

import contextlib
import shlex
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from marketfetch.cli.ports import FLOWER_PORT, WEB_PORT, refusal
from marketfetch.cli.screen import command
from marketfetch.worker_pools import WORKER_POOLS, refused_pool

if TYPE_CHECKING:
    from marketfetch.cli.embedded import EmbeddedRedis, EmbeddedVendors
    from marketfetch.cli.processes import Processes

_EVERY_SECONDS: Final = 0.5
#: What click gives for `--web` without a number.
_PORT_OF_SETTINGS: Final = "the port of the settings"
_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
_SERVERS_EVERY: Final = 4
_LOOK: Final = "SELECT * FROM bars LIMIT 5"
#: Flower's list of tasks: the symbol is in args, the range in kwargs, when a parked one is expected in eta.
_COLUMNS: Final = "name,args,kwargs,state,eta,received,started,runtime,worker,uuid"
#: Where the command that is shown begins: the second where a vendor has nothing after the first.
_STARTS: Final = (date(2024, 1, 1), date(2014, 1, 1))


class _Port(click.IntRange):
    """A port; 0 stands for that of [serve], and can't be written."""

    def __init__(self) -> None:
        super().__init__(1, 65535)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return 0 if value == _PORT_OF_SETTINGS else super().convert(value, param, ctx)


def _pool(ctx: click.Context, param: click.Parameter, value: str) -> str:
    """The name of a pool that works. Raises BadParameter with the names that do."""
    if value not in WORKER_POOLS:
        raise click.BadParameter(f"{refused_pool(value)}.", ctx, param)
    return value


def _modules(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
    """A name of an app, or names of modules. Raises BadParameter with the form that works."""
    from marketfetch.sections import app_name, module_name

    try:
        return tuple(map(module_name, value)) if isinstance(value, tuple) else value and app_name(value)
    except ValueError as error:
        raise click.BadParameter(f"{error}.", ctx, param) from None


@click.command()
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Workers to start.")
@click.option("--concurrency", type=click.IntRange(1, 512), default=4, show_default=True, help="Calls of a worker at once.")
@click.option(
    "--pool",
    callback=_pool,
    default=WORKER_POOLS[0],
    show_default=True,
    metavar=f"[{'|'.join(WORKER_POOLS)}]",
    help="A process per call, or threads of one process.",
)
@click.option(
    "--flower",
    type=click.IntRange(1, 65535),
    is_flag=False,
    flag_value=FLOWER_PORT,
    metavar="[PORT]",
    help=f"Also start Flower, on 127.0.0.1 only.  [port {FLOWER_PORT} unless given]",
)
@click.option(
    "--web",
    type=_Port(),
    is_flag=False,
    flag_value=_PORT_OF_SETTINGS,
    metavar="[PORT]",
    help=f"Also start the web API, on 127.0.0.1 only: see `marketfetch serve`.  [port of [serve], else {WEB_PORT}]",
)
@click.option("--require-token", is_flag=True, help="Let the web API ask for a token always; needed behind a proxy.")
@click.option(
    "--include",
    callback=_modules,
    multiple=True,
    metavar="MODULE",
    help="A module with tasks of your own, for our workers to run. May be given several times.",
)
@click.option(
    "--app",
    callback=_modules,
    metavar="MODULE[:APP]",
    help="A Celery app of your own: also start a worker of it.",
)
@click.option("--sandbox", is_flag=True, help="Ask simulated vendors instead, with a Redis and a database of their own.")
def up(
    *,
    workers: int,
    concurrency: int,
    pool: str,
    flower: int | None,
    web: int | None,
    require_token: bool,
    include: tuple[str, ...],
    app: str | None,
    sandbox: bool,
) -> None:
    """Run everything for one machine: Redis (embedded, if none is configured), workers, beat.

    `fetch`, `status` and `celery -A marketfetch worker` in the same folder find what it started. Ctrl-C stops all of it:
    workers finish what runs, for at most ten seconds; the exit code is 0.

    With --sandbox no configured vendor is asked, and the configured Redis and database are neither read nor written.
    """
    if require_token and web is None:
        raise click.UsageError("--require-token is a matter of the web API: write --web too.")
    from marketfetch.extras import need

    need("celery", "requests", for_what="`marketfetch up`")
    if sandbox:
        need("tornado", for_what="`marketfetch up --sandbox`")
    if flower:
        need("flower", for_what="`marketfetch up --flower`")
    if web is not None:
        need("fastapi", "jinja2", "uvicorn", for_what="`marketfetch up --web`")
    from marketfetch.addresses import broker, state_dir
    from marketfetch.cli.embedded import EmbeddedRedis, EmbeddedVendors
    from marketfetch.cli.locks import ProcessError, only_one
    from marketfetch.cli.processes import Processes
    from marketfetch.cli.signals import signals_as_exceptions, uninterrupted
    from marketfetch.local import sandbox_note
    from marketfetch.local.valkey_server import ServerError
    from marketfetch.setting_sources import PREFIX
    from marketfetch.settings import get_settings

    named = {f"{PREFIX}INCLUDE": ",".join(include), f"{PREFIX}APP": app or ""}
    project = {name: text for name, text in named.items() if text}
    folder = state_dir()
    home = sandbox_note.home(folder) if sandbox else folder
    running = "marketfetch up --sandbox" if sandbox_note.find(folder) else "marketfetch up"
    try:
        with (
            signals_as_exceptions(),
            only_one(folder / sandbox_note.UP_LOCK, what=f"`{running}`"),
            contextlib.ExitStack() as stack,
        ):
            # Settings read before this process had the lock may be those of a sandbox that was about to end.
            get_settings.cache_clear()
            configured = get_settings()
            _end_earlier(folder, sandbox=sandbox)
            if sandbox:
                stack.enter_context(only_one(home / sandbox_note.LOCK, what=f"`{running}`"))
            if not sandbox:
                broker()  # a broker_url that is none is refused before any server is started
            with uninterrupted():
                redis = stack.enter_context(EmbeddedRedis(home, configured=None if sandbox else configured.redis_url))
                vendors = None
                if sandbox:
                    archived = configured.archive is not None
                    vendors = stack.enter_context(EmbeddedVendors(folder, redis_url=redis.url, archived=archived))
            own_tasks = _try_project({f"{PREFIX}REDIS_URL": redis.url, **project})
            processes = stack.enter_context(Processes(home / "run", home / "logs"))
            _start(processes, redis, vendors, project, workers=workers, concurrency=concurrency, pool=pool, flower=flower)
            if web is not None:
                port = web or configured.serve.port or WEB_PORT
                _start_web(processes, redis, vendors, project, port, require_token=require_token)
                if (host := configured.serve.host) not in _LOOPBACK:
                    _line("web", f"for this machine alone; `marketfetch serve` listens on {host}, as [serve] says")
            for sentence in own_tasks:
                _line("include", sentence)
            _warn()
            _say_what_next(vendors)
            _watch(processes, redis, vendors)
    except (ProcessError, ServerError) as error:
        raise click.ClickException(str(error)) from None
    except KeyboardInterrupt:
        click.echo("everything is stopped", err=True)


def _end_earlier(folder: Path, *, sandbox: bool) -> None:
    """Ends the processes that a killed `up` left behind, with or without the sandbox.

    Its Valkey goes on, as it holds parked requests. A sandbox's Valkey is ended unless the sandbox starts again.
    """
    from marketfetch.cli.locks import end_leftovers
    from marketfetch.local import sandbox_note
    from marketfetch.local.valkey_server import adopt_valkey

    sandbox_note.forget(folder)
    left = [*end_leftovers(folder / "run"), *end_leftovers(sandbox_note.home(folder) / "run")]
    if not sandbox and (valkey := adopt_valkey(sandbox_note.home(folder))):
        valkey.stop()
        left.append("the sandbox's Valkey")
    for name in left:
        click.echo(f"stopped {name}, which an earlier run had left behind", err=True)


def _start(
    processes: Processes,
    redis: EmbeddedRedis,
    vendors: EmbeddedVendors | None,
    project: Mapping[str, str],
    *,
    workers: int,
    concurrency: int,
    pool: str,
    flower: int | None,
) -> None:
    from marketfetch.addresses import broker, database_url
    from marketfetch.cli.processes import REMAPPED, celery
    from marketfetch.cli.sandboxed import as_variables
    from marketfetch.setting_sources import PREFIX
    from marketfetch.settings import get_settings
    from marketfetch.storage import safe_url

    configured = get_settings()
    level = configured.log.level.upper()
    environment = {f"{PREFIX}REDIS_URL": redis.url}
    click.echo(f"marketfetch runs in {Path.cwd()}; Ctrl-C stops everything")
    if vendors:
        environment = as_variables(vendors.settings)
        get_settings.cache_clear()  # from here on this process follows the sandbox too
        _line("sandbox", f"{vendors.sandbox.url}, asked instead of the vendors; log {vendors.log}")
    _line("redis", f"{safe_url(redis.url)}, " + (f"embedded, data in {redis.folder}" if redis.valkey else "as configured"))
    if broker().apart:
        _line("broker", f"{broker().shown}, as configured")
    _line("database", f"{vendors.database}, the sandbox's own: its bars are invented" if vendors else safe_url(database_url()))
    own = ("redis_url", "broker_url", "database_url", "archive")
    if vendors and (left := [one for one in own if one in configured.model_fields_set]):
        names = " and ".join(filter(None, (", ".join(left[:-1]), left[-1])))
        _line("", f"the configured {names} {'is' if len(left) == 1 else 'are'} not used while the sandbox runs")
    environment |= project
    # A start of its worker that finds no other is a second shorter without the search: what a neighbour could tell it are
    # revoked tasks, and those of ours are in Redis. Modules of a user may have others.
    alone = redis.valkey is not None and workers == 1 and not (environment.get(f"{PREFIX}INCLUDE") or configured.include)
    for number in range(1, workers + 1):
        name = f"worker-{number}"
        # Events cost half of the throughput, so workers send them only where Flower shows them.
        options = (f"--hostname={name}@%h", f"--pool={pool}", f"--concurrency={concurrency}", f"--loglevel={level}")
        arguments = celery("worker", *options, *(["--without-mingle"] if alone else []), *(["-E"] if flower else []))
        # A database that is configured as a file is the user's, and as open as the user's other files.
        child = processes.start(name, *arguments, variables=environment | REMAPPED, umask=-1)
        _line(name, f"{concurrency} {'processes' if pool == 'prefork' else pool}; log {child.log}")
    schedule = redis.folder / "celerybeat-schedule"
    child = processes.start("beat", *celery("beat", f"--schedule={schedule}"), variables=environment)
    _line("beat", f"log {child.log}")
    if theirs := project.get(f"{PREFIX}APP", configured.app):
        # Its own settings hold for it. If it ends again and again, everything of ours goes on.
        node = theirs.partition(":")[0].partition(".")[0]
        arguments = ("-P", "-m", "celery", "-A", theirs, "worker", f"--hostname={node}@%h", f"--loglevel={level}")
        child = processes.start("app", *arguments, variables=environment, vital=False, umask=-1)
        _line("app", f"{theirs}, a worker of your own; log {child.log}")
    if flower and (refused := refusal(flower)):
        _line("flower", f"not started, as it can't take port {flower} ({refused}): name a free one, --flower PORT")
    elif flower:
        arguments = celery("flower", "--address=127.0.0.1", f"--port={flower}", f"--tasks-columns={_COLUMNS}")
        child = processes.start("flower", *arguments, variables=environment, vital=False)
        _line("flower", f"http://127.0.0.1:{flower}; log {child.log}")


def _start_web(
    processes: Processes,
    redis: EmbeddedRedis,
    vendors: EmbeddedVendors | None,
    project: Mapping[str, str],
    port: int,
    *,
    require_token: bool,
) -> None:
    from marketfetch.cli.sandboxed import as_variables
    from marketfetch.setting_sources import PREFIX

    if refused := refusal(port):
        _line("web", f"not started, as it can't take port {port} ({refused}): name a free one, --web PORT")
        return
    variables = as_variables(vendors.settings) if vendors else {f"{PREFIX}REDIS_URL": redis.url}
    # It is no part of fetching: if it ends again and again, everything else goes on.
    arguments = (
        "-P",
        "-m",
        "marketfetch",
        "serve",
        "--host=127.0.0.1",
        f"--port={port}",
        *(["--require-token"] if require_token else []),
    )
    child = processes.start("web", *arguments, variables={**variables, **project}, vital=False, umask=-1)
    _line("web", f"http://127.0.0.1:{port}/api/v1; log {child.log}")


def _say_what_next(vendors: EmbeddedVendors | None) -> None:
    """The commands that come next, each as it works in this folder: those of a sandbox say that the rows are invented."""
    provider, symbols, start = _example()
    words = " ".join((provider, *map(shlex.quote, symbols), f"--start {start}"))
    click.echo(f"In another terminal, in this folder{_when()}: {command()} fetch {words} --wait")
    click.echo(f"Then {command()} show {shlex.quote(symbols[0])} prints the rows, and {command()} status the jobs.")
    if vendors:
        click.echo(f'The rows are invented, in a database apart: sqlite3 {shlex.quote(str(vendors.database))} "{_LOOK}"')
        click.echo(f"For real ones, with keys of your own: {command()} init, and {command()} up without --sandbox.")
    elif _when():
        click.echo(f"Without a key: {command()} up --sandbox asks simulated vendors.")


def _try_project(variables: Mapping[str, str]) -> list[str]:
    """Imports the user's modules in a process of its own; returns what tasks they bring, a sentence for each module.

    Raises ClickException with the first sentence that stops a worker.
    """
    from marketfetch.ops.project_diagnosis import of_project
    from marketfetch.setting_sources import PREFIX

    own_tasks = []
    for one in of_project(variables):
        sentence = one.sentence
        for variable in variables:
            option = f"--{variable.removeprefix(PREFIX).lower()}"
            sentence = sentence.replace(f"which {option[2:]} names (in the environment: {variable})", f"which {option} names")
        if one.level == "error":
            raise click.ClickException(sentence)
        if one.level == "warning":
            click.echo(f"  {one.level:<10}{one.subject}: {sentence}", err=True)
        elif one.subject == "include":
            own_tasks.append(sentence)
    return own_tasks


def _when() -> str:
    """When the command that is shown works: at once, or when a vendor has a key, which workers read at their start."""
    from marketfetch import vendors
    from marketfetch.settings import get_settings

    if any(get_settings().provider(name).keys for name in vendors.names()):
        return ""
    return ", when a key is set and `marketfetch up` was started again"


def _example() -> tuple[str, Sequence[str], date]:
    """A vendor with a key where there is one, two of its symbols, and a start that it serves, for the command that is shown."""
    from marketfetch import vendors
    from marketfetch.settings import get_settings

    shown = vendors.example(tuple(name for name in vendors.names() if get_settings().provider(name).keys))
    symbols = shown.symbol_forms[0].examples[:2]
    start = next((day for day in _STARTS if _may_be_asked(shown.name, symbols, day)), _STARTS[0])
    return shown.name, symbols, start


def _may_be_asked(provider: str, symbols: Sequence[str], start: date) -> bool:
    from marketfetch.exceptions import BadRequestError
    from marketfetch.jobs.planning import make_spec, plan_new

    try:
        plan_new(make_spec(provider, symbols, again=False, start=start, end=datetime.now(UTC).date(), timespan="1d"))
    except BadRequestError:
        return False
    return True


def _warn() -> None:
    """Prints at boot what fails later: a Redis that loses data, a database that can't be written, a missing key."""
    from marketfetch.ops.diagnosis import findings

    # Celery stays out of this process: the workers say at their start what stops them.
    for one in findings(celery=False):
        if one.level == "error" or (one.level, one.subject) == ("warning", "redis"):
            click.echo(f"  {one.level:<10}{one.subject}: {one.sentence}", err=True)


def _watch(processes: Processes, redis: EmbeddedRedis, vendors: EmbeddedVendors | None) -> None:
    """Starts again what has ended, until an exception ends this loop."""
    pause, turn = threading.Event(), 0
    while True:
        said = processes.tend()
        if turn % _SERVERS_EVERY == 0:
            said += redis.tend() + (vendors.tend() if vendors else [])
        for sentence in said:
            click.echo(sentence, err=True)
        pause.wait(_EVERY_SECONDS)
        turn += 1


def _line(name: str, text: str) -> None:
    click.echo(f"  {name:<10}{text}")
