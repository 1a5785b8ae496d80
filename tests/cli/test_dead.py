"""`marketfetch dead` as it is typed: calm when there is nothing, clear when an id is wrong or Redis is away."""

from __future__ import annotations

import json
import zlib
from base64 import b64encode

import pytest

from marketfetch.quotas import Gate

RAW = b'{"headers": {"task": "tasks.fetch.poligon"}, "body": "W10="}'


@pytest.fixture
def here(shell, redis, valkey_url):
    shell.variables["MARKETFETCH_REDIS_URL"] = valkey_url
    return shell


def put(redis, reason: str = "this worker knows no task 'x'", *, raw: bytes = RAW, size: int = 0) -> str:
    known = {"list": "fetch.polygon", "reason": reason, "task": "tasks.fetch.poligon", "task_id": "t-1"}
    return str(redis.xadd("mf:dead", {**known, "size": size or len(raw), "raw": b64encode(raw)}).decode())


def test_an_empty_list_is_good_news(here):
    done = here.run("dead")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "There are no dead messages: everything that was sent could be read.\n"
    assert json.loads(here.run("dead", "--json").stdout) == {"messages": []}
    for verb in ("retry", "drop"):
        done = here.run("dead", verb, "--all")
        assert (done.returncode, done.stderr) == (0, "There are no dead messages.\n")


def test_the_list_says_when_where_what_and_why(here, redis):
    number = put(redis)
    line = here.run("dead").stdout.splitlines()[1]
    assert line.startswith(number)
    assert all(words in line for words in ("fetch.polygon", "tasks.fetch.poligon", "this worker knows no task 'x'"))
    (one,) = json.loads(here.run("dead", "--json").stdout)["messages"]
    assert one.pop("when").endswith("+00:00")
    assert one == {
        "id": number, "queue": "fetch.polygon", "reason": "this worker knows no task 'x'", "task": "tasks.fetch.poligon",
        "task_id": "t-1", "size": len(RAW), "whole": True,
    }  # fmt: skip


def test_one_message_is_shown_with_its_body_decoded(here, redis):
    number = put(redis)
    shown = here.run("dead", "show", number).stdout
    assert "task id  t-1" in shown
    assert '"body": "[]"' in shown
    document = json.loads(here.run("dead", "show", number, "--json").stdout)
    assert json.loads(document["message"])["body"] == "[]"


def test_a_beginning_of_an_id_stands_for_the_only_message_that_has_it(here, redis, one_sentence):
    for number in ("1700000000001-0", "1700000000001-1", "1800000000001-0"):
        redis.xadd("mf:dead", {"list": "fetch.polygon", "reason": "x", "size": 1, "raw": b64encode(b"x")}, id=number)
    assert "Message 1800000000001-0 of queue" in here.run("dead", "retry", "1800").stderr
    assert redis.llen("fetch.polygon") == 1
    said = one_sentence(here.run("dead", "drop", "1700"))
    assert "Several dead messages begin with '1700': 1700000000001-0, 1700000000001-1. Write more of the id." in said
    assert "There is no dead message '170'" in one_sentence(here.run("dead", "drop", "170"))
    assert redis.xlen("mf:dead") == 2


def test_a_long_message_is_cut_on_the_screen_and_whole_in_json(here, redis):
    number = put(redis, raw=b"x" * 5000, size=9000)
    done = here.run("dead", "show", number)
    assert "9,000 bytes, of which 5,000 were kept" in done.stdout
    assert done.stdout.count("x") < 4_100
    assert "1,000 more characters" in done.stderr
    assert json.loads(here.run("dead", "show", number, "--json").stdout)["message"] == "x" * 5000


def test_messages_are_sent_again_or_dropped_one_by_one_or_all(here, redis):
    first, second, third, cut = put(redis), put(redis), put(redis), put(redis, size=70_000)
    assert here.run("dead", "drop", first).stderr == f"Message {first} of queue fetch.polygon is dropped.\n"
    assert here.run("dead", "retry", second).stderr == f"Message {second} of queue fetch.polygon is back in the queue.\n"
    assert redis.lrange("fetch.polygon", 0, -1) == [RAW]
    done = here.run("dead", "retry", "--all")
    assert done.returncode == 1
    assert f"Message {cut} had 70,000 bytes" in done.stderr
    assert done.stderr.endswith("1 message is back in the queue.\n")
    assert redis.lrange("fetch.polygon", 0, -1) == [RAW, RAW]
    asked = here.run("dead", "drop", "--all")
    assert (asked.returncode, "Forget the only message for good? [y/N]" in asked.stderr) == (1, True)
    assert redis.xlen("mf:dead") == 1
    assert here.run("dead", "drop", "--all", "--yes").stderr == "1 message is dropped.\n"
    assert redis.xlen("mf:dead") == 0
    assert third


def test_a_wrong_id_is_told_with_the_nearest(here, redis, one_sentence):
    assert "the list is empty" in one_sentence(here.run("dead", "show", "1-0"))
    number = put(redis)
    assert one_sentence(here.run("dead", "drop", f"{number[:-2]}x")).endswith(f"Did you mean {number}?")


@pytest.mark.parametrize("arguments", [("retry",), ("drop",), ("retry", "1-0", "--all")])
def test_which_one_must_be_said(shell, arguments):
    done = shell.run("dead", *arguments)
    assert done.returncode == 2
    assert "say which: the ID of one message, or --all" in done.stderr


@pytest.mark.parametrize("arguments", [(), ("show", "1-0"), ("retry", "--all"), ("drop", "1-0")])
def test_redis_away_is_one_sentence(shell, one_sentence, arguments):
    done = shell.run("dead", *arguments, REDIS_URL="redis://127.0.0.1:1/0")
    assert "Redis does not answer" in one_sentence(done)


def test_a_beginning_of_a_request_stands_for_the_only_kept_reply_that_has_it(here, redis, one_sentence):
    gate = Gate(redis, pool="polygon")
    for request in ("aaaa1111", "aaaa2222", "bbbb3333/2"):
        gate.keep_raw(request, zlib.compress(f"reply of {request}".encode()))
    for words, whole in (("aaaa2", "aaaa2222"), ("BBBB", "bbbb3333/2"), ("bbbb3333/2", "bbbb3333/2")):
        assert here.run("dead", "reply", "polygon", words).stdout == f"reply of {whole}"
    said = one_sentence(here.run("dead", "reply", "polygon", "aaaa"))
    assert "Several kept replies begin with 'aaaa': aaaa2222, aaaa1111. Write more of the id." in said
    for unknown in ("bbb", "cccc"):
        assert f"Nothing is kept of request {unknown}" in one_sentence(here.run("dead", "reply", "polygon", unknown))
