"""Calls to an S3 service, to a real one on loopback that checks every signature; and the parts that are kept on disk."""

from __future__ import annotations

import hashlib
import logging
import os
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace

import pytest
from pydantic import SecretStr

from marketfetch.ops import file_diagnosis
from marketfetch.sandbox.market import Market
from marketfetch.sandbox.polygon_files import HEADER, day_file, path_of
from marketfetch.schemas.request import Request
from marketfetch.sections import ProviderSettings
from marketfetch.settings import SettingsError
from marketfetch.vendors import transport, vendor
from marketfetch.vendors.errors import NotEntitled, NotYet, Unavailable
from marketfetch.vendors.file_service import FileService
from marketfetch.vendors.http import HttpReply
from marketfetch.vendors.reading import read
from tasks import kept_files
from tasks.calling import Calling
from tasks.endpoints import Endpoint
from tests.s3_server import S3Server, s3_server

DAY = date(2024, 7, 3)
VENDOR = vendor("polygon")
OPTIONS = VENDOR.options()
FILE = day_file(Market(seed=1, today=date(2024, 12, 31)), DAY, ("AAPL", "IBM"))
REQUEST = Request(provider="polygon", dataset="flat_files", symbol="*", start=DAY, end=DAY)


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with s3_server("flatfiles") as server:
        server.put(path_of(DAY), FILE)
        yield server


def answer(s3: S3Server, credentials: str | None = None, day: date = DAY, **bounds: int) -> HttpReply:
    call = VENDOR.build_request(REQUEST.model_copy(update={"start": day, "end": day}), OPTIONS)
    return transport.send(
        call,
        base_url=s3.url,
        provider="polygon",
        key_label="main",
        key=SecretStr(credentials or s3.credentials),
        timeouts=transport.Timeouts(**bounds),
    )


def test_a_signed_call_brings_the_file_as_it_is(s3):
    reply = answer(s3)
    assert (reply.status, reply.body) == (200, FILE)
    page = read(REQUEST, reply, OPTIONS, max_reject_share=0.5)
    assert [one.symbol for one in page.series] == ["AAPL", "IBM"]


@pytest.mark.parametrize("wrong", ["id", "secret"])
def test_wrong_credentials_are_named_and_are_in_no_text(s3, wrong, caplog):
    caplog.set_level(logging.DEBUG)
    key_id, _, secret = s3.credentials.partition(":")
    given = f"AKIAUNKNOWN:{secret}" if wrong == "id" else f"{key_id}:S3CR3T/notthis"
    with pytest.raises(NotEntitled, match="rejected the credentials for files") as caught:
        read(REQUEST, answer(s3, given), OPTIONS, max_reject_share=0.5, secrets=given.split(":"))
    # The server is in this process, and logs what it is sent.
    logged = [one.getMessage() for one in caplog.records if not one.name.startswith("moto")]
    assert logged
    for text in (str(caught.value), *logged):
        assert "Signature=" not in text
        assert not any(part in text for part in given.split(":"))


def test_a_plan_without_the_files_and_a_file_that_is_not_there_are_told_apart(s3):
    s3.allow(False)
    try:
        with pytest.raises(NotEntitled, match="does not include the file"):
            read(REQUEST, answer(s3), OPTIONS, max_reject_share=0.5)
    finally:
        s3.allow(True)
    absent = answer(s3, day=date(2024, 7, 5))
    with pytest.raises(NotYet):
        read(REQUEST, HttpReply(404, {"date": "Thu, 04 Jul 2024 10:00:00 GMT"}, absent.body), OPTIONS, max_reject_share=0.5)


def test_a_file_above_its_limit_is_given_up(s3):
    with pytest.raises(Unavailable, match="larger than 100 bytes and was given up"):
        answer(s3, max_bytes=100)


def test_the_url_of_a_call_holds_neither_credentials_nor_a_signature(s3):
    call = VENDOR.build_request(REQUEST, OPTIONS)
    url, headers = transport.with_key(call, base_url=s3.url, secret=s3.credentials)
    assert url == transport.redacted_url(call, s3.url) == s3.url + path_of(DAY)
    assert headers == {}


# --- check ---


@pytest.fixture
def checked(s3, monkeypatch):
    """What `marketfetch check` says of the service, with these options."""

    def findings(**given: object) -> list[tuple[str, str]]:
        ours = VENDOR.options(**{"files_url": s3.url, "file_keys": {"*": s3.credentials}} | given)
        key = SimpleNamespace(label="main")
        section = SimpleNamespace(keys=(key, SimpleNamespace(label="second")), proxy=None, ca_file=None)
        monkeypatch.setattr(file_diagnosis, "options", lambda name: ours if name == "polygon" else None)
        monkeypatch.setattr(file_diagnosis, "get_settings", lambda: SimpleNamespace(provider=lambda name: section))
        monkeypatch.setattr(file_diagnosis, "ANSWER_S", 5.0)
        return [(one.level, one.sentence) for one in file_diagnosis.of_files()]

    return findings


def test_check_says_that_the_credentials_work_without_fetching_a_file(s3, checked):
    today = datetime.now(UTC).date()
    for ago in range(14, 29):
        s3.put(path_of(today - timedelta(days=ago)), b"x")
    (found,) = checked()
    assert found == ("ok", f"The files at {s3.url} (key main) can be fetched with the credentials in file_keys.")
    assert checked(file_keys={}) == []


def test_check_says_what_is_wrong_with_the_credentials_the_plan_and_the_address(s3, checked):
    ((level, sentence),) = checked(file_keys={"*": "AKIAUNKNOWN:S3CR3T"})
    assert level == "warning"
    assert "rejected the credentials for files" in sentence
    assert "S3CR3T" not in sentence
    s3.allow(False)
    try:
        assert "does not include the file" in checked()[0][1]
    finally:
        s3.allow(True)
    assert "connection could not be made" in checked(files_url="http://127.0.0.1:9")[0][1]


