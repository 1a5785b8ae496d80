"""Around one delivery: what its end leaves to others, what is kept for its next part, what is said while Redis is away."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Task, states
from celery.exceptions import Ignore
from pydantic import SecretStr
from redis.exceptions import ConnectionError as RedisAway

from marketfetch import connections, settings_in_force
from marketfetch.exceptions import BadRequestError
from marketfetch.quotas import Start, key_limits
from marketfetch.quotas.values import Kept
from marketfetch.schemas.request import Request
from marketfetch.sections import Key
from marketfetch.vendors.errors import BadCredentials
from marketfetch.vendors.wire import SendTooLate
from tasks import attempt, calling, deliveries, endpoints, kept_files, store, storing
from tasks.app import app
from tasks.sending import checked_task
from tasks.worker import fetch_request, key_history
from tests.tasks.test_ends_of_deliveries import BATCH, REF, Gate, at_gate, held  # noqa: F401 (pytest finds the fixtures here)

ASKED = Request(provider="polygon", dataset="bars", symbol="AAPL", start=date(2024, 1, 2))
KEY = Key("main", SecretStr("K"))


@pytest.mark.parametrize(("grant", "sent"), [({deliveries.BEGUN: 1, deliveries.RETURNED: 1}, True), ({}, False)])
def test_a_task_that_fails_after_our_body_has_returned_has_its_kept_reply_stored(at_gate, monkeypatch, grant, sent):  # noqa: F811
    gate = at_gate(raised=SimpleNamespace(verdict="again", times=1, reason=""), arguments='{"symbol": "AAPL"}')
    found: list[Any] = []
    monkeypatch.setattr(deliveries, "send_to_store", found.append)
    sender = SimpleNamespace(name="tasks.fetch.polygon", request={"marketfetch": {"id": "r", "fence": 1, **grant}})
    deliveries._around_our_body(sender=sender, task_id="t", retval=ValueError("theirs"), state=states.FAILURE)
    assert [(one["request"], one["outcome"]) for one in found] == ([("r", "held")] if sent else [])
    assert ("raised" in gate.asked) is not sent


def test_batches_for_which_there_was_no_room_are_sent_to_be_stored(held, monkeypatch):  # noqa: F811
    held()
    left: Any = {"request": "other"}
    sent: list[Any] = []
    monkeypatch.setattr(storing, "store", lambda *_, **__: storing.Stored({"r": BATCH.ledger}, left))
    monkeypatch.setattr(store, "send_to_store", sent.append)
    assert store.stored(REF)["rows"] == 3
    assert sent == [left]


@pytest.fixture
def running(at_gate):  # noqa: F811
    def begun(*, lease_ends: float = 1e12, **answers: Any) -> tuple[attempt.Run, Gate]:
        gate = at_gate(**answers)
        task = SimpleNamespace(
            app=SimpleNamespace(amqp=SimpleNamespace(queues=SimpleNamespace(consume_from=()))),
            request=SimpleNamespace(chain=None, get=lambda _name: {"id": "r", "fence": 1}),
        )
        return attempt.Run(task, gate, "r", 1, Start("go", "main", 0, 1, "", 0, 0), lease_ends=lease_ends), gate

    return begun


@pytest.mark.parametrize("written", [b"the reply", b"of another call", None])
def test_a_lost_lease_drops_the_reply_unless_the_gate_has_it_already(running, capsys, written):
    run, _ = running(finish=None, batch=written)
    if written == b"the reply":
        assert run.keep(b"the reply", symbol="AAPL") is Kept.CLAIMED
        return
    with pytest.raises(Ignore):
        run.keep(b"the reply", symbol="AAPL")
    assert "lease lost during the call, reply dropped" in capsys.readouterr().out


def test_the_end_of_a_call_is_reported_until_its_lease_ends(running, monkeypatch):
    monkeypatch.setattr(attempt, "_REPORT_AGAIN_S", 0.0)
    answers = iter([RedisAway("gone"), RedisAway("gone"), "done"])

    def step() -> Any:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert running()[0].report(step) == "done"
    answers = iter([RedisAway("gone"), "reported after the lease"])
    with pytest.raises(RedisAway):
        running(lease_ends=0.0)[0].report(step)
    assert [*answers] == ["reported after the lease"], "which is not asked for"


@pytest.mark.parametrize(("next_page", "kept"), [(None, 0), ("page 2", 1)])
def test_a_file_is_kept_while_a_further_part_of_it_is_to_be_read(monkeypatch, next_page, kept):
    keeps: list[Any] = []
    reply, page = object(), SimpleNamespace(next=next_page)
    monkeypatch.setattr(calling, "read", lambda *_: page)
    monkeypatch.setattr(kept_files, "keep", lambda request, found, **_: keeps.append((request, found)))
    call: Any = calling.Calling(SimpleNamespace(), lease_ends=0.0, opens_at=0.0)
    monkeypatch.setattr(calling.Calling, "sent", lambda *_: reply)
    assert call.part(ASKED, None, SimpleNamespace(secret=None)) is page
    assert keeps == [(ASKED, reply)] * kept
    assert call.of_file is ASKED


def test_files_of_more_than_a_day_ago_are_removed(tmp_path):
    for name, age_s in (("old", kept_files._LONGEST_KEPT_S + 60), ("young", 60)):
        (tmp_path / name).touch()
        then = datetime.now(UTC).timestamp() - age_s
        os.utime(tmp_path / name, (then, then))
    kept_files._purge(tmp_path)
    assert [one.name for one in tmp_path.iterdir()] == ["young"]


def test_a_key_that_was_removed_since_the_grant_is_no_wrong_key(monkeypatch):
    refreshed: list[bool] = []
    monkeypatch.setattr(endpoints, "get_settings", lambda: SimpleNamespace(provider=lambda _: SimpleNamespace(keys=[KEY])))
    monkeypatch.setattr(settings_in_force, "refresh", lambda *, now: refreshed.append(now))
    unset = {"providers.polygon.api_keys.gone"}
    monkeypatch.setattr(settings_in_force, "was_unset", unset.__contains__)
    assert endpoints.key_of("polygon", "main") is KEY
    assert refreshed == []
    with pytest.raises(SendTooLate):
        endpoints.key_of("polygon", "gone")
    with pytest.raises(BadCredentials, match="no key labelled 'unknown' is configured for polygon"):
        endpoints.key_of("polygon", "unknown")
    assert refreshed == [True] * 4


@pytest.mark.parametrize(("looks", "refused"), [(0, False), (1, False), (2, True)])
def test_a_key_with_another_owner_since_the_grant_makes_no_call(monkeypatch, looks, refused):
    refreshed: list[bool] = []
    monkeypatch.setattr(settings_in_force, "refresh", lambda *, now: refreshed.append(now))
    monkeypatch.setattr(endpoints, "keys", lambda _: ())
    monkeypatch.setattr(endpoints, "serving", lambda *_: [key_limits("main", [])] if len(refreshed) >= looks else [])
    if refused:
        with pytest.raises(SendTooLate):
            endpoints.check_owner(ASKED, KEY)
    else:
        endpoints.check_owner(ASKED, KEY)
    assert len(refreshed) == looks


@pytest.mark.parametrize(("inside", "options", "checked"), [(True, {}, 1), (True, {"parent_id": "p"}, 0), (False, {}, 0)])
def test_what_a_running_task_sends_is_checked_where_it_is_written(monkeypatch, inside, options, checked):
    plans: list[Any] = []
    monkeypatch.setattr(checked_task, "in_a_task", lambda: inside)
    monkeypatch.setattr(checked_task, "plan_of_task", lambda *wish, **_: plans.append(wish))
    monkeypatch.setattr(Task, "apply_async", lambda *_, **__: "sent")
    task = app.tasks["tasks.fetch.polygon"]
    assert task.apply_async(("AAPL",), {"start": "2024-01-02"}, **options) == "sent"
    assert plans == [("polygon", ("AAPL",), {"start": "2024-01-02"})] * checked

    def refuses(*_: Any, **__: Any) -> None:
        raise BadRequestError("no symbol")

    monkeypatch.setattr(checked_task, "plan_of_task", refuses)
    if checked:
        with pytest.raises(BadRequestError):
            task.apply_async()


@pytest.mark.parametrize("grant", [None, "text", {"id": "r", "fence": 1, "job": "J"}])
def test_a_lost_child_of_a_message_without_a_grant_is_no_delivery(at_gate, grant):  # noqa: F811
    gate = at_gate()
    request: Any = SimpleNamespace(request_dict={"marketfetch": grant}, task=SimpleNamespace(name="tasks.fetch.polygon"))
    request.time_start = 1.0
    fetch_request.FetchRequest._report(request, "its child ended", recorded=False)
    assert gate.asked == []


def test_ended_requests_are_read_piece_by_piece(monkeypatch):
    pieces = {None: ([1, 2], "older"), "older": ([3], None)}

    class Ledger:
        def latest_over(self, provider: str, *, since_ms: int, before: str | None) -> tuple[list[Any], str | None]:
            assert (provider, since_ms) == ("polygon", 7)
            rows, further = pieces[before]
            return [SimpleNamespace(request_id=f"r{n}", called_at_ms=n * 10) for n in rows], further

    monkeypatch.setattr(connections, "store", Ledger)
    monkeypatch.setattr(key_history, "outcome_json", lambda row: f"outcome of {row.request_id}")
    found = [(sorted(one.outcomes), one.called_ms) for one in key_history.ended_since("polygon", 7)]
    assert found == [(["r1", "r2"], 20), (["r3"], 30)]


@pytest.mark.parametrize(("used", "calls"), [(False, 8), (True, 13)])
def test_a_day_of_a_release_without_reservations_counts_what_the_ledger_may_lack(used, calls):
    """5 calls in the ledger, 3 that may be open, and 5 a minute since the last one, where this worker has made some."""
    now = datetime(2024, 1, 2, 12, tzinfo=UTC)
    last_ms = int(now.timestamp() * 1000) - 30_000
    ledger: Any = SimpleNamespace(reserved_calls=lambda *_, **__: None, calls=lambda *_, **__: 5, last_call=lambda *_: last_ms)
    key = key_limits("main", ["5/minute", "500/day@UTC"], concurrency=3)
    (calendar,) = key.calendars
    counter, found = key_history._today(ledger, "polygon", key, calendar, now, used=used)
    assert (found, counter.startswith("main") or "main" in counter) == (calls, True)
