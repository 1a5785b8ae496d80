"""The installation under test: a folder with its own Redis, Postgres, vendors and workers, all real, all removed afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import psutil
import psycopg
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from chaos.worker_process import Worker
from chaos.workload import FAULTS, MISBEHAVES, PROVIDERS, Job, Limits, Size
from marketfetch.local.postgres_server import Postgres, start_postgres
from marketfetch.local.sandbox_process import Sandbox, start_sandbox
from marketfetch.local.valkey_server import Valkey, start_valkey
from marketfetch.sandbox.misbehaviour import CASES
from marketfetch.settings import unrelated_environment

_ROOT: Final = Path(__file__).parents[1]
_NOTHING: Final = threading.Event()
LOOPBACK: Final = "127.0.0.1"
_PASSWORD: Final = "of-the-database"

#: The installation's Celery app: its visibility timeout is longer than any run, so that the broker's redelivery can't hide a
#: lost request.
_APP: Final = """
from tasks.app import app

for name in ("broker_transport_options", "result_backend_transport_options"):
    app.conf[name] = {**app.conf[name], "visibility_timeout": 3600}
app.conf.visibility_timeout = 3600
"""


class Installation:
    """Servers, settings, workers."""

    def __init__(
        self, folder: Path, *, valkey: Valkey, postgres: Postgres, vendors: Sandbox, variables: dict[str, str]
    ) -> None:
        self.folder = folder
        self.valkey = valkey
        self.postgres = postgres
        self.vendors = vendors
        self.redis_url = valkey.url
        self.database_url = postgres.database("market")
        self.workers: list[Worker] = []
        plain = unrelated_environment()
        self.env = {
            **plain,
            "PYTHONPATH": f"{_ROOT}",
            # As `marketfetch up` sets it.
            "REMAP_SIGTERM": "SIGQUIT",
            "MARKETFETCH_REDIS_URL": self.redis_url,
            "MARKETFETCH_DATABASE_URL": self.database_url,
            "MARKETFETCH_WHOLE_MARKET_FROM": "0",
            **variables,
        }
        (folder / "chaos_app.py").write_text(_APP)

    def listen(self, address: str) -> None:
        """Lets other machines in, with passwords; from then on every process of the run uses this address."""
        with self.redis() as redis:
            redis.config_set("bind", f"{LOOPBACK} {address}")
        with psycopg.connect(self.database_url, autocommit=True) as session:
            session.execute(f"ALTER ROLE postgres PASSWORD '{_PASSWORD}'")
        self.redis_url = self.redis_url.replace(LOOPBACK, address)
        self.database_url = f"postgresql://postgres:{_PASSWORD}@{address}/market"
        self.env |= {"MARKETFETCH_REDIS_URL": self.redis_url, "MARKETFETCH_DATABASE_URL": self.database_url}

    def start_workers(self, size: Size) -> None:
        """Starts workers; returns when all of them release."""
        pools = [("threads", size.threads)] * size.threaded + [("prefork", size.slots)] * (size.workers - size.threaded)
        self.workers = [
            Worker(f"worker-{n}", self.folder, self.env, pool=pool, slots=slots) for n, (pool, slots) in enumerate(pools, 1)
        ]
        until(lambda: len(self.redis().keys("mf:releaser:*")) >= size.workers, what="all workers release", within_s=120)

    def tend(self) -> None:
        for worker in self.workers:
            worker.tend()

    def end_workers(self) -> None:
        """Ends all workers at once, as a service manager does: SIGTERM, and SIGKILL after 20 s."""
        for worker in self.workers:
            worker.process.terminate()
        for worker in self.workers:
            worker.end()

    def submit(self, job: Job) -> str:
        """Runs `marketfetch fetch ...`; returns its job id."""
        words = ["fetch", job.provider, *job.symbols, "--start", f"{job.first}", "--end", f"{job.last}", "--adjustment", "raw"]
        command = [sys.executable, "-m", "marketfetch", *words]
        done = subprocess.run(command, cwd=self.folder, env=self.env, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"a job was not taken: {done.stderr[-2000:]}")
        return done.stdout.strip()

    def redis(self) -> Redis:
        """A client without retries, since Redis may be away."""
        return Redis.from_url(self.redis_url, socket_timeout=5, retry=Retry(NoBackoff(), 0))

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of a SQL query."""
        with psycopg.connect(self.database_url, connect_timeout=5) as session:
            return session.execute(query).fetchall()

    def over(self) -> dict[str, int]:
        """Provider -> requests that are over."""
        return dict(self.rows("SELECT provider, count(*) FROM ledger GROUP BY provider"))

    def restart_valkey(self) -> None:
        """Restarts Valkey on the same port, with the same append-only file."""
        self.valkey = start_valkey(self.valkey.folder, port=self.valkey.port)

    def logs(self) -> str:
        """The logs of all workers."""
        return "".join(worker.log.read_text(errors="replace") for worker in self.workers)

    def processes(self) -> list[str]:
        """The live processes in the sessions of all workers of this run."""
        sessions = {session for worker in self.workers for session in worker.sessions}
        found = []
        for process in psutil.process_iter(["status", "cmdline"]):
            with contextlib.suppress(ProcessLookupError):
                if process.info["status"] != psutil.STATUS_ZOMBIE and os.getsid(process.pid) in sessions:
                    found.append(f"{process.pid}: {' '.join(process.info['cmdline'] or ())[:80]}")
        return found


