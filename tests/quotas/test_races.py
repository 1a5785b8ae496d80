"""Eight processes want what only one may have: one gets it, round after round, on a real Valkey."""

from __future__ import annotations

import multiprocessing
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from redis import Redis

from marketfetch.quotas import Gate, KeyLimits, key_limits
from marketfetch.quotas.epoch import Epoch
from marketfetch.quotas.values import KeyHistory
from tests.quotas.steps import NOON, park

RACERS = 8
ROUNDS = 40
FORKED = multiprocessing.get_context("fork")


@contextmanager
def racers(url: str, run: Callable[[Gate, Any, int], Any]) -> Iterator[Callable[[Any], list[Any]]]:
    """Eight processes, each with a gate of its own; what is called with a round's argument answers with all their answers."""
    line = FORKED.Barrier(RACERS)
    pipes, processes = [], []

    def racer(number: int, pipe: Any) -> None:
        with Redis.from_url(url) as redis:
            gate = Gate(redis, pool="polygon")
            redis.ping()
            while (argument := pipe.recv()) != "end":
                line.wait(300)
                pipe.send(run(gate, argument, number))

    for number in range(RACERS):
        ours, theirs = FORKED.Pipe()
        processes.append(FORKED.Process(target=racer, args=(number, theirs), daemon=True))
        pipes.append(ours)
    for process in processes:
        process.start()

    def race(argument: Any) -> list[Any]:
        for pipe in pipes:
            pipe.send(argument)
        answers = []
        for pipe in pipes:
            assert pipe.poll(30), "a racer has not come in"
            answers.append(pipe.recv())
        return answers

    try:
        yield race
    finally:
        for pipe in pipes:
            pipe.send("end")
        for process in processes:
            process.join(300)


def tries(gate: Gate, keys: tuple[KeyLimits, ...], number: int) -> list[tuple[str, int]]:
    """A releaser in a tight loop: whatever it is given."""
    return [(one.id, one.fence) for _ in range(5) for one in gate.admit(room=3, most_granted=1000, keys=keys).grants]


LAST_PERMIT = {
    "a window": (key_limits("x", ["3/hour"]),),
    "a short window": (key_limits("x", ["3/hour;slack=1ms"]),),
    "a concurrency cap": (key_limits("x", [], concurrency=3),),
    "a calendar day": (key_limits("x", [f"3/day@{NOON}"]),),
    "a window of the pool": (key_limits("x", ["3/hour;pool"]), key_limits("y", ["3/hour;pool"])),
    "two keys with a cap each": (key_limits("x", [], concurrency=2), key_limits("y", [], concurrency=1)),
}


@pytest.mark.parametrize("limit", LAST_PERMIT)
def test_the_last_permit_is_given_once(gate, valkey_url, limit):
    keys = LAST_PERMIT[limit]
    with racers(valkey_url, tries) as race:
        for _ in range(ROUNDS):
            gate.redis.flushall()
            park(gate, *(f"r{n}" for n in range(40)))
            for grant in gate.admit(room=2, most_granted=1000, keys=keys).grants:
                assert gate.start(grant.id, fence=grant.fence).verdict == "go"
                if "cap" not in limit:
                    assert gate.finish(grant.id, fence=grant.fence, batch=b"x")
            won = [one for some in race(keys) for one in some]
            assert len(won) == 1, won


def test_without_a_limit_each_request_is_granted_to_one(gate, valkey_url):
    keys = (key_limits("x", []),)
    with racers(valkey_url, tries) as race:
        for _ in range(ROUNDS):
            gate.redis.flushall()
            park(gate, *(f"r{n}" for n in range(40)))
            won = Counter(name for some in race(keys) for name, _ in some)
            assert won == {f"r{n}": 1 for n in range(40)}


def test_a_fence_is_told_to_go_once(gate, valkey_url):
    """A message that the broker doubled, to eight children at once."""
    start = lambda gate, grant, number: gate.start(grant[0], fence=grant[1], child=f"child {number}").verdict  # noqa: E731
    with racers(valkey_url, start) as race:
        for number in range(3 * ROUNDS):
            park(gate, f"r{number}")
            (grant,) = gate.admit(room=1, most_granted=1000, keys=(key_limits("x", []),)).grants
            assert Counter(race((grant.id, grant.fence))) == {"go": 1, "lost": RACERS - 1}


def test_a_call_ends_once_however_many_say_so(gate, valkey_url):
    """Its reply, a refusal, a failure, and releasers who see that its lease is over, all in the same moment."""
    keys = (key_limits("x", ["1000/hour"]),)

    def ends(gate: Gate, grant: tuple[str, int], number: int) -> int:
        name, fence = grant
        steps: list[Callable[[], Any]] = [
            partial(gate.finish, name, fence=fence, batch=b"x"),
            partial(gate.requeue, name, fence=fence, key_label="x"),
            partial(gate.delay, name, fence=fence, delay_ms=60_000),
            lambda: gate.admit(room=0, most_granted=1000, keys=keys) and 0,
        ]
        return int(steps[number % len(steps)]())

    with racers(valkey_url, ends) as race:
        expired = 0
        for _ in range(3 * ROUNDS):
            gate.redis.flushall()
            park(gate, "a")
            (grant,) = gate.admit(room=1, most_granted=1000, keys=keys).grants
            assert gate.start("a", fence=grant.fence, end_by_ms=0).verdict == "go"
            told = sum(race((grant.id, grant.fence)))
            assert told <= 1
            expired += told == 0
            assert gate.redis.zcard(f"{gate.prefix}done:x") == 1, "one call, one stamp"
            assert gate.redis.scard(f"{gate.prefix}open:x") == 0
            counts = gate.counts()
            assert counts.running == counts.granted == 0
            assert counts.parked + counts.held == 1
    assert expired < 3 * ROUNDS, "in some rounds somebody is faster than the expiry"


def test_releasers_who_find_an_emptied_gate_at_once_begin_one_epoch(gate, valkey_url):
    """Each knows a past; together they begin one epoch, in which every window is full, and grant nothing."""
    key = key_limits("x", ["2/hour"])

    def repairs(gate: Gate, round_: int, number: int) -> tuple[str, int]:
        epoch = Epoch(gate, histories=lambda: [KeyHistory("x", used=True, lost=2, days={})], late_ms=1000)
        epoch.begin()
        park(gate, *(f"r{n}" for n in range(4)))
        found = gate.admit(room=4, most_granted=1000, keys=(key,), epoch=epoch.name, clock_us=epoch.clock_us())
        assert found.state == "ok"
        return epoch.name, len(found.grants)

    with racers(valkey_url, repairs) as race:
        for round_ in range(ROUNDS):
            gate.redis.flushall()
            found = race(round_)
            assert len({name for name, _ in found}) == 1
            assert gate.epoch() == found[0][0]
            assert [granted for _, granted in found] == [0] * RACERS
            assert gate.counts().parked == 4
