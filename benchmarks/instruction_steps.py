"""The steps whose instructions `benchmarks.instructions` counts: `python -m benchmarks.instruction_steps SOCKET FOLDER`.

A marker ends each step: a PING, at which callgrind writes down Valkey's count and begins anew, and `getpgid`, at which it
does so with this process. Deadlines are hours, as valgrind is some fifty times as slow as the processor.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from redis import Redis

from benchmarks.gate_admit import KEY
from benchmarks.gate_parking import requests_of
from benchmarks.reply_generator import Asked, make, read
from marketfetch.quotas import Admission, Gate, Grant, Parking
from marketfetch.storage import open_store

#: Each step runs so many times and counts by its cheapest run: in another one Lua may collect its garbage, or a minute end.
ROUNDS: Final = 2
#: How many requests a round of each step of the gate handles.
_REQUESTS: Final = 32
#: A warm-up first: scripts load, statements are prepared, and Python's interpreter has specialized its code.
_WARM_UP: Final = 16
_AT_ONCE: Final = 8
_HOUR_MS: Final = 3_600_000
_BARS: Final = 1_000
#: Replies of one row in a round, beside one with many.
_SMALL_REPLIES: Final = 4


def main(path: str, folder: Path) -> None:
    """Runs every step in rounds and prints a JSON list of [step, operations], in the order of the markers."""
    redis = Redis(unix_socket_path=path)
    wire = socket.socket(socket.AF_UNIX)
    wire.connect(path)
    gate = Gate(redis, pool="bench")
    store = open_store(f"sqlite:///{folder}/bars.db")
    store.create()
    parkings = [
        (job, [Parking(id=one.id, arguments=one.arguments) for one in requests])
        for job, requests in requests_of(_WARM_UP + ROUNDS * _REQUESTS, symbols=_WARM_UP)
    ]
    large = [make(number, _BARS) for number in range(ROUNDS + 1)]
    small = [make(100 + number, 1) for number in range(ROUNDS * _SMALL_REPLIES + 2)]
    steps: list[tuple[str, int]] = []

    def mark() -> None:
        wire.sendall(b"PING\r\n")  # not by the client, whose PING costs as much as a request's share of a park
        wire.recv(16)
        os.getpgid(0)

    def counted(name: str, operations: int, work: Callable[[], object]) -> None:
        work()
        mark()
        steps.append((name, operations))

    grants: list[Grant] = []

    def park(jobs: list[tuple[str, list[Parking]]]) -> None:
        for job, some in jobs:
            gate.park(some, job=job)

    def admit(count: int, room: int) -> None:
        for _ in range(count // room):
            admission: Admission = gate.admit(room=room, most_granted=10**9, keys=(KEY,), start_by_ms=_HOUR_MS)
            assert len(admission.grants) == room
            grants.extend(admission.grants)

    def start_and_finish(some: list[Grant]) -> None:
        for one in some:
            assert gate.start(one.id, fence=one.fence, end_by_ms=_HOUR_MS, child="bench").verdict == "go"
            assert gate.finish(one.id, fence=one.fence, batch=b"x" * 500, sent_ago_us=1_000, held_again_ms=_HOUR_MS)

    def settle(some: list[Grant]) -> None:
        for one in some:
            assert gate.settle(one.id, outcome='{"outcome": "stored"}')

    def read_and_store(replies: list[Asked]) -> None:
        for one in replies:
            assert store.store([read(one, called_at_ms=1_000)]) == [True]

    park(parkings[:1])
    admit(_AT_ONCE, _AT_ONCE)
    admit(_AT_ONCE, 1)
    start_and_finish(grants)
    settle(grants)
    read_and_store([small.pop(), large.pop(), small.pop()])

    _count_from_here()
    mark()
    half, jobs = _REQUESTS // 2, _REQUESTS // _WARM_UP
    for number in range(ROUNDS):
        grants.clear()
        some = parkings[1 + number * jobs : 1 + (number + 1) * jobs]
        replies = small[number * _SMALL_REPLIES : (number + 1) * _SMALL_REPLIES]
        counted("park", _REQUESTS, partial(park, some))
        counted("admit, one at once", half, lambda: admit(half, 1))
        counted("admit, eight at once", half, lambda: admit(half, _AT_ONCE))
        counted("start to finish", _REQUESTS, lambda: start_and_finish(grants))
        counted("settle", _REQUESTS, lambda: settle(grants))
        counted("read and store a reply of one row", _SMALL_REPLIES, partial(read_and_store, replies))
        counted("read and store a reply of 1,000 bars", 1, partial(read_and_store, large[number : number + 1]))
    print(json.dumps(steps))


def _count_from_here() -> None:
    """Has callgrind instrument this process: the imports before it would take half a minute more."""
    command = ["callgrind_control", "-i", "on", str(os.getpid())]
    control = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while control.poll() is None:
        pass  # valgrind looks for commands while the process runs, not while it waits
    if control.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {control.returncode}: nothing is counted")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
