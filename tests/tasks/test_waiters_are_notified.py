"""The waiters of jobs in any order of storing, cancelling, crashing and sweeping: each is notified, and none too early.

The database is real; the gate, the broker and the processes are the machine's: a message may be lost, a worker may die before
or after it has written the result.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from marketfetch import connections
from marketfetch.jobs import job_ends
from marketfetch.jobs.callbacks import CALLBACK
from marketfetch.storage import open_store
from marketfetch.storage.store import Job, JobWaiter
from tasks import announcing
from tasks.sending.recorded_tasks import STANDS
from tests.storage.batches import batch

#: Each job's requests; the second and the third share one.
JOBS = {"one": ("a",), "two": ("b", "c"), "three": ("c", "d")}
WAITERS = {name: (f"{STANDS}{name}", f"{CALLBACK}{name}") for name in JOBS}


class Crash(BaseException):
    """The process dies: no handler runs."""


class Waiting(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.folder, self.patch = TemporaryDirectory(), pytest.MonkeyPatch()
        self.store = open_store(f"sqlite:///{Path(self.folder.name) / 'x.db'}")
        self.store.create()
        self.now_ms, self.crash = 1_000_000, ""
        self.ended: dict[tuple[str, str], list[str]] = {}
        self.messages: list[tuple[str, str, str]] = []
        self.cancelled: set[str] = set()
        self.stored: dict[str, str] = {}
        for name, roots in JOBS.items():
            for waiter in WAITERS[name]:
                self.store.save_job(Job(name, "{}", 0), roots, JobWaiter(name, waiter, "{}"))
        self.patch.setattr(connections, "store", lambda: self.store)
        self.patch.setattr(connections, "gate", lambda _: SimpleNamespace(in_lane=lambda _: 0))
        self.patch.setattr(job_ends, "_running", lambda *_: 0)
        self.patch.setattr(announcing, "_now_ms", lambda: self.now_ms)
        self.patch.setattr(announcing, "notify", self.notify)
        announcing._next_look.clear()

    def notify(self, _store: Any, waiter: JobWaiter, end: Any) -> bool:
        """As announcing.notify: a callback is sent here, the task of a job that is done by a message."""
        if self.crash == "before":
            raise Crash
        by_message = waiter.name.startswith(STANDS) and end.outcome == "done"
        if by_message:
            self.messages.append((waiter.job_id, waiter.name, end.outcome))
        else:
            self.ended.setdefault((waiter.job_id, waiter.name), []).append(end.outcome)
        if self.crash == "after":
            raise Crash
        return not by_message

    def surviving(self, work: Any) -> None:
        try:
            work()
        except Crash:
            self.crash = ""

    @rule(crash=st.sampled_from(["", "before", "after"]))
    def the_next_process_dies(self, crash: str) -> None:
        self.crash = crash

    @rule(root=st.sampled_from("abcd"), outcome=st.sampled_from(["stored", "failed"]))
    def a_request_is_over(self, root: str, outcome: str) -> None:
        if root not in self.stored:
            self.stored[root] = outcome
            self.store.store([batch(root, {0: 1.0}) if outcome == "stored" else batch(root, outcome="failed")])
        self.surviving(lambda: announcing.after_storing("polygon", [root]))

    @rule(name=st.sampled_from(list(JOBS)))
    def a_job_is_cancelled(self, name: str) -> None:
        if self.store.cancel_job(name, at_ms=self.now_ms):
            self.cancelled.add(name)

    @rule(later_ms=st.sampled_from([0, 1_000, 60_000]))
    def a_sweep(self, later_ms: int) -> None:
        self.now_ms += later_ms
        self.store.open_jobs()
        self.surviving(announcing.announce_due)

    @precondition(lambda self: self.messages)
    @rule(how=st.sampled_from(["lost", "dies before its result", "dies after it", "ends"]))
    def a_worker_takes_a_message(self, how: str) -> None:
        job, name, outcome = self.messages.pop(0)
        if how in ("lost", "dies before its result") or not [one for one in self.store.waiters(job) if one.name == name]:
            return
        self.ended.setdefault((job, name), []).append(outcome)
        if how == "ends":
            self.store.forget_waiter(job, name)

    @invariant()
    def no_waiter_hears_of_an_end_that_is_none_and_none_is_forgotten(self) -> None:
        for (job, name), outcomes in self.ended.items():
            over = self.stored.keys() >= set(JOBS[job])
            assert over or job in self.cancelled, (job, name, outcomes)
            possible = {"cancelled"} if job in self.cancelled else set()
            if over:
                possible.add("failed" if "failed" in {self.stored[root] for root in JOBS[job]} else "done")
            assert set(outcomes) <= possible
        for job, names in WAITERS.items():
            waiting = {one.name for one in self.store.waiters(job)}
            assert all(name in waiting or (job, name) in self.ended for name in names)

    def teardown(self) -> None:
        if not hasattr(self, "store"):
            return
        self.crash = ""
        for root in "abcd":
            self.a_request_is_over(root, "stored")
        for _ in range(3):
            while self.messages:
                self.a_worker_takes_a_message("ends")
            self.a_sweep(1_000_000)
        assert [self.store.waiters(job) for job in JOBS] == [[], [], []], "everything is quiet, and each was notified"
        assert set(self.ended) == {(job, name) for job, names in WAITERS.items() for name in names}
        self.store.close()
        self.patch.undo()
        self.folder.cleanup()


TestWaiting = Waiting.TestCase
TestWaiting.settings = settings(max_examples=12, stateful_step_count=20, deadline=None)
