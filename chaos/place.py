"""The installation that is hit: a folder with its own Redis, Postgres, vendors and workers, all real, all gone afterwards."""

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

from chaos.plan import FAULTS, PROVIDERS, Job, Limits
from chaos.worker import Worker
from marketfetch.local.postgres_server import Postgres, start_postgres
from marketfetch.local.sandbox_process import Sandbox, start_sandbox
from marketfetch.local.valkey_server import Valkey, start_valkey
from marketfetch.settings import environment

_ROOT: Final = Path(__file__).parents[1]
_NOTHING: Final = threading.Event()

#: An app of the place's own: an hour is longer than any run, so that the broker's second delivery can't be what saves us.
_APP: Final = """
from tasks.app import app

for name in ("broker_transport_options", "result_backend_transport_options"):
    app.conf[name] = {**app.conf[name], "visibility_timeout": 3600}
app.conf.visibility_timeout = 3600
"""


class Place:
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
        plain = {name: value for name, value in environment().items() if not name.startswith("MARKETFETCH_")}
        self.env = {
            **plain,
            "PYTHONPATH": f"{_ROOT}",
            # As `marketfetch up` sets it.
            "REMAP_SIGTERM": "SIGQUIT",
            "MARKETFETCH_REDIS_URL": self.redis_url,
            "MARKETFETCH_DATABASE_URL": self.database_url,
            **variables,
        }
        (folder / "chaos_app.py").write_text(_APP)

    def start_workers(self, count: int, *, slots: int) -> None:
        """Returns when all of them release."""
        self.workers = [Worker(f"worker-{n}", self.folder, self.env, slots=slots) for n in range(1, count + 1)]
        until(lambda: len(self.redis().keys("mf:releaser:*")) >= count, what="all workers release", within_s=120)

    def tend(self) -> None:
        for worker in self.workers:
            worker.tend()

    def end_workers(self) -> None:
        """As a service manager would, all at once: SIGTERM, and SIGKILL for who is still there 20 s later."""
        for worker in self.workers:
            worker.process.terminate()
        for worker in self.workers:
            worker.end()

    def submit(self, job: Job) -> str:
        """`marketfetch fetch ...`; its job id."""
        words = ["fetch", job.provider, *job.symbols, "--start", f"{job.first}", "--end", f"{job.last}", "--adjustment", "raw"]
        command = [sys.executable, "-m", "marketfetch", *words]
        done = subprocess.run(command, cwd=self.folder, env=self.env, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"a job was not taken: {done.stderr[-2000:]}")
        return done.stdout.strip()

    def redis(self) -> Redis:
        """A client that gives up at once, since what it asks may be away."""
        return Redis.from_url(self.redis_url, socket_timeout=5, retry=Retry(NoBackoff(), 0))

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What a user's SQL says."""
        with psycopg.connect(self.database_url, connect_timeout=5) as session:
            return session.execute(query).fetchall()

    def over(self) -> dict[str, int]:
        """Provider -> requests that are over."""
        return dict(self.rows("SELECT provider, count(*) FROM ledger GROUP BY provider"))

    def restart_valkey(self) -> None:
        """Same port, same append-only file."""
        self.valkey = start_valkey(self.valkey.folder, port=self.valkey.port)

    def logs(self) -> str:
        """What all workers have written."""
        return "".join(worker.log.read_text(errors="replace") for worker in self.workers)

    def processes(self) -> list[str]:
        """What lives in the sessions of all workers that ever were."""
        sessions = {session for worker in self.workers for session in worker.sessions}
        found = []
        for process in psutil.process_iter(["status", "cmdline"]):
            with contextlib.suppress(ProcessLookupError):
                if process.info["status"] != psutil.STATUS_ZOMBIE and os.getsid(process.pid) in sessions:
                    found.append(f"{process.pid}: {' '.join(process.info['cmdline'] or ())[:80]}")
        return found


@contextmanager
def a_place(folder: Path, *, seed: int, limits: Mapping[str, Limits], settings: Mapping[str, str]) -> Iterator[Place]:
    """`settings`: MARKETFETCH_ variables, without that prefix."""
    with ExitStack() as stack:
        valkey = start_valkey(folder / "valkey")
        postgres = stack.enter_context(start_postgres(folder / "postgres"))
        vendors = stack.enter_context(start_sandbox(seed=seed, delay_in_ms=(1, 30), delay_out_ms=(20, 120)))
        variables = {f"MARKETFETCH_{name}": value for name, value in settings.items()}
        for name in PROVIDERS:
            mine, key = limits[name], f"chaos-secret-of-{name.replace('_', '-')}"
            prefix = f"MARKETFETCH_PROVIDERS__{name.upper()}__"
            variables[f"{prefix}API_KEYS"] = json.dumps([f"main:{key}"])
            variables[f"{prefix}LIMITS"] = json.dumps(list(mine.texts))
            variables[f"{prefix}BASE_URL"] = vendors.base_urls[name]
            if mine.concurrency:
                variables[f"{prefix}CONCURRENCY"] = f"{mine.concurrency}"
            # Not refused by the vendor: what is over a limit is counted, and nothing hides it.
            vendors.control.keys(name, key, limits=list(mine.texts), concurrency=mine.concurrency, enforce=False)
        place = Place(folder, valkey=valkey, postgres=postgres, vendors=vendors, variables=variables)
        # The one that runs by then.
        stack.callback(lambda: place.valkey.stop())
        stack.callback(lambda: place.end_workers())
        yield place


def faults(place: Place) -> None:
    """The vendors begin to fail. Each kind in percent of what the kinds before it have left."""
    place.vendors.control.faults(
        *(
            {"kind": kind, "rate": percent / 100, "retry_after": 1 if kind == "503" else None}
            for kind, percent in FAULTS.items()
        )
    )


def until(condition: Callable[[], Any], *, what: str, within_s: float) -> None:
    """Waits for it. RuntimeError says what did not come."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"not within {within_s:.0f} s: {what}")
        pause(0.1)


def pause(seconds: float) -> None:
    """Lets time pass, where the time itself is meant."""
    _NOTHING.wait(seconds)


def any_child(place: Place, draw: random.Random) -> psutil.Process | None:
    """One of all the children of all workers."""
    found = [child for worker in place.workers for child in worker.children()]
    return draw.choice(found) if found else None
