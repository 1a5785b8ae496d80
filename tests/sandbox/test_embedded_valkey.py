"""The embedded Valkey: found again, never doubled, and what it answered outlives it."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import redis

from marketfetch.local import valkey_server
from marketfetch.local.valkey_server import ServerError, Valkey, adopt_valkey, find_valkey, start_valkey


def client(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, decode_responses=True)


def test_a_started_server_answers_with_the_settings_that_a_queue_needs(tmp_path: Path) -> None:
    with start_valkey(tmp_path / "v") as server, client(server.url) as wire:
        assert wire.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert wire.config_get("hash-max-listpack-value") == {"hash-max-listpack-value": "512"}
        assert wire.config_get("appendonly") == {"appendonly": "yes"}
        assert wire.config_get("appendfsync") == {"appendfsync": "everysec"}
        assert wire.config_get("bind") == {"bind": "127.0.0.1"}
        assert wire.info("server")["process_id"] == server.pid


def test_what_was_written_is_there_again_after_a_kill(tmp_path: Path) -> None:
    server = start_valkey(tmp_path)
    with client(server.url) as wire:
        wire.set("answered", "yes")
    server.kill()
    assert find_valkey(tmp_path) is None
    with start_valkey(tmp_path) as again, client(again.url) as wire:
        assert wire.get("answered") == "yes"
        assert again.run_id != server.run_id


def test_a_second_start_in_the_same_folder_is_refused_and_names_the_first(tmp_path: Path) -> None:
    with start_valkey(tmp_path) as server:
        with pytest.raises(ServerError, match=f"runs in .* already .*{server.port}"):
            start_valkey(tmp_path)
        assert server.alive()


def test_a_chosen_port_that_is_taken_is_an_error_with_the_servers_own_words(tmp_path: Path) -> None:
    with (
        start_valkey(tmp_path / "one") as server,
        pytest.raises(ServerError, match=r"did not start in .*two: .*[Aa]ddress already in use"),
    ):
        start_valkey(tmp_path / "two", port=server.port)


def test_a_server_outlives_the_sigkill_of_its_starter_and_is_found_by_its_port_file(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from marketfetch.local.valkey_server import start_valkey\n"
        "start_valkey(Path(sys.argv[1])); os.kill(os.getpid(), signal.SIGKILL)"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, timeout=300)
    assert ended.returncode == -signal.SIGKILL
    server = adopt_valkey(tmp_path)
    assert server is not None
    assert find_valkey(tmp_path) == server.url
    with pytest.raises(ServerError, match="runs in"):
        start_valkey(tmp_path)
    server.stop()
    assert find_valkey(tmp_path) is None
    assert not (tmp_path / "valkey.json").exists()


def test_an_interrupt_while_it_starts_leaves_no_server_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("marketfetch.local.valkey_server._run_id", interrupted)
        with pytest.raises(KeyboardInterrupt):
            start_valkey(tmp_path)
    # The lock lives as long as the server: it is free only if the server is gone.
    with start_valkey(tmp_path) as server:
        assert find_valkey(tmp_path) == server.url


def test_a_port_file_that_names_another_server_is_stale_and_removed(tmp_path: Path) -> None:
    mine, other = tmp_path / "mine", tmp_path / "other"
    with start_valkey(other) as server:
        mine.mkdir()
        # The same port and a living pid, but not the run that the file speaks of.
        note = json.loads((other / "valkey.json").read_text()) | {"run_id": "0" * 40}
        (mine / "valkey.json").write_text(json.dumps(note))
        assert find_valkey(mine) is None
        assert not (mine / "valkey.json").exists()
        assert server.alive()


@pytest.mark.parametrize("text", ["", "{}", "not json", '{"port": "x"}', "[]"])
def test_a_damaged_port_file_is_ignored_and_removed(tmp_path: Path, text: str) -> None:
    (tmp_path / "valkey.json").write_text(text)
    assert find_valkey(tmp_path) is None
    assert not (tmp_path / "valkey.json").exists()


def test_stopping_a_server_that_is_gone_touches_no_other_process(tmp_path: Path) -> None:
    server = start_valkey(tmp_path)
    adopted = adopt_valkey(tmp_path)
    assert adopted is not None
    server.kill()
    adopted.pid = os.getpid()  # as if the pid had been given to somebody else
    adopted.stop()
    assert not adopted.alive()


@pytest.mark.parametrize(("gone_after", "sent"), [(1, ["SIGTERM"]), (2, ["SIGTERM", "SIGKILL"]), (9, ["SIGTERM", "SIGKILL"])])
def test_a_server_that_does_not_stop_gets_a_sigkill_and_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gone_after: int, sent: list[str]
) -> None:
    signals: list[str] = []
    monkeypatch.setattr("os.kill", lambda _, number: signals.append(signal.Signals(number).name))
    monkeypatch.setattr(valkey_server, "_wait_gone", lambda *_, **__: len(signals) >= gone_after)
    (tmp_path / "valkey.json").write_text("{}")
    process: Any = SimpleNamespace()
    Valkey(tmp_path, "127.0.0.1", 1, 2**22 + 1, "0" * 40, process).stop()
    assert signals == sent
    assert not (tmp_path / "valkey.json").exists()


def test_a_folder_in_which_another_process_starts_a_server_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(valkey_server, "_ticks", lambda _: iter((None,)))
    (tmp_path / "valkey.json").write_text("half of a no")
    with (tmp_path / "valkey.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert adopt_valkey(tmp_path) is None
        assert (tmp_path / "valkey.json").exists(), "the other process's file is removed"
        with pytest.raises(ServerError, match=r"a Valkey runs in .* already \(it does not answer yet\)"):
            start_valkey(tmp_path)


def test_a_lock_is_waited_for_until_its_time_is_over(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("w") as held, (tmp_path / "lock").open("w") as wanted:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert not valkey_server._take(wanted, seconds=0.03)
        fcntl.flock(held, fcntl.LOCK_UN)
        assert valkey_server._take(wanted, seconds=0.03)


def test_a_free_port_that_is_taken_meanwhile_is_tried_again_with_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []

    def spawn(_: Path, port: int, **__: Any) -> Any:
        tried.append(port)
        (tmp_path / "valkey.log").write_text("Address already in use")

    monkeypatch.setattr(valkey_server, "_spawn", spawn)
    monkeypatch.setattr(valkey_server, "_wait_ready", lambda *_: None)
    with pytest.raises(ServerError, match=r"did not start in .*: Address already in use"):
        start_valkey(tmp_path)
    assert len(tried) == 5
