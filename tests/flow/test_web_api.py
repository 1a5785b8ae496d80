"""`marketfetch serve` as a process: a real client listens, the server is ended while it does, and the client comes back."""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.error
import urllib.request
from http.client import HTTPResponse

import pytest

from marketfetch.jobs.submission import submit
from marketfetch.local.valkey_server import start_valkey
from tests.cli.conftest import Started, shell  # noqa: F401 (pytest finds the fixture here)
from tests.jobs.conftest import emptied  # noqa: F401
from tests.waiting import eventually


@pytest.fixture
def serve(shell, emptied, valkey_url, tmp_path):  # noqa: F811
    """Starts the API on a port of the system's choice; returns the process and its address."""
    emptied()
    shell.variables = {
        "MARKETFETCH_REDIS_URL": valkey_url,
        "MARKETFETCH_DATABASE_URL": f"sqlite:///{tmp_path}/bars.db",
        "MARKETFETCH_PROVIDERS__POLYGON__API_KEYS": "main:secret",
    }
    started: list[Started] = []

    def start(port: int = 0) -> tuple[Started, str]:
        one = shell.start("serve", "--port", str(port))
        started.append(one)
        one.until(lambda: "Ctrl-C stops it" in one.out.read_text())
        return one, one.out.read_text().split()[5].removesuffix(";")

    yield start
    for one in started:
        if one.process.poll() is None:
            one.end(signal.SIGKILL)


def listen(url: str, last: str = "") -> HTTPResponse:
    asked = urllib.request.Request(f"{url}/events?topic=jobs", headers={"Last-Event-ID": last} if last else {})
    return urllib.request.urlopen(asked, timeout=60)


def job_events(stream: HTTPResponse):
    """(id, document) of each event of a job, as they come, until the stream ends."""
    lines: dict[str, str] = {}
    for line in stream:
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if name:
            lines[name] = value
        elif lines:
            if lines.get("event") == "job":
                yield lines["id"], json.loads(lines["data"])
            lines = {}


def test_a_client_follows_jobs_across_a_kill_and_a_stop_ends_its_stream_in_time(serve):
    one, url = serve()
    job = submit("polygon", ["AAPL"], start="2024-01-02", end="2024-01-31").job_id
    with listen(url) as stream:
        events = job_events(stream)
        last, document = next(events)
        assert document["job"] == job
        one.end(signal.SIGKILL)
        assert list(events) == [], "the stream is cut"
    other = submit("polygon", ["MSFT"], start="2024-01-02", end="2024-01-31").job_id

    two, again = serve(int(url.split(":")[2].split("/")[0]))
    assert again == url
    with listen(url, last) as stream:
        events = job_events(stream)
        assert {next(events)[1]["job"], next(events)[1]["job"]} == {job, other}
        began = time.monotonic()
        assert two.end(signal.SIGTERM) == 0
        assert list(events) == [], "the stream ends, whole"
        assert time.monotonic() - began < 60, "5 s on a quiet machine"
    assert "the web API is stopped" in two.err.read_text()


def test_a_redis_that_hangs_is_said_soon_and_all_goes_on_when_it_responds(serve, shell, tmp_path):  # noqa: F811
    with start_valkey(tmp_path / "valkey") as hangs:
        shell.variables["MARKETFETCH_REDIS_URL"] = hangs.url
        _, url = serve()
        base = url.removesuffix("/api/v1")
        assert status_of(f"{base}/api/v1/quotas") == 200
        os.kill(hangs.pid, signal.SIGSTOP)
        try:
            began = time.monotonic()
            assert [status_of(f"{base}/api/v1/quotas"), status_of(f"{base}/api/v1/health")] == [503, 503]
            # Each takes 3 s on a quiet machine, and once a second the look for other settings as many; a worker waits 40 s.
            assert time.monotonic() - began < 30
        finally:
            os.kill(hangs.pid, signal.SIGCONT)
        eventually(lambda: status_of(f"{base}/api/v1/quotas") == 200, what="it responds")


def status_of(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=100) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        return error.code
