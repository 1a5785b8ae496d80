"""The archive in S3, at a real server on loopback: kept, replayed, sized, tried by `check`, and purged while calls go on."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest
import requests
from click.testing import CliRunner

from marketfetch import connections, settings
from marketfetch.cli.main import marketfetch as command
from marketfetch.ops.archive_months import months, of_archive, purge
from marketfetch.ops.file_place import FilePlace
from marketfetch.ops.finding import Finding
from marketfetch.ops.replay import replay
from marketfetch.ops.reply_archive import ReplyArchive
from tests.s3_server import backend, moto_server
from tests.testing.test_replay import JANUARY_10, KEY, REQUEST, reply

ACCOUNT, BUCKET, URL = "123456789012", "replies", "s3://replies/of/tests"
ALLOWED = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]})
DAY_MS = 86_400_000


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    """A bucket, and a user whose signature is checked."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    running = moto_server()
    running.start()
    host, port = running.get_host_and_port()
    iam = backend("iam")[ACCOUNT]["aws"]
    iam.create_user("us-east-1", "archivist")
    key = iam.create_access_key("archivist")
    iam.put_user_policy("archivist", "all", ALLOWED)
    backend("s3")[ACCOUNT]["aws"].create_bucket(BUCKET, "us-east-1")
    requests.post(f"http://{host}:{port}/moto-api/reset-auth", data=b"0", timeout=10).raise_for_status()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", key.access_key_id)
        patch.setenv("AWS_SECRET_ACCESS_KEY", key.secret_access_key)
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        yield iam
    running.stop()


@pytest.fixture
def in_s3(server, tmp_path, monkeypatch):
    """The settings name an archive in the bucket, which is empty; and an empty database."""
    import s3fs

    monkeypatch.chdir(tmp_path)
    s3fs.S3FileSystem.clear_instance_cache()
    for key in kept():
        backend("s3")[ACCOUNT]["aws"].delete_object(BUCKET, key)
    with settings.override({"MARKETFETCH_DATABASE_URL": f"sqlite:///{tmp_path}/x.db", "MARKETFETCH_ARCHIVE": URL}):
        yield server
        connections._forget()


def kept() -> list[str]:
    return list(backend("s3")[ACCOUNT]["aws"].buckets[BUCKET].keys)


def keep(at_ms: int, *closes: float) -> None:
    ReplyArchive(URL).keep(REQUEST, reply(*closes), fetched_ms=at_ms, secrets=(KEY,))


def tried() -> Finding:
    (found,) = list(of_archive())
    return found


def test_replies_are_kept_in_s3_and_read_again(in_s3):
    keep(JANUARY_10, 1.0, 2.0)
    keep(JANUARY_10 + 1, 1.0, 2.0)
    found = replay()
    assert (found.replies, found.rows, found.damaged) == (2, 4, [])
    assert [name.split("/")[2] for name in sorted(kept())] == ["index", "index", "objects"]
    assert not [name for name in kept() if "_" in name], "S3 writes whole objects, so none has a temporary name"


def test_check_tries_the_bucket_and_leaves_nothing(in_s3):
    assert (tried().level, tried().sentence) == ("ok", f"{URL}: an object was written, read and deleted.")
    assert kept() == []


def test_check_says_what_is_wrong_with_the_place(in_s3, monkeypatch, tmp_path):
    import s3fs

    in_s3.delete_user_policy("archivist", "all")
    try:
        said = tried()
    finally:
        in_s3.put_user_policy("archivist", "all", ALLOWED)
    assert said.level == "warning"
    assert said.sentence.startswith(f"An archived reply can't be written: {URL} can't be used (")
    assert "Access" in said.sentence
    (tmp_path / "file").write_text("no folder")
    for place, says in (
        ("s3://no-such-bucket/x", "The specified bucket does not exist"),
        ("s4://bucket/x", "The archive of replies can't be opened: s4://bucket/x is no place that fsspec knows"),
        (f"{tmp_path}/file", "An archived reply can't be written"),
        (f"{tmp_path}/new", "an object was written, read and deleted"),
    ):
        with settings.override({"MARKETFETCH_ARCHIVE": place}):
            assert says in tried().sentence
    assert not (tmp_path / "new").exists()
    with settings.override({}):
        assert list(of_archive()) == []
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
    s3fs.S3FileSystem.clear_instance_cache()
    assert "Could not connect" in tried().sentence


