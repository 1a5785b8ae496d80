"""A million requests parked: the server's cost of an admit, and the memory of a parked request."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path
from typing import Any

from redis import Redis

from benchmarks.gate_admit import ask, end, fill
from benchmarks.testbed import a_testbed
from marketfetch.local.valkey_server import start_valkey
from marketfetch.quotas import Admission, Gate


def million(short: bool) -> dict[str, Any]:
    """Server time by Valkey's commandstats, two pools in turn; bytes by its used_memory."""
    few, many, rounds = (1_000, 20_000, 100) if short else (1_000, 1_000_000, 500)
    with tempfile.TemporaryDirectory() as name, start_valkey(Path(name)) as server, Redis.from_url(server.url) as redis:
        small, big = Gate(redis, pool="few"), Gate(redis, pool="many")
        fill(small, few + rounds * 9)
        before = _used(redis)
        fill(big, many + rounds * 9)
        each_bytes = (_used(redis) - before) / (many + rounds * 9)
        times: dict[str, list[float]] = {}
        for _ in range(rounds):
            for gate, count in ((small, few), (big, many)):
                for room in (1, 8):
                    admission, us = _server_us(redis, gate, room)
                    times.setdefault(f"{count:,} parked, {room} granted", []).append(us)
                    end(gate, admission)
    medians = {name: statistics.median(some) for name, some in times.items()}
    found: dict[str, Any] = {
        name: {"server_us": round(value, 1), "of_few": round(value / medians[f"{few:,} parked, {name[-9]} granted"], 2)}
        for name, value in medians.items()
    }
    found["bytes of a job's request"] = {"bytes": round(each_bytes)}
    found["bytes of a user's message"] = _of_a_message(200 if short else 2_000)
    return found


def _server_us(redis: Redis, gate: Gate, room: int) -> tuple[Admission, float]:
    """One admit, and its microseconds by Valkey's commandstats."""
    before = _script_us(redis)
    admission = ask(gate, room)
    assert len(admission.grants) == room
    return admission, _script_us(redis) - before


def _script_us(redis: Redis) -> float:
    return float(redis.info("commandstats").get("cmdstat_evalsha", {"usec": 0})["usec"])


def _used(redis: Redis) -> int:
    return int(redis.info("memory")["used_memory"])


def _of_a_message(count: int) -> dict[str, Any]:
    """The memory of one `polygon.delay(...)`: its message in the gate, and its PARKED state in the result backend."""
    with a_testbed({"main": ("5/minute",)}) as testbed:
        testbed.run("-m", "benchmarks.gate_sending", "0", "50", "0")  # what Valkey keeps once for all of them
        before = _used(testbed.redis)
        testbed.run("-m", "benchmarks.gate_sending", "50", f"{count}", "0")
        used = _used(testbed.redis) - before
        sizes = [testbed.redis.memory_usage(key, samples=0) or 0 for key in testbed.redis.scan_iter("celery-task-meta-*")]
        result = sum(sizes) / len(sizes)
    return {"bytes": round(used / count - result), "bytes_with_result": round(used / count)}
