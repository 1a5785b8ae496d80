"""Handles of overlapping wishes share requests and nothing else, in any order of submit, cancel, resume and ends of calls."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

import marketfetch
from marketfetch import connections
from marketfetch.configured import keys
from marketfetch.jobs import feeding
from marketfetch.quotas import Grant
from marketfetch.storage.store import Store
from tests.storage.batches import batch

SYMBOLS = {"ana": ["AAPL", "MSFT", "TSLA"], "ben": ["MSFT", "TSLA", "NVDA"], "ben's other": ["MSFT", "TSLA", "NVDA"]}
WORDS: dict[str, dict[str, Any]] = {
    "ana": {"owner": "ana"},
    "ben": {"owner": "ben"},
    "ben's other": {"owner": "ben", "tags": ["x"]},
}
STEPS = st.one_of(
    st.tuples(st.sampled_from(("submit", "submit", "cancel", "resume")), st.sampled_from(list(WORDS))),
    st.tuples(st.sampled_from(("grant", "start", "end", "sweep")), st.just("")),
)


class Here:
    """This process as the users, the sweeper and a worker's child."""

    def __init__(self) -> None:
        self.store: Store = connections.store()
        self.gate = connections.gate("polygon")
        self.jobs: dict[str, str] = {}
        self.wanted: dict[str, set[str]] = {}
        self.cancelled: set[str] = set()
        self.granted: list[Grant] = []
        self.running: list[Grant] = []

    def submit(self, who: str) -> None:
        job = marketfetch.submit("polygon", SYMBOLS[who], start=date(2024, 1, 2), end=date(2024, 1, 5), **WORDS[who])
        assert job.new == (who not in self.jobs), "the same owner, name and tags are the same handle"
        assert self.jobs.setdefault(who, job.job_id) == job.job_id
        listed = self.store.database.read("SELECT root FROM job_requests WHERE job_id = ?", job.job_id)
        self.wanted[who] = {root for (root,) in listed}
        self.cancelled.discard(who)

    def cancel(self, who: str) -> None:
        if who in self.jobs:
            open_still = self.wanted[who] - self.store.over(sorted(self.wanted[who]))
            marketfetch.cancel(self.jobs[who])
            if open_still:  # a job that is over stays as it is
                self.cancelled.add(who)

    def resume(self, who: str) -> None:
        if who in self.jobs:
            marketfetch.resume(self.jobs[who])
            self.cancelled.discard(who)

    def grant(self, _: str) -> None:
        self.granted += self.gate.admit(room=1, most_granted=9, keys=keys("polygon")).grants

    def start(self, _: str) -> None:
        if self.granted:
            grant = self.granted.pop(0)
            if self.gate.start(grant.id, fence=grant.fence).verdict == "go":
                assert grant.id in self.living(), "a request that only cancelled jobs want is not called"
                self.running.append(grant)

    def end(self, _: str) -> None:
        if self.running:
            grant = self.running.pop(0)
            assert self.gate.finish(grant.id, fence=grant.fence, batch=b"x")
            assert self.store.store([batch(grant.id, {0: 1.0}, symbol=grant.id)]) == [True], "a request is called once"
            self.gate.settle(grant.id)

    def sweep(self, _: str) -> None:
        feeding.sweep()

    def living(self) -> set[str]:
        return set().union(*(roots for who, roots in self.wanted.items() if who not in self.cancelled))

    def is_as_wanted(self) -> None:
        """What a living handle still wants is in the gate at any time, and nothing waits for cancelled ones alone."""
        everything = sorted(set().union(*self.wanted.values()))
        over = self.store.over(everything)
        assert self.gate.knows(sorted(self.living() - over))
        for one in set(everything) - self.living():
            assert self.gate.redis.hget(f"{self.gate.prefix}req:{one}", "s") in (None, b"running")

    def works_until_nothing_is_left(self) -> None:
        self.sweep("")
        while self.granted or self.running or self.gate.counts().parked:
            for step in (self.grant, self.start, self.end):
                step("")


@settings(max_examples=25, deadline=None)
@given(steps=st.lists(STEPS, min_size=6, max_size=24))
def explored(emptied: Callable[[], None], steps: list[tuple[str, str]]) -> None:
    emptied()
    here = Here()
    for action, who in steps:
        getattr(here, action)(who)
        here.is_as_wanted()
    here.works_until_nothing_is_left()
    over = here.store.over(sorted(set().union(*here.wanted.values())))
    assert here.living() <= over, "what a living handle wants is stored"
    for who, job in here.jobs.items():
        state = marketfetch.status(job)
        mine = here.wanted[who]
        assert state.requests.stored == len(mine & over)
        assert state.requests.cancelled == len(mine - over)
        assert state.state == ("cancelled" if who in here.cancelled else "done")


def test_every_wanted_request_of_a_living_handle_is_stored_and_none_of_a_cancelled_one_alone_is_called(emptied: Any) -> None:
    explored(emptied)
