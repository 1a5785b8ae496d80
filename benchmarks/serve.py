"""`python -m benchmarks.serve [--short]`: what the web API costs, beside a plain FastAPI route and beside the gate.

CPU of the server for one status request over a kept connection, and for the same requests to an app with one route on the same
uvicorn; 200 clients of the event stream: CPU a second while nothing happens and while a job changes, and how late the last
client gets a change; admits a second of the gate with these 200 clients and without any server, in turn.
"""

from __future__ import annotations

import asyncio
import http.client
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import psutil

from benchmarks.gate_admit import ask, end, fill
from benchmarks.testbed import Testbed, a_testbed
from marketfetch.quotas import Gate

CLIENTS: Final = 200
#: The floor: one route that returns a document of the same size.
PLAIN: Final = """
import uvicorn
from fastapi import FastAPI
api = FastAPI()
@api.get("/api/v1/jobs/{job}")
async def status(job: str): return {"job": job, "state": "running", "padding": "x" * 500}
uvicorn.run(api, port=%d, access_log=False, log_level="error", http="h11", loop="asyncio")
"""
_PAUSE: Final = threading.Event()


def main(short: bool) -> None:
    """Prints the figures."""
    requests, seconds = (300, 3.0) if short else (3_000, 10.0)
    with a_testbed({"main": ("5/minute",)}) as testbed:
        job = testbed.run("-m", "marketfetch", "fetch", "polygon", "AAPL", "MSFT", "--start", "2024-01-02").strip()
        port, plain_port = free_port(), free_port()
        server = testbed.start("-m", "marketfetch", "serve", f"--port={port}")
        plain = testbed.start("-c", PLAIN % plain_port)
        wait_for(port, "/api/v1/health")
        wait_for(plain_port, "/api/v1/jobs/x")
        ours, floor = psutil.Process(server.pid), psutil.Process(plain.pid)
        path = f"/api/v1/jobs/{job}"
        for name, process, where in (("plain FastAPI", floor, plain_port), ("status", ours, port)):
            ask_often(where, path, requests // 10)  # both are warm
            cost = [ask_often(where, path, requests, process) for _ in range(3)]
            print(f"{name}: {statistics.median(cost) * 1e3:.2f} ms of CPU a request")
        asyncio.run(listen(testbed, ours, port, job, seconds))
        gate(testbed, port, seconds)


def gate(testbed: Testbed, port: int, seconds: float) -> None:
    """Admits a second, with 200 clients and without, in turn."""
    gate = Gate(testbed.redis, pool="bench")
    found: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(3):
        for listening in (False, True):
            fill(gate, 30_000)
            with clients(port) if listening else _nothing():
                found[listening].append(admits(gate, seconds / 3))
            testbed.redis.delete(*testbed.redis.keys(f"{gate.prefix}*"))
    alone, together = (statistics.median(found[one]) for one in (False, True))
    print(f"gate: {alone:,.0f} admits of 8 a second alone, {together:,.0f} beside 200 clients ({together / alone:.2f})")


def admits(gate: Gate, seconds: float) -> float:
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        end(gate, ask(gate, 8))
        count += 1
    return count / (time.perf_counter() - began)


@contextmanager
def clients(port: int) -> Iterator[None]:
    """200 clients of the event stream, in a thread of their own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    opened: Any = asyncio.run_coroutine_threadsafe(open_all(port), loop).result()
    try:
        yield
    finally:
        for _, writer in opened:
            loop.call_soon_threadsafe(writer.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


@contextmanager
def _nothing() -> Iterator[None]:
    yield


async def listen(testbed: Testbed, process: psutil.Process, port: int, job: str, seconds: float) -> None:
    """CPU of the server with 200 clients, and how late the last of them gets a change."""
    opened = await open_all(port)
    got = [asyncio.Event() for _ in opened]

    async def read(reader: asyncio.StreamReader, seen: asyncio.Event) -> None:
        while line := await reader.readline():
            if b'"state": "cancelled"' in line:
                seen.set()

    tasks = [asyncio.create_task(read(reader, seen)) for (reader, _), seen in zip(opened, got, strict=True)]
    await asyncio.sleep(2)
    spent = cpu_s(process)
    await asyncio.sleep(seconds)
    print(f"{CLIENTS} clients, nothing happens: {(cpu_s(process) - spent) / seconds * 100:.1f} % of a core")
    late = []
    spent, began = cpu_s(process), time.perf_counter()
    for _ in range(3):
        for one in got:
            one.clear()
        await asyncio.to_thread(testbed.run, "-m", "marketfetch", "cancel", job)
        changed = time.perf_counter()
        await asyncio.gather(*(one.wait() for one in got))
        late.append(time.perf_counter() - changed)
        await asyncio.to_thread(testbed.run, "-m", "marketfetch", "resume", job)
        await asyncio.sleep(2)
    used = (cpu_s(process) - spent) / (time.perf_counter() - began)
    print(
        f"{CLIENTS} clients, a job changes: {used * 100:.1f} % of a core, the last client {max(late):.2f} s behind the command"
    )
    for task in tasks:
        task.cancel()
    for _, writer in opened:
        writer.close()


async def open_all(port: int) -> list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    opened = []
    for _ in range(CLIENTS):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        assert b"200" in await reader.readline()
        opened.append((reader, writer))
    return opened


def ask_often(port: int, path: str, count: int, process: psutil.Process | None = None) -> float:
    """Seconds of the server's CPU for each of so many requests over one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    before = cpu_s(process)
    for _ in range(count):
        connection.request("GET", path)
        response = connection.getresponse()
        assert response.status == 200, response.read()
        response.read()
    connection.close()
    return (cpu_s(process) - before) / count


def cpu_s(process: psutil.Process | None) -> float:
    if process is None:
        return 0.0
    used = process.cpu_times()
    return float(used.user + used.system)


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int, path: str) -> None:
    def ready() -> bool:
        try:
            ask_often(port, path, 1)
        except OSError:
            return False
        return True

    until(ready)


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "waited in vain"
        _PAUSE.wait(0.05)


if __name__ == "__main__":
    main("--short" in sys.argv)
