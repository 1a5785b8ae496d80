"""The embedded Postgres: a socket, a cluster, and committed rows that outlive a kill."""

from __future__ import annotations

from pathlib import Path

import psycopg

from marketfetch.local.postgres_server import start_postgres


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
