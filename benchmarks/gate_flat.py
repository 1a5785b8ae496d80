"""`python -m benchmarks.gate_flat`: CPU of Valkey per request as parked requests, keys and workers grow; the target is 1.3.

Requests go from park to settle. Workers are clients of the gate in one process: each is woken, asks for grants, and starts and
ends the calls of its four slots, as a releaser and its children do. The vendor is left out, since only the gate is measured.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import click
from redis import Redis

from benchmarks.machine import busy, cpu_s
from marketfetch.local.valkey_server import start_valkey
from marketfetch.quotas import Gate, Grant, KeyLimits, Parking, key_limits
from marketfetch.quotas.key_state import WAKE_CHANNEL

_SLOTS: Final = 4
_AT_ONCE: Final = 500
#: A releaser looks again after a second without a wake message.
_LONGEST_SLEEP_S: Final = 1.0
#: Longer than any round: no lease expires while the other sizes have their turn.
_HOUR_MS: Final = 3_600_000
_ARGUMENTS: Final = '{"symbol":"S%d","adjustment":"split","start":"2004-01-24","end":"2004-01-28"}'


class Fleet:
    """So many workers of one pool, on one server."""

    def __init__(self, url: str, pool: str, keys: tuple[KeyLimits, ...], workers: int, stack: ExitStack) -> None:
        self._gates = [Gate(stack.enter_context(Redis.from_url(url)), pool=pool) for _ in range(workers)]
        self._keys = keys
        self._wakes: Any = stack.enter_context(self._gates[0].redis.pubsub(ignore_subscribe_messages=True))
        self._wakes.subscribe(WAKE_CHANNEL)
        self._pool = pool.encode()
        self._due = [0.0] * workers
        self._granted: deque[Grant] = deque()
        self._running: deque[Grant] = deque()
        self._parked = 0
        self.admits = 0

    def park(self, count: int) -> None:
        """Parks so many more requests, in jobs of 10,000."""
        for first in range(self._parked, self._parked + count, _AT_ONCE):
            some = range(first, min(first + _AT_ONCE, self._parked + count))
            parkings = [Parking(id=f"{self._pool.decode()}{number:014x}", arguments=_ARGUMENTS % number) for number in some]
            self._gates[0].park(parkings, job=f"{first // 10_000:016x}", wake=False)
        self._parked += count
        self._due = [0.0] * len(self._due)

    def run(self, count: int) -> None:
        """Brings so many requests from the lane to settled."""
        ended = 0
        while ended < count:
            self._admit()
            while self._granted and len(self._running) < _SLOTS * len(self._gates):
                grant = self._granted.popleft()
                gate = self._gates[len(self._running) % len(self._gates)]
                assert gate.start(grant.id, fence=grant.fence, end_by_ms=_HOUR_MS).verdict == "go"
                self._running.append(grant)
            if self._running:
                grant = self._running.popleft()
                gate = self._gates[ended % len(self._gates)]
                gate.finish(grant.id, fence=grant.fence, batch=b"x" * 500, sent_ago_us=1_000)
                gate.settle(grant.id, outcome='{"outcome": "stored"}')
                ended += 1

    def _admit(self) -> None:
        """Every worker that was woken, or whose sleep is over, asks for grants."""
        while message := self._wakes.get_message():
            if message["data"] == self._pool:
                self._due = [0.0] * len(self._due)
        now = time.monotonic()
        for number, gate in enumerate(self._gates):
            if self._due[number] <= now:
                found = gate.admit(room=4 * _SLOTS, most_granted=4 * _SLOTS, keys=self._keys, start_by_ms=_HOUR_MS)
                self.admits += 1
                self._granted.extend(found.grants)
                wait_s = _LONGEST_SLEEP_S if found.wait_ms is None else found.wait_ms / 1000
                self._due[number] = now + min(wait_s, _LONGEST_SLEEP_S)


@click.command()
@click.option("--parked", multiple=True, type=int, default=(1_000, 10_000, 100_000, 1_000_000), show_default=True)
@click.option("--keys", multiple=True, type=int, default=(1, 10, 100, 1_000, 10_000), show_default=True)
@click.option("--workers", multiple=True, type=int, default=(1, 4, 16), show_default=True)
@click.option("--requests", default=500, show_default=True, help="how many requests a round measures")
@click.option("--rounds", default=3, show_default=True, help="rounds, in turn")
@click.option("--short", is_flag=True, help="small numbers, one round")
@click.option("--json", "as_json", is_flag=True, help="print one JSON document")
def main(
    parked: Sequence[int],
    keys: Sequence[int],
    workers: Sequence[int],
    requests: int,
    rounds: int,
    short: bool,
    as_json: bool,
) -> None:
    """Microseconds of Valkey's CPU per request, and how much more than at the smallest size."""
    if short:
        parked, keys, workers, requests, rounds = (1_000, 10_000), (1, 100), (1, 4), 100, 1
    found = {
        "parked requests": _measured([(size, size, 1, 1) for size in parked], requests, rounds),
        "keys": _measured([(size, 2_000, size, 1) for size in keys], requests, rounds),
        "keys, all closed but one": _measured([(size, 2_000, size, 1) for size in keys], requests, rounds, used_up=True),
        "workers": _measured([(size, 2_000, 1, size) for size in workers], requests, rounds),
    }
    if as_json:
        click.echo(json.dumps({"load": busy(), "requests": requests, "rounds": rounds, "found": found}, indent=2))
        return
    click.echo(f"medians of {rounds} rounds of {requests} requests; load {busy()}")
    for what, lines in found.items():
        for line in lines:
            click.echo(
                f"{line['size']:>10,} {what:25} {line['us']:>8,.0f} us of Valkey a request ({line['ratio']:.2f}),"
                f" {line['admits']:.2f} admits"
            )


def _measured(
    sizes: Sequence[tuple[int, int, int, int]], requests: int, rounds: int, *, used_up: bool = False
) -> list[dict[str, float]]:
    """Each size is (what is shown, parked requests, keys, workers); the sizes take turns in one server.

    `used_up`: each key but one has made its one call of the hour.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(start_valkey(folder))
        fleets: dict[int, Fleet] = {}
        for number, (size, parked, keys, workers) in enumerate(sizes):
            wide, once = ["100000/second", "10000000/hour"], ["1/hour"]
            limits = tuple(key_limits(f"key{one}", once if used_up and one else wide) for one in range(keys))
            fleets[size] = Fleet(server.url, f"pool{number}", limits, workers, stack)
            first = 2 * keys if used_up else min(requests, 50)
            fleets[size].park(parked + first)
            fleets[size].run(first)
        found: dict[int, list[tuple[float, float]]] = {size: [] for size in fleets}
        for _ in range(rounds):
            for size, fleet in fleets.items():
                before, asked = cpu_s([server.pid]), fleet.admits
                fleet.park(requests)
                fleet.run(requests)
                us = (cpu_s([server.pid]) - before) / requests * 1e6
                found[size].append((us, (fleet.admits - asked) / requests))
    lines: list[dict[str, float]] = []
    for size, some in found.items():
        us = statistics.median(one for one, _ in some)
        ratio = us / lines[0]["us"] if lines else 1.0
        admits = statistics.median(one for _, one in some)
        lines.append({"size": size, "us": round(us, 1), "ratio": round(ratio, 2), "admits": round(admits, 2)})
    return lines


if __name__ == "__main__":
    main()