@contextmanager
def an_installation(
    folder: Path, *, seed: int, limits: Mapping[str, Limits], settings: Mapping[str, str], address: str = LOOPBACK
) -> Iterator[Installation]:
    """`settings`: MARKETFETCH_ variables, without that prefix. `address`: where other machines reach the servers."""
    with ExitStack() as stack:
        valkey = start_valkey(folder / "valkey")
        postgres = stack.enter_context(start_postgres(folder / "postgres", address="" if address == LOOPBACK else address))
        # The vendors' own books are read on loopback only, so they listen there too.
        everywhere = LOOPBACK if address == LOOPBACK else "0.0.0.0"
        vendors = stack.enter_context(start_sandbox(host=everywhere, seed=seed, delay_in_ms=(1, 30), delay_out_ms=(20, 120)))
        variables = {f"MARKETFETCH_{name}": value for name, value in settings.items()}
        for name in PROVIDERS:
            mine, key = limits[name], f"chaos-secret-of-{name.replace('_', '-')}"
            prefix = f"MARKETFETCH_PROVIDERS__{name.upper()}__"
            variables[f"{prefix}API_KEYS"] = json.dumps([f"main:{key}"])
            variables[f"{prefix}LIMITS"] = json.dumps(list(mine.texts))
            variables[f"{prefix}BASE_URL"] = vendors.base_urls[name].replace(everywhere, address)
            if mine.concurrency:
                variables[f"{prefix}CONCURRENCY"] = f"{mine.concurrency}"
            # The vendor counts calls over a limit and refuses none, so that no refusal hides a violation.
            vendors.control.keys(name, key, limits=list(mine.texts), concurrency=mine.concurrency, enforce=False)
        installation = Installation(folder, valkey=valkey, postgres=postgres, vendors=vendors, variables=variables)
        if address != LOOPBACK:
            installation.listen(address)
        # A lambda, as the installation may have restarted its Valkey by then.
        stack.callback(lambda: installation.valkey.stop())
        stack.callback(lambda: installation.end_workers())
        yield installation


def faults(installation: Installation) -> None:
    """Makes the vendors fail. Each kind's percentage applies to the calls that the kinds before it spare."""
    kinds = [
        {"kind": kind, "rate": percent / 100, "retry_after": 1 if kind == "503" else None} for kind, percent in FAULTS.items()
    ]
    rate = MISBEHAVES / 100 / len(CASES)
    wire = [{"kind": "misbehave", "rate": rate, "stage": stage, "way": way} for stage, way in CASES]
    installation.vendors.control.faults(*kinds, *wire)


def until(condition: Callable[[], Any], *, what: str, within_s: float) -> None:
    """Waits for the condition. Raises RuntimeError that names what did not happen."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"not within {within_s:.0f} s: {what}")
        pause(0.1)


def pause(seconds: float) -> None:
    """Lets time pass, where the test needs elapsed time."""
    _NOTHING.wait(seconds)


def any_child(installation: Installation, draw: random.Random) -> psutil.Process | None:
    """A random child of all workers' children, None when there is none."""
    found = [child for worker in installation.workers for child in worker.mortal_children()]
    return draw.choice(found) if found else None
