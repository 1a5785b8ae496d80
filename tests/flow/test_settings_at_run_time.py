"""Settings changed while two real workers run: in force within seconds, no limit passed, no request lost, no secret seen."""

from __future__ import annotations

import json
import re
import time
from datetime import datetime

import pytest

from marketfetch.sealing import new_master_key
from tests.flow.conftest import SECRETS, Place
from tests.flow.test_secrets import everything_in
from tests.waiting import PATIENCE, eventually

#: Symbols of the sandbox's market.
SYMBOLS = [f"{a}{b}" for a in "ABCDEF" for b in "ABCDEFGH"]
SPARE = "S3CR3TSPARE0123456789"
RANGE = ("--start", "2024-01-02", "--end", "2024-01-05", "--adjustment", "raw")
PUT = """
import json, sys
from marketfetch.ops import changing_settings
for name, value in json.loads(sys.argv[1]).items():
    if value is None:
        changing_settings.unset(name, who="ann")
    else:
        changing_settings.put(name, value, who="ann")
print(changing_settings.history(limit=1)[0].version)
"""


@pytest.fixture
def bare(place: Place) -> Place:
    """A place whose key and limits stand in the database alone."""
    del place.env["MARKETFETCH_PROVIDERS__POLYGON__API_KEYS"]
    del place.env["MARKETFETCH_PROVIDERS__POLYGON__LIMITS"]
    place.env["MARKETFETCH_MASTER_KEY"] = new_master_key()
    return place


def change(place: Place, **values: object) -> int:
    """Changes settings of polygon in one process; returns the version of the last change."""
    named = {f"providers.polygon.{name.replace('__', '.')}": value for name, value in values.items()}
    done = place.run("-c", PUT, json.dumps(named))
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def seen(place: Place, version: int) -> list[float]:
    """When each process of a worker had this version in force, in Unix seconds."""
    lines = re.findall(
        rf"^(\S+)Z? .*settings of the database are in force.*version={version}\b", place.worker_log, flags=re.MULTILINE
    )
    return [datetime.fromisoformat(one.replace("Z", "+00:00")).timestamp() for one in lines]


def stored(place: Place, label: str) -> int:
    return int(place.rows(f"SELECT count(*) FROM ledger WHERE outcome = 'stored' AND key_label = '{label}'")[0][0])


def test_a_limit_a_key_and_its_removal_are_in_force_in_two_workers_under_a_running_job(bare, sandbox):
    limit = "20/2seconds"
    sandbox.keys("polygon", SECRETS["polygon"], limits=[limit], enforce=False)
    sandbox.keys("polygon", SPARE, limits=[limit], enforce=False)
    change(bare, limits=["2/minute"], api_keys__main=SECRETS["polygon"])
    for name in ("one", "two"):
        bare.worker("-n", f"{name}@%h", concurrency=2)
    submitted = bare.marketfetch("fetch", "polygon", *SYMBOLS, *RANGE)
    assert submitted.returncode == 0, submitted.stderr
    eventually(lambda: stored(bare, "main") == 2, what="the first limit is used up")

    began = time.time()
    version = change(bare, limits=[limit])
    eventually(lambda: len(seen(bare, version)) >= 2, within_s=5, what="both workers have the new limit")
    eventually(lambda: stored(bare, "main") >= 12, what="the job goes on under the new limit")
    assert sorted(seen(bare, version))[1] - began < 5 * PATIENCE
    # The only key goes, another one comes: what was granted returns to its place, and nothing fails.
    change(bare, api_keys__spare=SPARE)
    change(bare, api_keys__main=None)
    eventually(lambda: stored(bare, "main") + stored(bare, "spare") == len(SYMBOLS), within_s=40, what="the job is over")
    assert stored(bare, "spare") > 0
    assert bare.rows("SELECT symbol, reason FROM ledger WHERE outcome = 'failed'") == []
    log = sandbox.log()
    assert (log["violations"], log["calls"]) == (0, len(SYMBOLS))
    main = stored(bare, "main")
    again = bare.fetch("polygon", "ZA", "ZB", start="2024-01-02", end="2024-01-05")
    assert again["requests"]["stored"] == 2
    assert stored(bare, "main") == main, "a key that was removed makes no call"

    haystack = {
        "worker log": bare.worker_log.encode(),
        "redis": everything_in(bare.redis()),
        "the append-only file": b"".join(path.read_bytes() for path in (bare.folder / "valkey").rglob("*.aof")),
        "database": b"".join(path.read_bytes() for path in bare.folder.glob("marketfetch.db*")),
        "commands": "".join(
            bare.marketfetch("set", *words).stdout for words in (("--list", "--json"), ("--history", "--json"))
        ).encode(),
    }
    for where, text in haystack.items():
        assert text, where
        for secret in (SECRETS["polygon"], SPARE, bare.env["MARKETFETCH_MASTER_KEY"]):
            assert secret.encode() not in text, where