def test_check_names_the_extra_that_signs(checked, monkeypatch):
    monkeypatch.setitem(sys.modules, "requests_aws4auth", None)
    assert "pip install 'marketfetch[flatfiles]'" in checked()[0][1]


# --- settings ---


def section(**given: object) -> ProviderSettings:
    class Section(FileService, ProviderSettings):
        base_url: str = "https://vendor.test"
        files_url: str = "https://files.vendor.test"

    return Section.model_validate(given)


def test_redaction_cuts_the_credentials_of_files():
    one = section(api_keys=["main:K"], file_keys={"main": "ID1:SECRET1"})
    assert one.hidden() == {"K", "ID1", "SECRET1"}
    assert "SECRET1" not in repr(one)


@pytest.mark.parametrize(
    ("file_keys", "says"),
    [
        ({"other": "ID:S"}, "no key is labelled 'other'"),
        ({"main": "ID:S"}, "'second' has no credentials"),
        ({"main": "ID:S", "second": "no colon"}, "write them as ID:SECRET"),
    ],
)
def test_credentials_are_of_every_key_and_have_both_parts(file_keys, says):
    with pytest.raises(ValueError, match=says):
        section(api_keys=["main:K", "second:L"], file_keys=file_keys)


def test_one_pair_of_credentials_may_be_of_all_keys():
    one = section(api_keys=["main:K", "second:L"], file_keys={"*": "ID:S"})
    assert isinstance(one, FileService)
    assert [found.get_secret_value() for label in ("main", "second") if (found := one.file_key(label))] == ["ID:S", "ID:S"]


def test_the_credentials_come_from_the_environment(monkeypatch):
    from marketfetch.settings import reread

    monkeypatch.setenv("MARKETFETCH_PROVIDERS__POLYGON__API_KEYS", '["main:K"]')
    monkeypatch.setenv("MARKETFETCH_PROVIDERS__POLYGON__FILE_KEYS", '{"main": "ID1:SECRET1"}')
    assert {"K", "ID1", "SECRET1"} <= set(reread().secrets())
    monkeypatch.setenv("MARKETFETCH_PROVIDERS__POLYGON__FILE_KEYS", '{"main": "SECRET1"}')
    with pytest.raises(SettingsError) as caught:
        reread()
    assert "ID:SECRET" in str(caught.value)
    assert "SECRET1" not in str(caught.value)


# --- files on this machine's disk ---


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path / f"marketfetch-files-{os.getuid()}"


def test_a_kept_file_is_found_by_every_page_of_its_request_until_it_is_forgotten(folder):
    reply = HttpReply(200, {"date": "Thu, 04 Jul 2024 10:00:00 GMT"}, FILE)
    kept_files.keep(REQUEST, reply, called_at_ms=5)
    page = REQUEST.next_page("part?at=1&row=0&file=0123456789abcdef")
    assert kept_files.kept(page) == (reply, 5)
    assert kept_files.kept(REQUEST.model_copy(update={"generation": "again"})) is None
    assert folder.stat().st_mode & 0o077 == 0
    kept_files.forget(page)
    assert (kept_files.kept(page), list(folder.iterdir())) == (None, [])


def test_a_kept_file_of_another_service_is_another_file(folder, monkeypatch):
    kept_files.keep(REQUEST, HttpReply(200, {}, FILE), called_at_ms=5)
    elsewhere = VENDOR.options(files_url="https://files.elsewhere.test")
    monkeypatch.setattr(kept_files, "options", lambda provider: elsewhere)
    assert kept_files.kept(REQUEST) is None


def test_a_kept_file_that_is_not_that_of_the_other_parts_is_forgotten_and_the_vendors_is_asked_for(folder):
    other = FILE + b"\0"  # the same rows in other bytes
    calls: list[Request] = []

    class Run(Calling):
        def sent(self, request, call, endpoint):
            calls.append(request)
            return HttpReply(200, {}, FILE)

    call = VENDOR.build_request(REQUEST, OPTIONS)
    endpoint = Endpoint("https://files.vendor.test", "main", SecretStr("ID:S"), transport.Timeouts())
    digest = hashlib.sha256(FILE).hexdigest()[:16]
    page = REQUEST.next_page(f"part?at={len(HEADER) + 1}&row=0&file={digest}")
    kept_files.keep(REQUEST, HttpReply(200, {}, other), called_at_ms=5)
    run = Run(None, lease_ends=0, opens_at=0)
    assert [one.symbol for one in run.part(page, call, endpoint).series] == ["AAPL", "IBM"]
    assert calls == [page]
    kept_files.keep(REQUEST, HttpReply(200, {}, FILE), called_at_ms=5)
    assert run.part(page, call, endpoint).rows == 2
    assert calls == [page], "the file of the other parts is read from the disk"


def test_a_kept_file_that_is_damaged_is_no_file_and_an_old_one_goes(folder):
    reply = HttpReply(200, {}, FILE)
    kept_files.keep(REQUEST, reply, called_at_ms=5)
    (path,) = folder.iterdir()
    path.write_bytes(path.read_bytes()[:-1])
    assert kept_files.kept(REQUEST) is None
    os.utime(path, (0, 0))
    kept_files.keep(REQUEST.model_copy(update={"generation": "again"}), reply, called_at_ms=6)
    assert path not in list(folder.iterdir())


def test_a_folder_that_others_may_write_is_not_used(folder):
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    kept_files.keep(REQUEST, HttpReply(200, {}, FILE), called_at_ms=5)
    assert kept_files.kept(REQUEST) is None
    assert list(folder.iterdir()) == []
