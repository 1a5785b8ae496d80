"""A place: a folder with its own Valkey, vendors, database and workers, all real, all gone afterwards."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import date
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg
import pytest
from redis import Redis

from marketfetch.local.sandbox_process import start_sandbox
from marketfetch.local.valkey_server import Valkey, start_valkey
from marketfetch.sandbox.market import Market
from marketfetch.sandbox.symbols import stock
from tests.preloaded import preloaded
from tests.waiting import LONG_S, eventually

ROOT = Path(__file__).parents[2]
#: The keys of a place: unmistakable, so that a search for them finds every leak.
SECRETS = {name: f"S3CR3T{name.upper().replace('_', '')}0123456789" for name in ("alpha_vantage", "polygon", "nasdaq")}


#: Killing children at random: the seed, and for how many seconds. `make stress` sets the variable.
CHAOS_SEED, CHAOS_S = 20240105, 60 if os.environ.get("MARKETFETCH_TEST_CHAOS") == "long" else 20


#: `make rabbitmq` names a broker of its own for the tests of a broker apart from Redis.
BROKER_URL = os.environ.get("MARKETFETCH_TEST_BROKER_URL", "")


class Place:
    """What a user has in front of them: a folder, an environment, commands."""

    def __init__(self, folder: Path, *, valkey: Valkey, vendors_url: str, database_url: str, stack: ExitStack) -> None:
        self.folder = folder
        self.database_url = database_url
        self.valkey = valkey
        redis_url = self.redis_url = valkey.url
        self.stack = stack
        self.env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("MARKETFETCH_")},
            "PYTHONPATH": str(ROOT),
            "MARKETFETCH_REDIS_URL": redis_url,
            "MARKETFETCH_DATABASE_URL": database_url,
            "MARKETFETCH_RETRIES__BACKOFF": "1",
            "MARKETFETCH_RETRIES__BACKOFF_MAX": "2",
            # Calls on a machine that is busy, or stands still for a moment, are no slower vendor: tests count calls.
            "MARKETFETCH_TIMINGS__CALL": "60",
            "MARKETFETCH_TIMINGS__END_BY": "65",
            # These tests count calls by symbol; tests/flow/test_plan.py does not.
            "MARKETFETCH_WHOLE_MARKET_FROM": "0",
        }
        for name, secret in SECRETS.items():
            self.env[f"MARKETFETCH_PROVIDERS__{name.upper()}__API_KEYS"] = json.dumps([f"main:{secret}"])
            self.env[f"MARKETFETCH_PROVIDERS__{name.upper()}__LIMITS"] = "[]"
            path = "/api/v3" if name == "nasdaq" else ""
            self.env[f"MARKETFETCH_PROVIDERS__{name.upper()}__BASE_URL"] = vendors_url + path

    @property
    def worker_log(self) -> str:
        path = self.folder / "worker.log"
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def run(self, *arguments: str, timeout: float = LONG_S) -> subprocess.CompletedProcess[str]:
        """`python ...` in this place."""
        return preloaded().run(*arguments, cwd=self.folder, env=self.env, timeout=timeout)

    def marketfetch(self, *arguments: str, timeout: float = LONG_S) -> subprocess.CompletedProcess[str]:
        """`marketfetch ...` in this place."""
        return self.run("-m", "marketfetch", *arguments, timeout=timeout)

    def fetch(self, provider: str, *symbols: str, start: str, end: str, **options: str) -> dict:
        """`marketfetch fetch --wait --json`: the final document."""
        more = [part for name, value in options.items() for part in (f"--{name}", value)]
        done = self.marketfetch("fetch", provider, *symbols, "--start", start, "--end", end, *more, "--wait", "--json")
        assert done.stdout, done.stderr
        document: dict = json.loads(done.stdout)
        assert (done.returncode == 0) == (document["state"] == "done"), done.stderr
        return document

    def status(self, job: str) -> dict:
        """`marketfetch status JOB --json`."""
        document: dict = json.loads(self.marketfetch("status", job, "--json").stdout)
        return document

    def celery(self, *arguments: str, log: str, app: str = "tasks") -> subprocess.Popen[bytes]:
        """`celery -A <app> ...` in the background, in a process group of its own; ended with the test."""
        with (self.folder / log).open("ab") as file:
            process = preloaded().start(
                "-m", "celery", "-A", app, *arguments,
                cwd=self.folder, env=self.env, stdout=file.fileno(), stderr=file.fileno(), start_new_session=True,
            )  # fmt: skip
        self.stack.callback(end_group, process)
        return process

    def worker(self, *arguments: str, concurrency: int = 4) -> subprocess.Popen[bytes]:
        """A prefork worker that is ready."""
        ready = self.worker_log.count(" ready.")
        process = self.celery("worker", "-c", str(concurrency), "--loglevel", "info", *arguments, log="worker.log")
        eventually(lambda: self.worker_log.count(" ready.") > ready, within_s=30, what="worker ready")
        return process

    def goes_on_without(self, worker: subprocess.Popen[bytes], dead: int) -> None:
        """Waits until the killed process is gone. A worker that was killed itself starts again, as a supervisor would do it."""
        if dead == worker.pid:
            assert worker.wait(timeout=300) == -signal.SIGKILL
            end_group(worker)
            self.worker(concurrency=2)
        else:
            eventually(lambda: not psutil.pid_exists(dead), what=f"the killed child {dead} is gone")

    def restart_valkey(self) -> None:
        """Starts the stopped Valkey again: same port, same append-only file."""
        self.valkey = start_valkey(self.valkey.folder, port=self.valkey.port)

    def redis(self) -> Redis:
        return self.stack.enter_context(Redis.from_url(self.redis_url))

    def rows(self, query: str) -> list[tuple]:
        """What a user's SQL says."""
        found: list[tuple] = []

        def read() -> bool:
            """False while a process that was started is still making the tables."""
            ask = self._ask_sqlite if self.database_url.startswith("sqlite") else self._ask_postgres
            try:
                found[:] = ask(query)
            except (sqlite3.OperationalError, psycopg.errors.UndefinedTable) as error:
                if not re.search("no such table|unable to open|does not exist", str(error)):
                    raise
                return False
            return True

        eventually(read, what=f"the tables are there for: {query}")
        return found

    def _ask_sqlite(self, query: str) -> list[tuple]:
        # Never makes the file, and waits where another connection has it for a moment.
        file = f"file:{quote(str(self.folder / 'marketfetch.db'))}?mode=rw"
        with closing(sqlite3.connect(file, uri=True, timeout=LONG_S)) as connection:
            return connection.execute(query).fetchall()

    def _ask_postgres(self, query: str) -> list[tuple]:
        with psycopg.connect(self.database_url) as session:
            return session.execute(query).fetchall()


