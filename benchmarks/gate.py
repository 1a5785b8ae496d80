"""`python -m benchmarks.gate`: how much of a limit is used, judged by the sandbox, and what one admit costs.

Two workers of four processes, vendors at the end of a wire of 20 to 120 ms each way who judge and never refuse. Use = the ideal
time for the same n calls, W x (ceil(n / N) - 1), divided by the time from the first to the last arrival at the vendor.
"""

from __future__ import annotations

import itertools
import json
import math
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import click
from redis import Redis
from rich.console import Console
from rich.table import Table

from quotas import Gate, Parking, key_limits
from sandbox.run import start_sandbox
from sandbox.servers import start_valkey
from settings import environment

RESULTS = Path(__file__).parent / "gate.json"
SYMBOLS = ["".join(letters) for letters in itertools.product("ABCDEFGHIJ", repeat=3)]
_NOTHING = threading.Event()


@dataclass(frozen=True, slots=True)
class Scenario:
    """`limits` as settings write them; the first is the one whose use is told; `calls` is n."""

    limits: tuple[str, ...]
    calls: int
    concurrency: int | None = None

    @property
    def count(self) -> int:
        return key_limits("x", self.limits).windows[0].count

    @property
    def window_s(self) -> float:
        return key_limits("x", self.limits).windows[0].window_ms / 1000


SCENARIOS = (
    Scenario(("50/second",), 500),
    Scenario(("20/6seconds", "100/60seconds"), 100),
    Scenario(("20/6seconds",), 200),
    Scenario(("5/6seconds",), 50),
    Scenario(("30/10seconds",), 300, concurrency=3),
)


@click.command()
@click.option("--short", is_flag=True, help="A third of the calls, to see that it runs.")
def main(short: bool) -> None:
    """Use of the limits at the vendor, and the price of one admit."""
    console = Console(width=None if sys.stdout.isatty() else 110)
    table = Table("limits", "calls", "violations", "use of the limit", "seconds", title="judged by the sandbox")
    results: dict[str, object] = {}
    for scenario in SCENARIOS:
        calls = scenario.calls // 3 if short else scenario.calls
        violations, span_s = judged(scenario, calls)
        use = scenario.window_s * (math.ceil(calls / scenario.count) - 1) / span_s
        name = " + ".join(scenario.limits) + (f", {scenario.concurrency} at once" if scenario.concurrency else "")
        table.add_row(name, f"{calls}", f"{violations}", f"{use:.3f}", f"{span_s:.1f}")
        results[name] = {"calls": calls, "violations": violations, "use": round(use, 4), "seconds": round(span_s, 2)}
    console.print(table)
    costs = admit_costs()
    prices = Table("one admit, 3 windows", "us, median", "of a no-op", title="price, on this machine's Valkey")
    for name, value in costs.items():
        prices.add_row(name, f"{value:.0f}", f"{value / costs['no-op EVALSHA']:.2f}")
    console.print(prices)
    RESULTS.write_text(json.dumps({"use": results, "admit_us": costs}, indent=1))
    console.print(f"written to {RESULTS}")


def judged(scenario: Scenario, calls: int) -> tuple[int, float]:
    """Violations of any limit, and seconds from first to last arrival."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        valkey = stack.enter_context(start_valkey(folder / "valkey"))
        vendors = stack.enter_context(start_sandbox(delay_in_ms=(20, 120), delay_out_ms=(20, 120)))
        vendors.control.keys("polygon", "secret", limits=list(scenario.limits), concurrency=scenario.concurrency, enforce=False)
        variables = {
            "MARKETFETCH_REDIS_URL": valkey.url,
            "MARKETFETCH_PROVIDERS__POLYGON__BASE_URL": vendors.url,
            "MARKETFETCH_PROVIDERS__POLYGON__API_KEYS": '["main:secret"]',
            "MARKETFETCH_PROVIDERS__POLYGON__LIMITS": json.dumps(scenario.limits),
            "MARKETFETCH_LOG__LEVEL": "warning",
        }
        if scenario.concurrency:
            variables["MARKETFETCH_PROVIDERS__POLYGON__CONCURRENCY"] = f"{scenario.concurrency}"
        plain = {name: value for name, value in environment().items() if not name.startswith("MARKETFETCH_")}
        env = {**plain, **variables, "PYTHONPATH": str(Path(__file__).parents[1])}
        log = stack.enter_context((folder / "log").open("wb"))
        for number in range(2):
            command = [sys.executable, "-m", "celery", "-A", "tasks", "worker", "-c", "4", "-n", f"w{number}@%h"]
            worker = subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log)
            stack.callback(worker.wait)
            stack.callback(worker.terminate)
        with Redis.from_url(valkey.url) as redis:
            while len(redis.keys("mf:releaser:*")) < 2:
                _NOTHING.wait(0.1)
        fetch = [
            sys.executable,
            "-m",
            "cli",
            "fetch",
            "polygon",
            *SYMBOLS[:calls],
            "--start",
            "2024-01-02",
            "--end",
            "2024-01-05",
        ]
        subprocess.run([*fetch, "--wait", "--json"], cwd=folder, env=env, capture_output=True, check=True)
        report = vendors.control.log(full=True)
        arrivals = sorted(at for at, _ in report["providers"]["polygon"]["secret"]["arrivals"])
        assert len(arrivals) == calls
        return int(report["violations"]), arrivals[-1] - arrivals[0]


def admit_costs(rounds: int = 2000) -> dict[str, float]:
    """Median us of one admit with three windows, with one and with eight requests popped, beside a script that does nothing."""
    key = key_limits("main", ["100000/second", "1000000/minute", "10000000/hour"])
    with tempfile.TemporaryDirectory() as name, start_valkey(Path(name)) as server, Redis.from_url(server.url) as redis:
        gate = Gate(redis, pool="bench")
        gate.park([Parking(id=f"r{n}", arguments='{"symbol": "AAPL"}') for n in range(rounds * 9)], job="job", wake=False)
        nothing = redis.register_script("return 1")
        times: dict[str, list[float]] = {"no-op EVALSHA": [], "1 request": [], "8 requests, each": []}
        for _ in range(rounds):
            times["no-op EVALSHA"].append(_took(lambda: nothing(keys=["mf:{bench}:ready"])))
            times["1 request"].append(_took(lambda: gate.admit(room=1, most_granted=10**9, keys=(key,))))
            times["8 requests, each"].append(_took(lambda: gate.admit(room=8, most_granted=10**9, keys=(key,))) / 8)
        return {name: statistics.median(some) * 1e6 for name, some in times.items()}


def _took(action: object) -> float:
    before = time.perf_counter()
    action()  # type: ignore[operator]
    return time.perf_counter() - before


if __name__ == "__main__":
    main()
