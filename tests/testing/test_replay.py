"""The archive of replies and `marketfetch replay`, on both databases: kept as they came, stored again, what would differ."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from marketfetch import connections, settings
from marketfetch.cli.main import marketfetch as command
from marketfetch.configured import options
from marketfetch.ops.replay import replay
from marketfetch.ops.reply_archive import DamagedArchive, ReplyArchive
from marketfetch.ops.reply_origin import origin_of
from marketfetch.schemas import integrity
from marketfetch.schemas.ledger import Batch, LedgerRow
from marketfetch.schemas.request import Request
from marketfetch.storage.store import Store
from marketfetch.vendors import transport
from marketfetch.vendors.http import HttpReply
from providers.polygon.options import PolygonOptions
from tests.storage.batches import count
from tests.storage.conftest import postgres_url, store, url  # noqa: F401 (pytest finds the fixtures here)

KEY = "s3cr3t-k3y"
ASKED = {"provider": "polygon", "symbol": "AAPL", "start": date(2024, 1, 2), "end": date(2024, 1, 5), "adjustment": "raw"}
REQUEST = Request.model_validate(ASKED)
#: Midnight of 2 January 2024 in New York, and the afternoon of the 10th.
JANUARY_2, JANUARY_10 = 1_704_171_600_000, 1_704_920_000_000


def reply(*closes: float, **more: Any) -> HttpReply:
    rows = [{"t": JANUARY_2 + n * 86_400_000, "o": one, "h": one, "l": one, "c": one, "v": 1.0} for n, one in enumerate(closes)]
    body = {"ticker": "AAPL", "status": "OK", "results": rows, "request_id": f"echo {KEY}", **more}
    return HttpReply(200, {"content-type": "application/json", "set-cookie": KEY, "x-echo": KEY}, json.dumps(body).encode())


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "replies"


@pytest.fixture
def archive(place: Path) -> ReplyArchive:
    return ReplyArchive(str(place))


@pytest.fixture
def configured(url: str, store: Store, place: Path, tmp_path, monkeypatch) -> Iterator[Store]:  # noqa: F811
    """An archive, a database, no key, and a network that no one may use."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(transport, "send", None)
    with settings.override({"MARKETFETCH_DATABASE_URL": url, "MARKETFETCH_ARCHIVE": str(place)}):
        yield store
        connections._forget()


def keep(archive: ReplyArchive, one: HttpReply, *, at_ms: int = JANUARY_10, request: Request = REQUEST) -> None:
    archive.keep(request, one, fetched_ms=at_ms, secrets=(KEY,))


def closes(store: Store) -> list[tuple[float, str]]:  # noqa: F811
    return list(store.database.read("SELECT close, request_id FROM bars ORDER BY ts"))


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, ["replay", *arguments])


def test_a_reply_comes_back_as_it_came_without_the_key(archive, place):
    came = reply(1.0)
    keep(archive, came)
    (entry,) = archive.entries()
    found = archive.reply(entry)
    assert found.body == came.body.replace(KEY.encode(), b"[secret]")
    assert found.headers == {"content-type": "application/json", "x-echo": "[secret]"}
    assert (entry.request, entry.status, entry.fetched_ms) == (REQUEST, 200, JANUARY_10)
    assert not [path for path in place.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]


def test_equal_bodies_are_one_object_and_each_call_has_its_line(archive, place):
    for n in range(3):
        keep(archive, reply(1.0), at_ms=JANUARY_10 + n)
    keep(archive, reply(2.0), request=REQUEST.next_page("abc"))
    assert len(list((place / "objects").rglob("*.z"))) == 2
    assert [one.fetched_ms - JANUARY_10 for one in archive.entries("polygon")] == [0, 0, 1, 2]
    assert list(archive.entries("nasdaq")) == []
    assert list(archive.entries(since=date(2024, 1, 11))) == []
    assert len(list(archive.entries(since=date(2024, 1, 10)))) == 4


def test_the_length_in_the_headers_follows_a_key_that_was_cut_out(archive):
    came = reply(1.0)
    keep(archive, replace(came, headers={"content-length": str(len(came.body))}))
    (entry,) = archive.entries()
    assert entry.headers["content-length"] == str(len(archive.reply(entry).body)) != str(len(came.body))


def test_a_damaged_object_is_seen(archive, place):
    keep(archive, reply(1.0))
    (path,) = (place / "objects").rglob("*.z")
    path.write_bytes(b"x")
    (entry,) = archive.entries()
    with pytest.raises(DamagedArchive, match="is damaged"):
        archive.reply(entry)


