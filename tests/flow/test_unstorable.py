"""A batch that can't be stored ends in the ledger with a reason; it is never offered for ever, and never half stored."""

from __future__ import annotations

import json

HELD = """
import json
import numpy as np
from marketfetch.quotas import Parking, key_limits
from marketfetch.schemas.bars import BarColumns, BarSeries
from marketfetch.schemas.ledger import Batch, LedgerRow
from marketfetch.schemas.request import Request
from marketfetch import connections
from marketfetch.jobs import batches
from tasks.store import reference, store_batch

request = Request(provider="polygon", symbol="AAPL", adjustment="split", start="2024-01-02", end="2024-01-31")
gate = connections.gate("polygon")
gate.park([Parking(id=request.id, arguments=request.arguments)], job="job")
(grant,) = gate.admit(room=1, most_granted=1, keys=(key_limits("main", ()),)).grants
gate.start(grant.id, fence=grant.fence)
bars = BarColumns.build(np.arange(3, dtype=np.int64) * 86_400_000, close={closes})
ledger = LedgerRow(
    request_id=request.id, root=request.root, page=0, provider="polygon", symbol="AAPL", outcome="stored", rows=3
)
data = batches.encode(Batch(ledger=ledger, series=(BarSeries("polygon", "AAPL", "1d", "split", bars),)))
gate.finish(grant.id, fence=grant.fence, batch={data})
ref = reference("polygon", "AAPL", grant.id, outcome="stored", rows=3)
answers = [store_batch(ref), store_batch(ref)]
print(json.dumps([answers, gate.counts().held, len(gate.redis.keys("mf:*req*")) + len(gate.redis.keys("mf:*batch*"))]))
"""


def stored(place, *, closes: str = "np.ones(3)", data: str = "data"):
    done = place.run("-c", HELD.replace("{closes}", closes).replace("{data}", data))
    assert done.returncode == 0, done.stderr
    answers, held, left = json.loads(done.stdout.splitlines()[-1])  # our log lines stand before it
    assert (held, left) == (0, 0)
    return answers


def test_a_good_batch_is_stored_once_and_the_second_time_is_nothing(any_place):
    first, _ = stored(any_place)
    assert (first["outcome"], first["rows"]) == ("stored", 3)
    assert any_place.rows("SELECT count(*) FROM bars") == [(3,)]
    assert any_place.rows("SELECT count(*) FROM ledger") == [(1,)]


def test_a_batch_that_is_no_batch_is_written_off_with_the_reason(any_place):
    (first, _) = stored(any_place, data="b'garbage'")
    assert first["outcome"] == "failed"
    ((outcome, reason),) = any_place.rows("SELECT outcome, reason FROM ledger")
    assert outcome == "failed"
    assert "can't be read" in reason


def test_rows_that_no_database_takes_are_written_off_and_none_of_them_stays(any_place):
    (first, _) = stored(any_place, closes="np.array([1.0, np.nan, 1.0])")
    assert (first["outcome"], first["rows"]) == ("failed", 0)
    ((outcome, reason),) = any_place.rows("SELECT outcome, reason FROM ledger")
    assert outcome == "failed"
    assert "can't be stored" in reason
    assert any_place.rows("SELECT count(*) FROM bars") == [(0,)]
