"""A folder of its own, and the `marketfetch` command run in it as a person would."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import psutil
import pytest

from marketfetch.settings import environment
from tests.preloaded import preloaded
from tests.waiting import LONG_S, PATIENCE, rest

ROOT = Path(__file__).parents[2]


@dataclass
class Started:
    """A command under way, its output in files."""

    process: subprocess.Popen[bytes]
    out: Path
    err: Path

    @property
    def text(self) -> str:
        return self.out.read_text() + self.err.read_text()

    def family(self) -> list[psutil.Process]:
        """It and everything that it started, also sessions of their own. Empty once it has ended."""
        try:
            parent = psutil.Process(self.process.pid)
            return [parent, *parent.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def until(self, condition: Callable[[], object], *, seconds: float = 60.0) -> None:
        """Waits for a condition while the command runs."""
        deadline = time.monotonic() + seconds * PATIENCE
        while (began := time.monotonic()) < deadline:
            if condition():
                return
            assert self.process.poll() is None, f"ended with {self.process.returncode}:\n{self.text}"
            rest(time.monotonic() - began)
        raise AssertionError(f"waited in vain:\n{self.text}")

    def end(self, number: signal.Signals = signal.SIGINT, *, seconds: float = LONG_S) -> int:
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)
        return self.process.wait(seconds)


#: The tests count calls by symbol.
_BY_SYMBOL = {"MARKETFETCH_WHOLE_MARKET_FROM": "0"}


@dataclass
class Shell:
    """Runs commands in `folder`, with these MARKETFETCH_ variables and no others."""

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)

    def environment(self, more: Mapping[str, str]) -> dict[str, str]:
        plain = {name: value for name, value in environment().items() if not name.startswith("MARKETFETCH_")}
        return {**plain, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "default", **_BY_SYMBOL, **self.variables, **more}

    def run(
        self, *arguments: str, seconds: float = LONG_S, stdin: bytes = b"", **more: str
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command to its end. `more` are further variables, without MARKETFETCH_."""
        environment = self.environment({f"MARKETFETCH_{name}": value for name, value in more.items()})
        python = preloaded()
        return python.run("-P", "-m", "marketfetch", *arguments, cwd=self.folder, env=environment, timeout=LONG_S, stdin=stdin)

    def start(self, *arguments: str) -> Started:
        """Starts a command in a session of its own."""
        name = f"{arguments[0]}-{os.urandom(4).hex()}"
        files: list[IO[bytes]] = []
        with contextlib.ExitStack() as closing:
            files += [closing.enter_context((self.folder / f"{name}.{end}").open("wb")) for end in ("out", "err")]
            process = preloaded().start(
                "-P", "-m", "marketfetch", *arguments,
                cwd=self.folder,
                env=self.environment({}),
                stdout=files[0].fileno(),
                stderr=files[1].fileno(),
                start_new_session=True,
            )  # fmt: skip
        return Started(process, self.folder / f"{name}.out", self.folder / f"{name}.err")


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


@pytest.fixture(scope="module")
def make_shell(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Shell]:
    return lambda: Shell(tmp_path_factory.mktemp("folder"))


@pytest.fixture(scope="session")
def gone() -> Callable[[list[psutil.Process]], bool]:
    def all_gone(those: list[psutil.Process]) -> bool:
        return all(not one.is_running() or one.status() == psutil.STATUS_ZOMBIE for one in those)

    return all_gone


@pytest.fixture(scope="session")
def one_sentence() -> Callable[..., str]:
    """What a refused command says: it failed, on stderr, in a line of words, without a traceback."""

    def sentence(done: subprocess.CompletedProcess[str], code: int = 1) -> str:
        assert done.returncode == code, (done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        assert "should not happen" not in done.stderr
        lines = done.stderr.strip().splitlines()
        assert len(lines) == 1, done.stderr
        assert lines[0].startswith(("Error: ", "Error in the settings: "))
        return lines[0]

    return sentence
