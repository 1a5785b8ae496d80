"""A reply on which a vendor's reader breaks is kept for a developer, without the key, and the ledger says where."""

from __future__ import annotations

import json

from tests.flow.conftest import SECRETS
from tests.flow.test_recovery import patient_worker
from tests.waiting import eventually

BREAKS = """
from marketfetch.vendors import reading
def breaks(request, reply, options):
    if request.symbol == "TSLA":
        raise KeyError("as a reader of a later reply may")
    return as_it_was(request, reply, options)
as_it_was, reading._read = reading._read, breaks
"""


def test_what_could_not_be_read_is_kept_and_named_and_what_could_leaves_nothing(place, sandbox):
    place.env["MARKETFETCH_RETRIES__MOST"] = "1"
    patient_worker(place, more=BREAKS)
    job = place.marketfetch("fetch", "polygon", "TSLA", "AAPL", "--start", "2024-01-02", "--end", "2024-01-05").stdout.strip()
    eventually(lambda: place.status(job)["state"] != "running", within_s=40, what="the job is over")
    ((request, reason),) = place.rows("SELECT request_id, reason FROM ledger WHERE outcome = 'failed'")
    assert "the response could not be read (KeyError)" in reason
    assert reason.endswith(f"What came is kept for a week: marketfetch dead reply polygon {request}")
    kept = place.marketfetch("dead", "reply", "polygon", request)
    assert kept.returncode == 0, kept.stderr
    assert len(json.loads(kept.stdout)["results"]) == 4
    assert SECRETS["polygon"] not in kept.stdout
    assert [one.decode() for one in place.redis().scan_iter("mf:*:raw:*")] == [f"mf:{{polygon}}:raw:{request}"]
