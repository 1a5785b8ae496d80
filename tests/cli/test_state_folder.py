"""The state folder is its owner's alone: no other user reads it, holds its locks or forges what it says."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import AuthenticationError

from marketfetch.cli.locks import ProcessError, end_leftovers, only_one, owner_of, signature
from marketfetch.local.private_files import NotPrivateError, private_folder, write_private
from marketfetch.local.valkey_server import find_valkey, password_of, start_valkey
from tests.cli.modes import open_to_others

WAITS = "import threading; print('up', flush=True); threading.Event().wait()"
#: Holds the lock of a file as a child of a killed command does, and says so.
HOLDS = """
import fcntl, sys, threading
file = open(sys.argv[1], "a+")
fcntl.flock(file, fcntl.LOCK_EX)
print("up", flush=True)
threading.Event().wait()
"""


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.fixture
def unrelated() -> Iterator[subprocess.Popen[bytes]]:
    """A process group that is none of ours."""
    with subprocess.Popen([sys.executable, "-c", WAITS], stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout
        process.stdout.readline()
        yield process
        process.kill()


def test_a_new_folder_and_an_old_open_one_become_private(tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.mkdir(mode=0o755)
    assert [mode(private_folder(tmp_path / "new")), mode(private_folder(old))] == [0o700, 0o700]


def test_the_parents_that_it_makes_are_private_and_one_that_exists_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir(mode=0o755)
    private_folder(tmp_path / "shared" / "state" / "demo" / "logs")
    assert open_to_others(tmp_path / "shared" / "state") == {}
    assert mode(tmp_path / "shared") == 0o755


def test_a_file_is_private_whole_and_no_link_is_followed(tmp_path: Path) -> None:
    write_private(tmp_path / "secret", "s3cret")
    assert mode(tmp_path / "secret") == 0o600
    target = tmp_path / "of another"
    target.write_text("untouched")
    (tmp_path / "up.lock").symlink_to(target)
    with pytest.raises(OSError, match="symbolic link"), only_one(tmp_path / "up.lock", what="marketfetch up"):
        pass
    assert target.read_text() == "untouched"


def test_a_folder_of_another_user_or_a_link_to_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "theirs")
    owner = (tmp_path / "theirs").stat().st_uid
    monkeypatch.setattr(os, "getuid", lambda: owner + 1)
    with pytest.raises(NotPrivateError, match="belongs to another user"):
        private_folder(tmp_path / "theirs")
    with pytest.raises(NotPrivateError, match="leads to a folder of another user"):
        private_folder(tmp_path / "link")
    with pytest.raises(ProcessError, match="another user"), only_one(tmp_path / "theirs" / "up.lock", what="marketfetch up"):
        pass


def test_a_process_id_that_has_been_used_again_is_not_ours(unrelated: subprocess.Popen[bytes]) -> None:
    mine = f"{unrelated.pid} {signature(unrelated.pid)}"
    assert owner_of(mine) == unrelated.pid
    assert owner_of(f"{unrelated.pid} 1") is None
    assert [owner_of(text) for text in ("", "none", "-1 5", "²")] == [None] * 4


def test_up_kills_no_process_group_that_has_the_id_of_an_earlier_child(
    tmp_path: Path, unrelated: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "worker.pid"
    path.write_text(f"{unrelated.pid} 1\n")
    monkeypatch.setattr("marketfetch.cli.locks.ticks", lambda seconds: iter((None,)))
    with subprocess.Popen([sys.executable, "-c", HOLDS, str(path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        holder.stdout.readline()
        with pytest.raises(ProcessError, match="by hand"):
            end_leftovers(tmp_path)
        holder.kill()
    threading.Event().wait(0.1)
    assert unrelated.poll() is None, "the process that has the id by now lives"


def test_the_embedded_valkey_asks_for_the_password_that_only_its_owner_can_read(tmp_path: Path) -> None:
    with start_valkey(tmp_path / "valkey") as server:
        with Redis(port=server.port) as stranger, pytest.raises(AuthenticationError):
            stranger.ping()
        with Redis(port=server.port, password="guessed") as stranger, pytest.raises(AuthenticationError):
            stranger.ping()
        password = password_of(tmp_path / "valkey")
        assert len(password) >= 24
        with Redis.from_url(server.url) as redis:
            assert redis.ping()
            redis.set("a", "b")
        found = find_valkey(tmp_path / "valkey")
        assert found is not None
        arguments = Path(f"/proc/{server.pid}/cmdline").read_bytes()
        assert password.encode() not in arguments, "every user of the machine may read a command line"
        assert open_to_others(tmp_path / "valkey") == {}
    assert password not in "".join(path.read_text(errors="replace") for path in (tmp_path / "valkey").rglob("*.log"))
