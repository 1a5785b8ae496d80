"""A page without rows that names a check: the request makes one more call, once, and its waiters hear of its outcome."""

from __future__ import annotations

from datetime import date
from types import SimpleNamespace
from typing import Any

import pytest
from celery.exceptions import Ignore

from marketfetch import connections
from marketfetch.jobs import recorded_outcomes
from marketfetch.quotas import Grant
from marketfetch.quotas.values import Start
from marketfetch.schemas.ledger import LedgerRow
from marketfetch.schemas.page import Page
from marketfetch.schemas.request import Request
from marketfetch.vendors.errors import BadRequest, Fatal, UnknownSymbol
from tasks import attempt
from tasks.attempt import Run
from tasks.reference import failure
from tasks.sending.messages import FetchMessage

ASKED = Request(provider="polygon", symbol="ZZZZ", adjustment="split", start=date(2024, 1, 2), end=date(2024, 1, 31))
CHECK = ASKED.model_copy(update={"cursor": "/check"})


def run(monkeypatch: pytest.MonkeyPatch, *, parked_with: str | None) -> tuple[Run, list[dict[str, Any]]]:
    monkeypatch.setattr(attempt, "hand_on", lambda task, ref: ref)
    gate: Any = SimpleNamespace(arguments=lambda record: parked_with)
    kept: list[dict[str, Any]] = []
    one = Run(SimpleNamespace(), gate, ASKED.id, 1, Start("go", "main", 0, 1), lease_ends=25.0)
    one.request = ASKED
    monkeypatch.setattr(one, "keep", lambda data, **options: kept.append({"data": data, **options}))
    return one, kept


def test_a_check_is_made_by_the_same_request_before_it_is_over(monkeypatch):
    one, kept = run(monkeypatch, parked_with=ASKED.arguments)
    with pytest.raises(Ignore):
        one.finished(ASKED, Page(check="/check"))
    assert kept == [{"data": b"", "symbol": "ZZZZ", "then": CHECK.arguments}]
    assert CHECK.id == ASKED.id


@pytest.mark.parametrize(
    ("request_", "parked_with", "page"),
    [
        (CHECK, CHECK.arguments, Page(check="/other")),
        (ASKED.next_page("/next"), ASKED.arguments, Page(check="/check")),
        (ASKED, ASKED.arguments, Page(check="/check", next="/next")),
        (ASKED, CHECK.arguments, Page(check="/check")),
    ],
    ids=["in reply to a check", "of a later page", "beside a next page", "granted without its check"],
)
def test_no_request_makes_a_second_check(monkeypatch, request_, parked_with, page):
    one, kept = run(monkeypatch, parked_with=parked_with)
    ref = one.finished(request_, page)
    assert ref["outcome"] == "empty"
    assert [more["data"] != b"" for more in kept] == [True]


def test_a_users_message_carries_the_check_whichever_record_it_has():
    message = {"headers": {"id": "t"}, "body": [], "properties": {}}

    def header(record: str, arguments: str) -> Any:
        grant = Grant(record, 1, "main", 0, arguments, message="m")
        return FetchMessage.kept(message, grant).headers["marketfetch"]["user"]

    assert header(ASKED.id, CHECK.arguments)["cursor"] == "/check"
    assert header("task:t", CHECK.arguments)["cursor"] == "/check"
    for words in ("('ZZZZ',)", "", '{"symbol":"ZZZZ"}', "[1]", "7"):
        assert header("task:t", words) is None


def test_the_error_of_a_waiter_is_of_the_class_that_the_ledger_names():
    assert type(failure("ZZZZ: UnknownSymbol: no.", symbol="ZZZZ")) is UnknownSymbol
    assert str(failure("ZZZZ: UnknownSymbol: no.", symbol="ZZZZ")) == "ZZZZ: UnknownSymbol: no."
    assert type(failure("A:B: BadRequest: no.", symbol="A:B")) is BadRequest
    for reason in ("ZZZZ: Unavailable: status 500.", "ZZZZ: its worker died", "ZZZZ: annotations: x", "", "Path: x"):
        assert type(failure(reason, symbol="ZZZZ")) is Fatal


@pytest.mark.parametrize(("following", "heard"), [("failed", "failed"), ("empty", "empty"), (None, "empty")])
def test_an_empty_page_of_the_release_before_whose_check_has_failed_is_that_failure(monkeypatch, following, heard):
    def row(page: int, outcome: Any, cursor: str | None = None) -> LedgerRow:
        name = f"{ASKED.root}/{page}" if page else ASKED.root
        return LedgerRow(name, ASKED.root, page, "polygon", "ZZZZ", outcome, next_cursor=cursor)

    rows = [row(0, "empty", "/check"), *([row(1, following)] if following else [])]
    ledger = SimpleNamespace(outcomes=lambda names: {one.request_id: one for one in rows if one.request_id in names})
    monkeypatch.setattr(connections, "ledger", lambda: ledger)
    found = recorded_outcomes.from_ledger(ASKED)
    assert found is not None
    assert found.outcome == heard