def test_check_names_the_library_that_an_address_needs(in_s3, monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, "s3", raising=False)
    words = f"The archive of replies can't be opened: {URL} needs a library that is not installed: Install s3fs"
    assert tried().sentence.startswith(words)


def test_months_are_shown_with_their_sizes_and_old_ones_are_purged(in_s3):
    for at_ms in (JANUARY_10, JANUARY_10 + 1, JANUARY_10 + 31 * DAY_MS):
        keep(at_ms, 1.0)
    run = CliRunner().invoke
    shown = json.loads(run(command, ["archive", "show", "--json"]).stdout)
    assert [(one["month"], one["replies"]) for one in shown["months"]] == [
        ("2024-01", {"polygon": 2}), ("2024-02", {"polygon": 1}),
    ]  # fmt: skip
    assert shown["bytes"] == sum(one["bytes"] for one in shown["months"]) > 1_000
    text = run(command, ["archive", "show"]).stdout.splitlines()
    assert (text[0].split(), text[-1].partition(": ")[0]) == (["month", "size", "replies"], f"3 replies in {URL}")
    # A month goes when all of it is old enough: on the 30th of April, not a day earlier.
    old = timedelta(days=89)
    assert purge(older_than=old, today=date(2024, 4, 29)).months == []
    assert [one.month for one in purge(older_than=old, today=date(2024, 4, 30), dry_run=True).months] == ["2024-01"]
    assert months().replies == 3
    assert [one.month for one in purge(older_than=old, today=date(2024, 4, 30)).months] == ["2024-01"]
    left = ReplyArchive(URL)
    assert [left.reply(one).status for one in left.entries()] == [200], "what stays has its body"
    done = run(command, ["archive", "purge", "--older-than", "90d"])
    assert (done.exit_code, done.stdout.splitlines()[-1].partition(" removed")[0]) == (0, "1 reply")
    assert "No month in" in run(command, ["archive", "purge", "--older-than", "12w"]).stdout
    assert run(command, ["archive", "purge", "--older-than", "1d"]).exit_code == 2


def test_a_purge_that_was_killed_is_finished_by_the_next(in_s3, monkeypatch):
    keep(JANUARY_10, 1.0)
    removed = FilePlace.remove_folder

    def killed(self: Any, folder: str) -> None:
        if folder.startswith("objects"):
            raise KeyboardInterrupt
        removed(self, folder)

    monkeypatch.setattr(FilePlace, "remove_folder", killed)
    with pytest.raises(KeyboardInterrupt):
        purge(older_than=timedelta(days=90))
    monkeypatch.setattr(FilePlace, "remove_folder", removed)
    assert list(ReplyArchive(URL).entries()) == []
    (left,) = purge(older_than=timedelta(days=90)).months
    assert (left.replies, left.size > 0) == ({}, True)
    assert months().replies == len(kept()) == 0


def test_a_body_that_is_gone_stops_no_other_reply(in_s3):
    keep(JANUARY_10, 1.0)
    keep(JANUARY_10 + 31 * DAY_MS, 2.0)
    (gone,) = (name for name in kept() if "objects/2024-01" in name)
    backend("s3")[ACCOUNT]["aws"].delete_object(BUCKET, gone)
    found = replay()
    (sentence,) = found.damaged
    assert found.rows == 1
    assert sentence.startswith(f"The archived body {gone.removeprefix('of/tests/')} is missing: ")