def test_a_url_of_fsspec_is_a_place_too():
    archive = ReplyArchive("memory://replies/of/tests")
    keep(archive, reply(1.0))
    assert [archive.reply(one).status for one in archive.entries("polygon")] == [200]


def test_a_lost_database_is_filled_again_without_a_call(configured, archive):
    keep(archive, reply(1.0, 2.0, 3.0))
    dry = run("--dry-run")
    assert "1 reply in" in dry.stdout
    assert "3 bars: 3 would be new, 0 would be changed." in dry.stdout
    assert count(configured, "bars") == count(configured, "ledger") == 0
    done = run("polygon", "--json")
    assert (done.exit_code, json.loads(done.stdout)["new"]) == (0, 3)
    assert [close for close, _ in closes(configured)] == [1.0, 2.0, 3.0]
    assert {name[:7] for _, name in closes(configured)} == {"replay-"}
    assert configured.database.read("SELECT calls, symbol, key_label FROM ledger") == [(0, "AAPL", "")]
    assert [str(day) for day in configured.database.read("SELECT first_day, last_day FROM coverage")[0]] == [
        "2024-01-02",
        "2024-01-05",
    ]
    assert json.loads(run("--json").stdout)["new"] == 0, "the second replay writes nothing"
    assert count(configured, "ledger") == 1


def stored_before(store: Store, archive: ReplyArchive) -> None:  # noqa: F811
    """What a worker stored of the reply at its time."""
    keep(archive, reply(1.0, 2.0, 3.0))
    replay()
    (row,) = store.database.read("SELECT request_id FROM ledger")
    store.database.change(lambda execute: execute("UPDATE ledger SET request_id = ? WHERE request_id = ?", REQUEST.id, row[0]))


def test_after_a_change_of_a_check_it_shows_what_would_differ(configured, archive, monkeypatch):
    stored_before(configured, archive)
    kept = integrity._check_values

    def stricter(checks: Any, **how: Any) -> None:
        kept(checks, **how)
        checks.reject(checks.bars.close == 2.0, "close", "price is no price any more")

    monkeypatch.setattr(integrity, "_check_values", stricter)
    with settings.override(settings.environment(MARKETFETCH_MAX_REJECT_SHARE="1.0")):
        dry = run("--dry-run", "--json")
        assert dry.stdout, dry.output
        document = json.loads(dry.stdout)
        assert (document["new"], document["changed"], document["rejected"]) == (0, 0, {"c: price is no price any more": 1})
        assert document["gone"] == [["polygon", "AAPL", "1d", "raw", JANUARY_2 + 86_400_000]]
        done = run()
    assert "1 stored bar came with these replies and fail a check now: they stay." in done.stderr
    assert "stored, and no good row now: polygon AAPL 1d raw 2024-01-03 05:00 UTC" in done.stdout
    assert count(configured, "bars") == 3


def test_an_older_reply_never_overwrites_what_a_later_call_brought(configured, archive):
    keep(archive, reply(1.0, 2.0), at_ms=JANUARY_10)
    keep(archive, reply(1.0, 2.5), at_ms=JANUARY_10 + 1_000)
    replay()
    assert [close for close, _ in closes(configured)] == [1.0, 2.5]
    found = replay(dry_run=True)
    assert (found.replies, found.new, found.changed) == (2, 0, 0)


def test_a_value_that_the_reply_gives_otherwise_now_is_changed(configured, archive):
    stored_before(configured, archive)
    configured.database.change(lambda execute: execute("UPDATE bar_rows SET close = 9 WHERE close = 3"))
    assert replay(dry_run=True).changed == 1
    replay()
    assert [close for close, _ in closes(configured)] == [1.0, 2.0, 3.0]
    assert configured.database.read("SELECT sum(corrected) FROM ledger") == [(1,)]


def test_errors_refused_replies_and_damage_are_counted_and_stop_nothing(configured, archive, place):
    keep(archive, HttpReply(429, {}, b'{"status": "ERROR", "error": "too many"}'), at_ms=JANUARY_10 + 1)
    keep(archive, reply(-1.0, -2.0), at_ms=JANUARY_10 + 2)
    keep(archive, reply(5.0), at_ms=JANUARY_10 + 3)
    (place / "index" / "polygon" / "2024-01" / "20240110T000000000-x.json").write_text("{}")
    done = run("--json")
    assert done.stdout, done.output
    document = json.loads(done.stdout)
    assert done.exit_code == 1
    assert document["errors"] == {"RateLimited": 1, "TooManyRejects": 1}
    assert (document["new"], len(document["damaged"])) == (1, 1)


