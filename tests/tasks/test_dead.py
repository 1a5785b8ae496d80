"""The dead-letter list is bounded, a message leaves it once, and each message that no worker can run has a true reason."""

from __future__ import annotations

import zlib
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from kombu import Connection, Queue

from marketfetch import connections
from marketfetch.exceptions import MarketfetchError
from marketfetch.ops import dead_letters
from tasks.app import app
from tasks.hardening.unusable_messages import undecodable, unusable
from tasks.worker.burial import wrapped_reason
from tasks.worker.redis_transport import HardenedTransport
from tests.flow.poisons import CALL, UNREADABLE, UNUSABLE, envelope


@pytest.fixture(autouse=True)
def in_our_redis(redis, monkeypatch):
    monkeypatch.setattr(connections, "redis", lambda: redis)


def bury(raw: bytes = b"raw", **other: Any) -> str:
    known: dict[str, Any] = {
        "list_key": "fetch.polygon",
        "reason": "it is broken",
        "task": "tasks.fetch.polygon",
        "task_id": "1",
    }
    return dead_letters.bury(raw=raw, size=len(raw), **{**known, **other})


def test_the_next_letter_of_a_request_replaces_the_one_before(redis):
    other, first = bury(b"other"), bury(b"1", once="mf:{p}:buried:a")
    second = bury(b"2", once="mf:{p}:buried:a")
    assert [one.id for one in dead_letters.letters()] == [other, second]
    assert redis.get("mf:{p}:buried:a") == second.encode() != first.encode()
    third = bury(b"3", once="mf:{p}:buried:a", last=True)
    assert [one.id for one in dead_letters.letters()] == [other, third]
    assert not redis.exists("mf:{p}:buried:a")


def test_a_letter_comes_back_as_it_was_put_in():
    number = bury(bytes(range(256)), list_key="fetch.polygon\x06\x166")
    (one,) = dead_letters.letters()
    assert one == dead_letters.letter(number)
    assert (one.raw, one.queue, one.reason, one.task, one.task_id) == (
        bytes(range(256)), "fetch.polygon", "it is broken", "tasks.fetch.polygon", "1",
    )  # fmt: skip


def test_the_oldest_goes_when_the_list_is_full(redis, monkeypatch, caplog):
    monkeypatch.setattr(dead_letters, "MOST_KEPT", 3)
    numbers = [bury() for _ in range(5)]
    assert [one.id for one in dead_letters.letters()] == numbers[2:]
    assert "dead-letter list is full" in caplog.text


def test_a_large_message_is_cut_and_can_be_seen_but_not_sent_again(redis):
    number = bury(b"x" * (dead_letters.BYTES_KEPT + 1))
    assert len(dead_letters.letter(number).raw) == dead_letters.BYTES_KEPT
    with pytest.raises(MarketfetchError, match="had 65,537 bytes and only the first 65,536 were kept"):
        dead_letters.retry(number)
    assert redis.llen("fetch.polygon") == 0
    assert dead_letters.drop(number).id == number
    assert dead_letters.letters() == []


def test_a_message_is_sent_again_once_however_many_ask_for_it(redis):
    number = bury(b"one message")

    def retried(_: int) -> bool:
        try:
            dead_letters.retry(number)
        except MarketfetchError:
            return False
        return True

    with ThreadPoolExecutor(8) as many:
        assert sum(many.map(retried, range(8))) == 1
    assert redis.lrange("fetch.polygon", 0, -1) == [b"one message"]


def test_an_unknown_id_is_told_with_the_nearest_one():
    with pytest.raises(MarketfetchError, match="the list is empty"):
        dead_letters.letter("1-0")
    number = bury()
    with pytest.raises(MarketfetchError, match=f"Did you mean {number}"):
        dead_letters.drop(f"{number[:-2]}x")
    for odd in ("", "-", "+", "abc", "1-2-3", "٣-٣", "99999999999999999999999-0"):
        with pytest.raises(MarketfetchError, match="There is no dead message"):
            dead_letters.letter(odd)


