"""The latest event of each subject: whatever a client has missed, it gets the last state of everything, in order, once."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from marketfetch.web import latest_events
from marketfetch.web.latest_events import LatestEvents, job_item, key_item, plain_item


def read(frames: bytes) -> list[tuple[int, str, dict]]:
    """(number, kind, document) of each event in a text."""
    found = []
    for frame in frames.decode().split("\n\n")[:-1]:
        number, kind, data = frame.split("\n")
        found.append((int(number.partition("-")[2]), kind.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


LOOKS = st.lists(st.dictionaries(st.sampled_from("abcd"), st.integers(0, 3), max_size=4), max_size=8)


@given(looks=LOOKS, leaves=st.integers(0, 8))
def test_a_client_that_was_away_gets_the_last_state_of_all_that_has_changed(looks, leaves):
    live = LatestEvents()
    state: dict[str, int] = {}
    seen: dict[str, int] = {}
    number = 0
    for turn, look in enumerate(looks):
        live.merge({("job", name): plain_item({"name": name, "n": n}) for name, n in look.items()})
        state |= look
        if turn < leaves:  # a client that listens gets each change
            got = read(live.since(number, lambda _: True))
            seen |= {document["name"]: document["n"] for _, _, document in got}
            number = live.number
    missed = read(live.since(live.number_of(f"{live.epoch}-{number}"), lambda _: True))
    assert [one[0] for one in missed] == sorted(one[0] for one in missed)
    assert len({one[2]["name"] for one in missed}) == len(missed), "one event for each"
    seen |= {document["name"]: document["n"] for _, _, document in missed}
    assert seen == state
    assert live.since(live.number, lambda _: True) == b""


def test_an_id_of_another_server_or_of_none_gets_everything():
    live = LatestEvents()
    live.merge({("job", "a"): plain_item({"name": "a"})})
    for given_id in ("", "x", f"{live.epoch}-", f"{live.epoch}--1", f"{live.epoch}-9e9", "00000000-1", f"{live.epoch}-²"):
        assert live.number_of(given_id) == 0
    assert live.number_of(f"{live.epoch}-1") == 1
    assert live.number_of(f"{live.epoch}-99") == 1, "an event that never was skips none"


def test_what_did_not_change_is_no_event():
    live = LatestEvents()
    assert live.merge({("job", "a"): plain_item({"n": 1})})
    assert not live.merge({("job", "a"): plain_item({"n": 1})})
    assert not live.merge({})


def test_only_what_is_wanted_is_sent():
    live = LatestEvents()
    live.merge({("job", "a"): plain_item({"n": 1}), ("key", "k"): plain_item({"n": 2})})
    assert [one[1] for one in read(live.since(0, lambda subject: subject[0] == "key"))] == ["key"]


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(latest_events, "MOST_KEPT", 3)
    live = LatestEvents()
    for n in range(10):
        live.merge({("job", str(n)): plain_item({"n": n})})
    assert [one[2]["n"] for one in read(live.since(0, lambda _: True))] == [7, 8, 9]


def test_what_is_found_again_and_again_is_no_event_each_time_however_much_it_is(monkeypatch):
    monkeypatch.setattr(latest_events, "MOST_KEPT", 3)
    live = LatestEvents()
    found = {("job", str(n)): plain_item({"n": n}) for n in range(10)}
    assert live.merge(found)
    assert not live.merge(found)
    assert live.merge({("job", "0"): plain_item({"n": 0})}) is False
    assert [one[2]["n"] for one in read(live.since(0, lambda _: True))] == [0, 8, 9], "the others are forgotten"


def test_that_a_second_has_passed_is_no_event_of_a_job_or_a_key():
    job = {"job": "a", "requests": {"parked": 3}, "eta_seconds": 1000, "rate_per_minute": 60.0, "next_call": {"seconds": 50}}
    assert job_item(job).mark == job_item({**job, "eta_seconds": 999, "next_call": {"seconds": 49}}).mark
    assert job_item(job).mark != job_item({**job, "eta_seconds": 500}).mark
    assert job_item(job).mark != job_item({**job, "requests": {"parked": 2}}).mark
    assert job_item(job).mark != job_item({**job, "next_call": None}).mark
    limit = {"text": "5/minute", "used": 1, "allowed": 5, "resets_ms": 0, "free_for_ms": 10}
    key = {"label": "main", "paused_ms": 0, "open_for_ms": 10, "limits": [limit]}
    assert key_item(key).mark == key_item({**key, "open_for_ms": 99_999, "limits": [{**limit, "free_for_ms": 99}]}).mark
    assert key_item(key).mark != key_item({**key, "limits": [{**limit, "used": 2}]}).mark
    assert key_item(key).mark != key_item({**key, "paused_ms": 60_000}).mark
