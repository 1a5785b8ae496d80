"""How much CPU each test takes, with everything that it starts: `pytest --cpu FILE` writes a JSON object for each phase.

`{"test", "phase", "own", "ended", "<program>": ...}` in seconds: the test's own process, its children that have ended, and the
programs that run on, each with its descendants. A program that ends moves its seconds to "ended", so only the sum of a phase
is the phase's. A process whose parent was killed is not seen. `python -m tests.cpu_of_tests FILE` sums up by file and by test.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests import preloaded

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
#: What a command line has in it, and what the program is called in the file.
PROGRAMS = {"preloader.py": "forks", "valkey": "valkey", "postgres": "postgres", "chrom": "browser", "playwright": "browser"}


def times_s(pid: int) -> tuple[float, float]:
    """CPU of a process, and of those of its children that ended and were waited for."""
    own_user, own_system, user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15]
    return (int(own_user) + int(own_system)) * TICK_S, (int(user) + int(system)) * TICK_S


def children(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread has ended meanwhile
            found += [int(child) for child in (task / "children").read_text().split()]
    return found


def tree_s(pid: int) -> float:
    try:
        return sum(times_s(pid)) + sum(tree_s(child) for child in children(pid))
    except (FileNotFoundError, ProcessLookupError):
        return 0.0  # it ended meanwhile


def program(pid: int) -> str:
    try:
        line = Path(f"/proc/{pid}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return "other"
    return next((name for part, name in PROGRAMS.items() if part in line), "other")


def now_s() -> dict[str, float]:
    found = defaultdict[str, float](float)
    found["own"], found["ended"] = times_s(os.getpid())
    for child in children(os.getpid()):
        found[program(child)] += tree_s(child)
    for one in preloaded.started:
        if one.own is None:  # a fork of another process's child
            found["forks"] += tree_s(one.pid)
    return found


class Meter:
    """The plug-in."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.before = now_s()

    def write(self, test: str, phase: str) -> None:
        """Adds what was spent since the last line."""
        after = now_s()
        spent = {name: round(after.get(name, 0.0) - self.before.get(name, 0.0), 3) for name in after | self.before}
        self.before = after
        line = {"test": test, "phase": phase} | {name: seconds for name, seconds in spent.items() if seconds}
        with self.file.open("a", encoding="utf-8") as out:
            out.write(json.dumps(line) + "\n")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self) -> None:
        self.write("", "between tests")

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Iterator[None]:
        try:
            yield
        finally:
            self.write(item.nodeid, "setup")

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        try:
            yield
        finally:
            self.write(item.nodeid, "call")

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Iterator[None]:
        try:
            yield
        finally:
            self.write(item.nodeid, "teardown")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--cpu", metavar="FILE", help="append how much CPU each test takes to this file, in JSON lines")


def pytest_configure(config: pytest.Config) -> None:
    file = config.getoption("cpu")
    # The process that deals out the tests runs none.
    if file and (hasattr(config, "workerinput") or not config.getoption("numprocesses", None)):
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        config.pluginmanager.register(Meter(Path(file).absolute()))


def largest(seconds: dict[str, float]) -> list[tuple[str, float]]:
    return sorted(seconds.items(), key=lambda one: -one[1])


def summed_up(lines: list[dict]) -> str:
    by_file, by_test = defaultdict[str, float](float), defaultdict[str, float](float)
    by_program = defaultdict[str, Counter[str]](Counter)
    for line in lines:
        test, seconds = line.pop("test"), line
        seconds.pop("phase")
        file = test.partition("::")[0]
        by_file[file] += sum(seconds.values())
        by_test[test] += sum(seconds.values())
        by_program[file].update(seconds)
    shown = [f"{sum(by_file.values()):9.1f} s of CPU in all"]
    for file, spent in largest(by_file):
        parts = ", ".join(f"{name} {seconds:.1f}" for name, seconds in by_program[file].most_common())
        shown.append(f"{spent:9.1f} {file or 'between tests'} ({parts})")
    shown += [f"{spent:9.2f} {test}" for test, spent in largest(by_test)[:300]]
    return "\n".join(shown)


if __name__ == "__main__":
    print(summed_up([json.loads(line) for line in Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()]))
