"""`make rabbitmq`: a RabbitMQ of its own on loopback, and the test of a broker apart from Redis through it.

It needs Debian's package `rabbitmq-server`; the service that this package may have started is neither used nor touched.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from marketfetch.settings import environment
from tests.waiting import eventually

#: Debian's wrapper in /usr/sbin would become the user rabbitmq.
SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
TESTS = ("tests/flow/test_broker_apart.py",)


@contextmanager
def rabbitmq(folder: Path) -> Iterator[str]:
    """The URL of a RabbitMQ with all of its files in `folder`; it and its port mapper end with the block."""
    port, nodes, mapper = (_free_port() for _ in range(3))
    variables = environment(
        HOME=str(folder),  # of Erlang's cookie
        ERL_EPMD_ADDRESS="127.0.0.1",
        ERL_EPMD_PORT=str(mapper),
        RABBITMQ_NODENAME=f"marketfetch-{port}@localhost",
        RABBITMQ_NODE_IP_ADDRESS="127.0.0.1",
        RABBITMQ_NODE_PORT=str(port),
        RABBITMQ_DIST_PORT=str(nodes),
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1}",
        RABBITMQ_CONFIG_FILE=str(folder / "none"),
        RABBITMQ_ENABLED_PLUGINS_FILE=str(folder / "plugins"),
        RABBITMQ_MNESIA_BASE=str(folder / "mnesia"),
        RABBITMQ_LOG_BASE=str(folder / "log"),
        RABBITMQ_PID_FILE=str(folder / "pid"),
    )
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen([str(SERVER)], env=variables, stdout=log, stderr=log)
    try:
        eventually(lambda: _listens(port) or server.poll() is not None, within_s=60, what="RabbitMQ listens")
        if server.poll() is not None:
            sys.exit(f"RabbitMQ did not start:\n{(folder / 'server.log').read_text()}")
        yield f"amqp://guest:guest@127.0.0.1:{port}//"
    finally:
        server.terminate()
        server.wait(300)
        subprocess.run(["epmd", "-kill"], env=variables, stdout=subprocess.DEVNULL, check=False)


def main() -> int:
    if not SERVER.exists():
        sys.exit(f"there is no {SERVER}: install it, on Debian by `apt-get install rabbitmq-server`")
    with tempfile.TemporaryDirectory(prefix="marketfetch-rabbitmq-") as name, rabbitmq(Path(name)) as url:
        command = [sys.executable, "-m", "pytest", "-v", *TESTS, *sys.argv[1:]]
        return subprocess.run(command, env=environment(MARKETFETCH_TEST_BROKER_URL=url), check=False).returncode


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
