"""How often a request has crashed a worker: in its call, or while its batch was stored. Real scripts."""

from __future__ import annotations

from marketfetch.quotas import key_limits
from tests.quotas.steps import admit, park

ONE = key_limits("one", [])
BUSY_MS = 60_000


def started(gate, *, end_by_ms=25_000):
    (grant,) = (one for one in admit(gate, ONE).grants if one.kind == "go")
    assert gate.start(grant.id, fence=grant.fence, end_by_ms=end_by_ms).verdict == "go"
    return grant


def test_a_call_that_no_worker_ends_is_a_crash(gate):
    park(gate, "a")
    assert gate.crashes("a", busy_ms=BUSY_MS) == 0
    for crashes in (1, 2):
        started(gate, end_by_ms=-1)
        grant = started(gate)
        assert gate.crashes("a", busy_ms=BUSY_MS) == crashes
        gate.requeue("a", fence=grant.fence, key_label="one")
    assert gate.crashes("nothing", busy_ms=BUSY_MS) == 0


def test_a_batch_that_no_worker_settles_is_a_crash_once_its_claim_is_over(gate):
    park(gate, "a")
    grant = started(gate)
    gate.finish("a", fence=grant.fence, batch=b"rows")
    assert gate.crashes("a", busy_ms=BUSY_MS) == 0
    gate.claim(["a"], busy_ms=0)
    assert gate.crashes("a", busy_ms=BUSY_MS) == 0, "it may be stored at this moment"
    assert gate.crashes("a", busy_ms=-1_000) == 1
    gate.claim(["a"], busy_ms=0)
    assert gate.crashes("a", busy_ms=BUSY_MS) == 1
    gate.postpone("a", delay_ms=1, most_ms=1)
    assert gate.crashes("a", busy_ms=-1_000) == 0, "a database that is away is no crash"
    gate.settle("a")
    assert gate.crashes("a", busy_ms=-1_000) == 0
