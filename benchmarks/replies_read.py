"""`python -m benchmarks.replies_read`: what it costs to decode and check a reply of each dataset, in CPU and in memory.

`json.loads` of the same bytes is 1.00; for a CSV, Python's csv reader, as there is no JSON of it. "bad": one row in a thousand
fails a check. Memory: by how much the peak of a process grows while it reads, in times the body, which it holds already.
The targets are 1.25, 2.2 with bad rows, and 6 times the body.
"""

from __future__ import annotations

import csv
import gc
import io
import json
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import click

from benchmarks.sample_replies import REPLIES, Sample
from marketfetch.schemas.page import Page
from marketfetch.vendors import reading, vendor
from marketfetch.vendors.http import HttpReply
from tests.vendors.peak_memory import PeakMemory

_MOST_REJECTS: Final = 0.2


@click.command()
@click.option("--rounds", default=15, show_default=True, help="how often each is read; the least CPU counts")
@click.option("--only", default="", help="the replies whose name has this in it")
def main(rounds: int, only: str) -> None:
    """Prints a line for each dataset."""
    click.echo(f"{'':36}{'rows':>7}{'kB':>7}{'floor ms':>10}{'ms':>9}{'clean':>7}{'bad':>7}{'memory':>8}{'bad':>7}")
    samples = [sample for sample in REPLIES if only in sample.name]
    # First of all, as a process that has read replies gives the memory that it has freed to the next one.
    memory = [[grown(sample, bad=bad) for bad in (False, True)] for sample in samples]
    for sample, times in zip(samples, memory, strict=True):
        click.echo(_line(sample, rounds, times))


def _line(sample: Sample, rounds: int, memory: list[float]) -> str:
    clean, bad = sample.body(bad=False), sample.body(bad=True)
    assert not read(sample, clean).bad_rows, sample.name
    assert read(sample, bad).bad_rows, sample.name
    floor_s, read_s, bad_s = _fastest(partial(_floor, clean), partial(read, sample, clean), partial(read, sample, bad), rounds)
    return (
        f"{sample.name:36}{sample.rows:7,}{len(clean) / 1e3:7,.0f}{floor_s * 1e3:10.2f}{read_s * 1e3:9.2f}"
        f"{read_s / floor_s:7.2f}{bad_s / floor_s:7.2f}{memory[0]:8.1f}{memory[1]:7.1f}"
    )


def read(sample: Sample, body: bytes) -> Page:
    """Reads a body as a worker does."""
    reply = HttpReply(200, {"content-length": str(len(body)), "date": "Thu, 14 May 2026 10:00:00 GMT"}, body)
    return reading.read(sample.request, reply, vendor(sample.request.provider).options(), max_reject_share=_MOST_REJECTS)


def grown(sample: Sample, *, bad: bool) -> float:
    """By how much the memory of a forked process grows at its worst while it reads the reply, in times its body."""
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "body"
        _forked(lambda: str(file.write_bytes(sample.body(bad=bad))))

        def measured() -> str:
            small = replace(sample, rows=20)
            read(small, small.body(bad=bad))  # what is made once in a process is no cost of a reply
            body = file.read_bytes()
            gc.collect()
            peak = PeakMemory()
            read(sample, body)
            return str(peak.grown_mb() * 1e6 / len(body))

        return float(_forked(measured))


def _forked(work: Callable[[], str]) -> str:
    """What `work` returns in a process of its own."""
    out, back = os.pipe()
    child = os.fork()
    if not child:
        os.write(back, work().encode())
        os._exit(0)
    os.close(back)
    with os.fdopen(out) as said:
        found = said.read()
    os.waitpid(child, 0)
    return found


def _floor(body: bytes) -> object:
    return json.loads(body) if body[:1] == b"{" else list(csv.reader(io.StringIO(body.decode(), newline=""), strict=True))


def _fastest(floor: Callable[[], object], clean: Callable[[], object], bad: Callable[[], object], rounds: int) -> list[float]:
    """The least CPU seconds of each, in turn."""
    found: list[list[float]] = [[], [], []]
    for _ in range(rounds):
        for run, times in zip((floor, clean, bad), found, strict=True):
            begin = time.process_time()
            run()
            times.append(time.process_time() - begin)
    return [min(times) for times in found]


if __name__ == "__main__":
    main()