def test_a_list_of_splits_is_stored_again_where_it_is_one_page(configured, archive):
    request = Request.model_validate({"provider": "polygon", "dataset": "splits", "symbol": "AAPL"})
    one = {"id": "x", "execution_date": "2020-08-31", "split_from": 1, "split_to": 4, "ticker": "AAPL"}
    body = {"results": [one], "status": "OK", "request_id": "y"}
    keep(archive, HttpReply(200, {}, json.dumps(body).encode()), request=request)
    more = {**body, "next_url": "https://api.polygon.io/v3/reference/splits?cursor=abc"}
    keep(archive, HttpReply(200, {}, json.dumps(more).encode()), request=request, at_ms=JANUARY_10 + 1)
    assert "2 records of lists are read again." in run().stdout
    assert configured.database.read("SELECT symbol, new_shares, old_shares, gone_at FROM splits") == [("AAPL", 4.0, 1.0, None)]
    assert count(configured, "ledger") == 1


def test_a_list_with_a_rejected_row_covers_no_final_day(configured, archive):
    """A row is missing, and the next wish for these days asks for it."""
    days = {"start": date(2020, 1, 1), "end": date(2020, 12, 31)}
    good = {"id": "x", "execution_date": "2020-08-31", "split_from": 1, "split_to": 4, "ticker": "AAPL"}
    for symbol, rows in (("AAPL", [good]), ("*", [good, {**good, "execution_date": "soon"}])):
        request = Request.model_validate(
            {"provider": "polygon", "dataset": "splits", "symbol": symbol, "records": True, **days}
        )
        body = json.dumps({"results": rows, "status": "OK", "request_id": "y"}).encode()
        keep(archive, HttpReply(200, {}, body), request=request)
    assert run().exit_code == 0
    found = configured.database.read("SELECT symbol, final_to IS NULL FROM coverage ORDER BY symbol")
    assert [(symbol, bool(is_open)) for symbol, is_open in found] == [("AAPL", False)], (
        "a list that lacks a row is stored by no replay"
    )


def test_without_an_archive_or_a_vendor_it_says_so(configured, archive):
    assert "There is no such reply in the archive" in run().stderr
    assert "There is no vendor 'polygn'" in run("polygn").output
    with settings.override({}):
        assert "name its place with the setting archive" in run().output


def test_rows_of_the_same_batch_keep_their_order_when_some_are_new_and_some_changed(configured, archive):
    first = LedgerRow("a", "a", 0, "polygon", "AAPL", "stored", called_at_ms=1)
    keep(archive, reply(1.0, 2.0, 3.0, 4.0))
    replay()
    configured.database.change(lambda execute: execute("DELETE FROM bar_rows WHERE close IN (2, 4)"))
    configured.database.change(lambda execute: execute("UPDATE bar_rows SET close = 8 WHERE close = 1"))
    assert configured.store([Batch(first)]) == [True]
    found = replay()
    assert (found.new, found.changed) == (2, 1)
    assert [close for close, _ in closes(configured)] == [1.0, 2.0, 3.0, 4.0]


def test_what_a_sandbox_has_invented_is_not_stored(configured: Store, archive: ReplyArchive, url: str) -> None:  # noqa: F811
    archive.keep(REQUEST, reply(100.0), fetched_ms=JANUARY_10, secrets=(), origin=origin_of(PolygonOptions()))
    local = PolygonOptions(base_url="http://127.0.0.1:8080")
    archive.keep(REQUEST, reply(1.0, 2.0), fetched_ms=JANUARY_10 + 1, secrets=(), origin=origin_of(local))
    done = run("polygon", "--json")
    document = json.loads(done.stdout)
    assert (done.exit_code, document["replies"]) == (1, 1)
    (said,) = document["damaged"]
    assert said.startswith("1 reply of the archive came from this machine, as a sandbox's do, and the vendors are real here")
    assert [close for close, _ in closes(configured)] == [100.0]
    beside = {"MARKETFETCH_DATABASE_URL": url, "MARKETFETCH_ARCHIVE": archive.shown}
    with settings.override({**beside, "MARKETFETCH_PROVIDERS__POLYGON__BASE_URL": "http://localhost:9"}):
        options.cache_clear()
        assert replay("polygon", dry_run=True).replies == 2, "beside a sandbox its own archive is replayed"
    options.cache_clear()
