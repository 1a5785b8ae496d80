"""The testbed: a folder with its own Valkey, vendors, database and workers, all real, all removed afterwards."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import requests
from redis import Redis

from marketfetch.local.sandbox_process import Sandbox, start_sandbox
from marketfetch.local.valkey_server import start_valkey
from marketfetch.settings import unrelated_environment

ROOT = Path(__file__).parents[1]
#: The network delay to the vendor, and back, each drawn for every call.
DELAY_MS = (20.0, 120.0)
_NOTHING = threading.Event()


class Testbed:
    """A user's environment: settings, workers, and a vendor that counts violations and refuses no call."""

    def __init__(self, folder: Path, stack: ExitStack, *, redis_url: str, vendors: Sandbox, variables: dict[str, str]) -> None:
        self.folder = folder
        self.redis_url = redis_url
        self.vendors = vendors
        self.redis = stack.enter_context(Redis.from_url(redis_url))
        self._stack = stack
        plain = unrelated_environment()
        self.env = {
            **plain,
            "PYTHONPATH": str(ROOT),
            "MARKETFETCH_REDIS_URL": redis_url,
            "MARKETFETCH_PROVIDERS__POLYGON__BASE_URL": vendors.url,
            "MARKETFETCH_LOG__LEVEL": "warning",
            "MARKETFETCH_WHOLE_MARKET_FROM": "0",
            **variables,
        }

    def start(self, *arguments: str, python: str = sys.executable) -> subprocess.Popen[bytes]:
        """Runs `python ...` in the background until the testbed ends. `python`: an interpreter of another environment."""
        with (self.folder / "log").open("ab") as log:
            command = [python, *arguments]
            process = subprocess.Popen(command, cwd=self.folder, env=self.env, stdout=log, stderr=log)
        self._stack.callback(_end, process)
        return process

    def run(self, *arguments: str, python: str = sys.executable) -> str:
        """Runs `python ...` to its end; returns its output. Raises RuntimeError with its errors."""
        done = subprocess.run([python, *arguments], cwd=self.folder, env=self.env, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{' '.join(arguments[:3])} ended with {done.returncode}: {done.stderr[-2000:]}")
        return done.stdout

    def workers(self, count: int = 2, *, slots: int = 4, pool: str = "prefork") -> list[subprocess.Popen[bytes]]:
        """Starts workers with shipped defaults; returns when all of them release."""
        started = [
            self.start("-m", "celery", "-A", "tasks", "worker", "-P", pool, "-c", f"{slots}", "-n", f"w{n}@%h")
            for n in range(count)
        ]
        until(lambda: len(self.redis.keys("mf:releaser:*")) >= count, what="workers that release", within_s=180)
        return started

    def park(self, count: int, *, job_of: int = 20) -> None:
        """Parks `count` requests as `feed` does, in a process of its own, like a user's."""
        self.run("-m", "benchmarks.gate_parking", f"{count}", f"{job_of}")

    def arrivals(self) -> dict[str, list[float]]:
        """Key -> arrival times at the vendor, seconds of the machine's monotonic clock, in order."""
        keys = self.vendors.control.log(full=True)["providers"].get("polygon", {})
        return {key: sorted(at for at, _ in log["arrivals"]) for key, log in keys.items()}

    def arrived(self) -> int:
        """The number of calls that the vendor has received."""
        return int(self.vendors.control.log()["calls"])

    def violations(self) -> int:
        """Calls over any limit, as the vendor counts."""
        return int(self.vendors.control.log()["violations"])

    def round_trip_s(self, calls: int = 60) -> float:
        """Mean seconds of one call to this vendor, with a key without limits."""
        took = []
        with requests.Session() as session:
            for _ in range(calls):
                before = time.perf_counter()
                url = f"{self.vendors.url}/v2/aggs/ticker/AAPL/range/1/day/2024-01-02/2024-01-05"
                session.get(url, headers={"Authorization": "Bearer unjudged"}, timeout=10)
                took.append(time.perf_counter() - before)
        return sum(took[1:]) / len(took[1:])


@contextmanager
def a_testbed(
    limits: Mapping[str, Sequence[str]],
    *,
    concurrency: int | None = None,
    delay: bool | tuple[float, float] = True,
    settings: Mapping[str, str] | None = None,
) -> Iterator[Testbed]:
    """`limits`: key -> its limits, as settings write them. The vendor judges each key by the same limits.

    `delay`: the usual one each way, none, or the least and the most ms of each way.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        valkey = stack.enter_context(start_valkey(folder / "valkey"))
        delay_ms = delay if isinstance(delay, tuple) else DELAY_MS if delay else (0.0, 0.0)
        vendors = stack.enter_context(start_sandbox(delay_in_ms=delay_ms, delay_out_ms=delay_ms))
        for key, texts in limits.items():
            vendors.control.keys("polygon", secret(key), limits=list(texts), concurrency=concurrency, enforce=False)
        variables = dict(settings or {})
        variables["MARKETFETCH_PROVIDERS__POLYGON__API_KEYS"] = json.dumps([f"{key}:{secret(key)}" for key in limits])
        variables["MARKETFETCH_PROVIDERS__POLYGON__LIMITS"] = "[]"
        for key, texts in limits.items():
            variables[f"MARKETFETCH_PROVIDERS__POLYGON__KEY_LIMITS__{key.upper()}"] = json.dumps(list(texts))
        if concurrency:
            variables["MARKETFETCH_PROVIDERS__POLYGON__CONCURRENCY"] = f"{concurrency}"
        yield Testbed(folder, stack, redis_url=valkey.url, vendors=vendors, variables=variables)


def secret(label: str) -> str:
    """The secret behind a key's label, as the vendor sees it."""
    return f"secret-{label}"


def until(condition: Callable[[], Any], *, what: str, within_s: float, every_s: float = 0.1) -> None:
    """Waits for the condition. Raises RuntimeError that names what did not happen."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"not within {within_s:.0f} s: {what}")
        _NOTHING.wait(every_s)


def pause(seconds: float) -> None:
    """Lets time pass, where the measurement needs elapsed time."""
    _NOTHING.wait(seconds)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