def test_a_reason_is_one_short_line():
    (one,) = [dead_letters.letter(bury(reason="a\nb\tc " + "x" * 1000))]
    assert one.reason.startswith("a b c xxx")
    assert len(one.reason) == 401


def test_nothing_that_steers_a_terminal_is_shown():
    one = dead_letters.letter(bury(b"\x1b[31mred\nline", task="a\x1b[2J\nb", reason="\ud800 \x07"))
    assert (one.task, one.reason, one.text()) == ("a?[2J b", "? ?", "?[31mred\nline")


def test_the_operator_is_told_how_many_there_are():
    assert dead_letters.sentences(0) == []
    assert dead_letters.sentences(1) == ["1 message could not be read: `marketfetch dead` shows which, and why."]
    assert dead_letters.sentences(2) == ["2 messages could not be read: `marketfetch dead` shows which, and why."]


def test_a_message_is_shown_with_its_body_decoded():
    text = dead_letters.letter(bury(envelope(CALL))).text()
    assert '\\"AAPL\\"' in text
    assert '"routing_key": "fetch.polygon"' in text
    assert dead_letters.letter(bury(b"\xff no JSON")).text() == "\ufffd no JSON"


@pytest.fixture
def reason(redis, valkey_url):
    """Why a worker buries a message, "" if it runs it: the message goes through a real Redis and a worker's channel."""
    app.loader.import_default_modules()

    def asked(raw: bytes) -> str:
        received: list[Any] = []
        redis.lpush("a queue", raw)
        with (
            Connection(valkey_url, transport=HardenedTransport) as connection,
            connection.Consumer(Queue("a queue"), on_message=received.append, accept=["json"]),
        ):
            connection.drain_events(timeout=300)
            (message,) = received
            message.ack()
        return wrapped_reason(message) or undecodable(message) or unusable(message, app.tasks)

    return asked


#: Celery itself checks these two; the flow test has them.
CHECKED_BY_CELERY = {"an eta that is no time", "an expiry that is no time"}


@pytest.mark.parametrize("kind", sorted((UNREADABLE | UNUSABLE).keys() - CHECKED_BY_CELERY))
def test_each_poison_has_a_true_reason(kind, reason):
    raw, words = (UNREADABLE | UNUSABLE)[kind]
    found = reason(raw)
    assert words in found
    assert not found.endswith((".", "?")), "a clause: `The task did not run: REASON. Its message is kept` goes on after it"


GOOD = {
    "as kombu writes it": envelope(),
    "a body of text": envelope()
    .replace(b64encode(CALL.encode()), CALL.replace('"', '\\"').encode())
    .replace(b"base64", b"utf-8"),
    "compressed": envelope(zlib.compress(CALL.encode()), headers={"compression": "application/x-gzip"}),
    "with a grant": envelope(headers={"marketfetch": {"id": "task:1", "fence": 3, "key": "main"}}),
    "with what follows": envelope(CALL.replace("{}]", '{"chain": [{"task": "x"}], "chord": {"task": "y"}, "errbacks": null}]')),
    "protocol 1": envelope('{"task": "tasks.fetch.polygon", "id": "1", "args": ["AAPL"]}', headers={"task": ..., "id": ...}),
    "a store task": envelope(
        '[[{"provider": "polygon", "symbol": "A", "request": "x", "outcome": "stored", "rows": 1, "rejects": 0}], {}, {}]',
        headers={"task": "tasks.store.store_batch"},
    ),
}


@pytest.mark.parametrize("kind", GOOD)
def test_what_celery_can_run_is_let_through(kind, reason):
    assert reason(GOOD[kind]) == ""


def test_every_task_of_the_app_can_be_asked_for_its_arguments(reason):
    app.loader.import_default_modules()
    for name in app.tasks:
        body = '[[], {"no such argument": 1}, {}]'
        assert "Traceback" not in reason(envelope(body, headers={"task": name}))
    assert "celery.chord_unlock: missing" in reason(envelope("[[], {}, {}]", headers={"task": "celery.chord_unlock"}))
    assert reason(envelope("[[], {}, {}]", headers={"task": "celery.backend_cleanup"})) == ""