class LimitedJob:
    """A job of many requests under a tight limit, and what must be true of it whatever happened meanwhile."""

    SYMBOLS = tuple(f"{a}{b}" for a in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" for b in "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    LIMIT = "20/2seconds"
    FIRST, LAST = date(2024, 1, 2), date(2024, 1, 5)

    def __init__(self, place: Place, sandbox, *, requests: int = 120) -> None:
        """Sets the limit on both sides; before the workers start."""
        self.place, self.sandbox, self.symbols = place, sandbox, self.SYMBOLS[:requests]
        place.env["MARKETFETCH_PROVIDERS__POLYGON__LIMITS"] = json.dumps([self.LIMIT])
        sandbox.keys("polygon", SECRETS["polygon"], limits=[self.LIMIT], enforce=False)

    def submit(self) -> None:
        range_ = ("--start", self.FIRST.isoformat(), "--end", self.LAST.isoformat())
        done = self.place.marketfetch("fetch", "polygon", *self.symbols, *range_, "--adjustment", "raw")
        assert done.returncode == 0, done.stderr

    def over(self) -> int:
        """How many requests the ledger names."""
        return int(self.place.rows("SELECT count(*) FROM ledger")[0][0])

    def reaches(self, requests: int, *, within_s: float) -> None:
        eventually(lambda: self.over() >= requests, within_s=within_s, what=f"{requests} requests are over")

    def ends_whole(self, *, within_s: float, extra_calls: int, most_crashed: int = 0) -> None:
        """It goes on by itself to its end; nothing is lost, doubled or left, and no limit was passed.

        `most_crashed`: the requests that may have failed because three of their workers' children were killed. Only those
        keep their raw replies.
        """
        self.reaches(len(self.symbols), within_s=within_s)
        failed = self.place.rows("SELECT request_id, symbol, reason FROM ledger WHERE outcome = 'failed'")
        assert len(failed) <= most_crashed, failed
        assert all("its worker died three times" in reason for _, _, reason in failed), failed
        kept = {"raws", *(f"raw:{one}" for one, _, _ in failed)} if failed else set()
        eventually(
            lambda: self.left() <= kept, within_s=within_s, what=lambda: f"nothing is left in Redis, but {self.left() - kept}"
        )
        stored = sorted({*self.symbols} - {symbol for _, symbol, _ in failed})
        assert self.place.rows("SELECT symbol FROM ledger WHERE outcome = 'stored' ORDER BY symbol") == [
            (one,) for one in stored
        ]
        found = self.place.rows("SELECT symbol, open, high, low, close, volume FROM bars ORDER BY symbol, ts")
        assert found == self.market_rows(stored)
        log = self.sandbox.log()
        assert log["violations"] == 0, log
        assert len(self.symbols) <= log["calls"] <= len(self.symbols) + extra_calls

    def left(self) -> set[str]:
        """What the gate still holds of the job: places in the lane, leases, open calls, records, batches."""
        keys = {str(key, "utf-8").removeprefix("mf:{polygon}:") for key in self.place.redis().scan_iter(match="mf:{polygon}:*")}
        return {
            key for key in keys if not key.startswith(("tags", "counts", "epoch", "key:", "done:", "early:", "over", "secrets"))
        }

    def market_rows(self, symbols: list[str]) -> list[tuple]:
        """What the sandbox's market says that the bars of these must be."""
        market = Market(seed=int(self.sandbox.health()["seed"]), today=date.fromisoformat(self.sandbox.health()["today"]))
        rows = []
        for name in symbols:
            symbol = stock(name)
            assert symbol
            days = market.daily(symbol).between(self.FIRST, self.LAST)
            rows += [(name, *bar) for bar in zip(days.open, days.high, days.low, days.close, days.volume, strict=True)]
        return rows


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Ends a process with everything it has forked.

    Where branches are counted, a worker first ends by itself: a child that gets a signal writes nothing down.
    """
    if "COVERAGE_PROCESS_CONFIG" in os.environ and process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=10)
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            os.killpg(process.pid, number)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            continue
        break


@pytest.fixture(scope="session")
def vendors() -> Iterator:
    """The three vendors on loopback, for the whole run."""
    with start_sandbox(seed=7) as running:
        yield running


@pytest.fixture
def sandbox(vendors):
    """The vendors, with clean books and no faults."""
    vendors.control.reset(keys=True)
    return vendors.control


@contextmanager
def a_place(folder: Path, *, vendors_url: str, database_url: str) -> Iterator[Place]:
    with ExitStack() as stack:
        valkey = stack.enter_context(start_valkey(folder / "valkey"))
        place = Place(folder, valkey=valkey, vendors_url=vendors_url, database_url=database_url, stack=stack)
        # The one that runs by then, and after the workers: entered here, it is left last.
        stack.callback(lambda: place.valkey.stop())
        yield place


@pytest.fixture
def place(tmp_path, sandbox) -> Iterator[Place]:
    """A place with SQLite."""
    with a_place(tmp_path, vendors_url=sandbox.url, database_url="sqlite:///marketfetch.db") as found:
        yield found


@pytest.fixture
def slow_place(tmp_path):
    """A place whose vendors take a second for each answer."""
    with (
        start_sandbox(seed=7, delay_out_ms=(1000, 1000)) as slow,
        a_place(tmp_path, vendors_url=slow.url, database_url="sqlite:///marketfetch.db") as found,
    ):
        yield found, slow.control


@pytest.fixture(params=["sqlite", "postgres"])
def any_place(request, tmp_path, sandbox) -> Iterator[Place]:
    """A place with each database in turn."""
    url = "sqlite:///marketfetch.db"
    if request.param == "postgres":
        url = request.getfixturevalue("postgres").database(f"place_{abs(hash(tmp_path)) % 10**9}")
    with a_place(tmp_path, vendors_url=sandbox.url, database_url=url) as found:
        yield found
