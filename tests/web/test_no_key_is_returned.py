"""No response holds an API key: not where a vendor has echoed it, not in an error, not in a live event."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from marketfetch import connections
from marketfetch.exceptions import BadRequestError
from marketfetch.ops import dead_letters
from marketfetch.schemas.ledger import Batch, LedgerRow
from marketfetch.settings import override
from marketfetch.web import problems
from marketfetch.web.app import PREFIX
from marketfetch.web.call_threads import as_json
from tests.web.conftest import Client, shared_api

KEY = "S3CR3T-of-the-key"
WISH = {"provider": "polygon", "symbols": ["AAPL"], "start": "2024-01-02", "end": "2024-01-31"}
READS = sorted(path for path, of in shared_api().openapi()["paths"].items() if "get" in of)


@pytest.fixture
def echoed(client: Client, valkey_url: str, tmp_path) -> Iterator[Client]:
    """A vendor has sent the key back: in the reason of a failure, and in a message."""
    variables = {
        "MARKETFETCH_REDIS_URL": valkey_url,
        "MARKETFETCH_DATABASE_URL": f"sqlite:///{tmp_path}/bars.db",
        "MARKETFETCH_PROVIDERS__POLYGON__API_KEYS": f"main:{KEY}",
        "MARKETFETCH_PROVIDERS__POLYGON__LIMITS": "[]",
    }
    job = client.post("jobs", json=WISH).json()["job"]
    root = connections.store().unfinished(job)[0].root
    row = LedgerRow(root, root, 0, "polygon", "AAPL", "failed", reason=f"the vendor says {KEY}", calls=1, called_at_ms=1)
    assert connections.store().store([Batch(row, ())]) == [True]
    dead_letters.bury(list_key="q", reason=f"no {KEY}", raw=KEY.encode(), size=len(KEY), task="", task_id="")
    with override(variables):
        yield client


def test_every_route_that_reads_returns_no_key(echoed):
    job = echoed.get("jobs").json()["jobs"][0]["job"]
    message = echoed.get("dead").json()["messages"][0]["id"]
    cut = []
    for path in READS:
        if path == f"{PREFIX}/events":  # its documents are those of jobs and keys
            continue
        filled = path.replace("{job}", job).replace("{message}", message)
        text = echoed.get(filled, params={"symbol": KEY} if path.endswith(("/bars", "/gaps")) else {}).text
        assert KEY not in text, path
        cut += [path] if "[secret]" in text else []
    assert {f"{PREFIX}/jobs/{{job}}", f"{PREFIX}/jobs/{{job}}/failures", f"{PREFIX}/dead"} <= set(cut)
    assert KEY not in echoed.refused(echoed.get(f"jobs/{KEY}"), 404)


def test_a_secret_that_is_spelled_like_a_field_changes_no_field():
    with override({"MARKETFETCH_PROVIDERS__POLYGON__API_KEYS": "main:provider"}):
        found = json.loads(as_json({"provider": "polygon", "why": ["a provider", {"deep": "provider"}], "n": 1}))
        assert found == {"provider": "polygon", "why": ["a [secret]", {"deep": "[secret]"}], "n": 1}
        problem = problems.document(problems.refused(BadRequestError("no provider is known")))
        assert problem["detail"] == "no [secret] is known"
