"""Starts `python -m ...` and `python -c ...` with all libraries loaded already: see tests/preloader.py."""

from __future__ import annotations

import atexit
import json
import os
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import IO, Any

from marketfetch.settings import environment

ROOT = Path(__file__).parents[1]


#: Variables that a library reads when it is imported, so that each value has a preloader of its own: billiard/common.py.
READ_AT_IMPORT = frozenset({"REMAP_SIGTERM"})


class Preloader:
    """A process of tests/preloader.py. `path` is its socket, on which others may ask too while it lives."""

    def __init__(self, kind: str, *arguments: str, folder: Path = ROOT, imported_with: Mapping[str, str] | None = None) -> None:
        plain = {name: value for name, value in environment().items() if name not in READ_AT_IMPORT}
        self.folder = tempfile.TemporaryDirectory(prefix="preloader-")
        self.path = f"{self.folder.name}/socket"
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
            listening.bind(self.path)
            listening.listen(64)
            self.process = subprocess.Popen(
                [sys.executable, str(ROOT / "tests" / "preloader.py"), str(listening.fileno()), kind, *arguments],
                cwd=folder, pass_fds=[listening.fileno()], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                env={**plain, **(imported_with or {})},
            )  # fmt: skip

    def stop(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=300)
        self.folder.cleanup()


#: The socket of the preloader that the processes of xdist share: tests/scheduling.py sets it.
shared: list[str] = []


class Preloaded:
    """Starts processes that end with the test run, or before."""

    def __init__(self, imported_with: Mapping[str, str]) -> None:
        self.imported_with = imported_with
        path = "" if imported_with or not shared else shared[0]
        self.own = None if path else Preloader("libraries", imported_with=imported_with)
        self.wire = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.wire.connect(self.own.path if self.own else path)
        self.turn = threading.Lock()

    @cached_property
    def pid(self) -> int:
        """The parent of what it starts."""
        return int(self.ask({})["pid"])

    def ask(self, question: Mapping[str, Any], files: tuple[int, ...] = ()) -> Any:
        with self.turn:
            socket.send_fds(self.wire, [json.dumps(question).encode()], files)
            answer = self.wire.recv(4096)
        if not answer:
            raise RuntimeError("the preloader has ended: its last words are above")
        return json.loads(answer)

    def start(
        self,
        *arguments: str,
        cwd: Path,
        env: Mapping[str, str],
        stdout: int,
        stderr: int,
        stdin: int | None = None,
        start_new_session: bool = False,
    ) -> subprocess.Popen[bytes]:
        """`python <arguments>`: as `subprocess.Popen`, of which it takes these options, with files as descriptors."""
        read = {name: env[name] for name in READ_AT_IMPORT & env.keys()}
        if read != self.imported_with:
            other = preloaded(**read)
            return other.start(
                *arguments, cwd=cwd, env=env, stdin=stdin, stdout=stdout, stderr=stderr, start_new_session=start_new_session
            )
        question = {"arguments": arguments, "folder": str(cwd), "environment": dict(env), "session": start_new_session}
        with Path(os.devnull).open("rb") as nothing:
            files = (nothing.fileno() if stdin is None else stdin, stdout, stderr)
            return Process(self, arguments, self.ask(question, files)["pid"])

    def run(
        self, *arguments: str, cwd: Path, env: Mapping[str, str], timeout: float, stdin: bytes = b""
    ) -> subprocess.CompletedProcess[str]:
        """Runs `python <arguments>` to its end: as `subprocess.run`. Raises TimeoutExpired, the process ended."""
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            given.write(stdin)
            given.seek(0)
            process = self.start(*arguments, cwd=cwd, env=env, stdin=given.fileno(), stdout=out.fileno(), stderr=err.fileno())
            try:
                code = process.wait(timeout)
            except BaseException:
                process.kill()
                process.wait()
                raise
            return subprocess.CompletedProcess(process.args, code, text(out), text(err))

    def stop(self) -> None:
        self.wire.close()
        if self.own:
            self.own.stop()


@cache
def preloaded(**imported_with: str) -> Preloaded:
    """The one of this process whose libraries were loaded with these variables, started when it is first needed: in 1.5 s."""
    found = Preloaded(imported_with)
    atexit.register(found.stop)
    started.append(found)
    return found


#: Those of this process.
started: list[Preloaded] = []


class Process(subprocess.Popen[bytes]):
    """A process under way. Its parent is the preloader, which says how it ended."""

    def __init__(self, parent: Preloaded, arguments: tuple[str, ...], pid: int) -> None:
        self.parent, self.args, self.pid = parent, ["python", *arguments], pid
        self.returncode: int | None = None
        self.stdin = self.stdout = self.stderr = None
        self.ended = os.pidfd_open(pid)

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self.parent.ask({"exit": self.pid})["code"]
            if self.returncode is not None:
                os.close(self.ended)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if left == 0.0:
                raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
            select.select([self.ended], [], [], left)
        return code

    def __del__(self) -> None:
        """Nothing is left to reap: the preloader's end takes the rest with it."""


def text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()
