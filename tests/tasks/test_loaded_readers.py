"""A worker loads its vendors' readers before its children are forked, so that none does so with a reply in its memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

#: What a reply makes a process import, after the step has run for the worker's queues.
LOADED = """
import json, sys
from datetime import date
from types import SimpleNamespace
import tasks.attempt, tasks.fetch, tasks.store
from tasks.app import app
from tasks.worker.loaded_readers import LoadedReaders
from marketfetch.configured import options
from marketfetch.schemas.request import Request
from marketfetch.vendors import reading
from marketfetch.vendors.http import HttpReply

def readers():
    named = [name.split(".") for name in sys.modules if name.startswith("marketfetch.providers.")]
    return sorted(parts[2] for parts in named if parts[3:] == ["replies"])

before = readers()
app.amqp.queues.select(["fetch.polygon", "store"])
LoadedReaders(SimpleNamespace(app=app))
known = set(sys.modules)
body = json.dumps({"status": "OK", "ticker": "AAPL", "adjusted": False, "resultsCount": 1, "results": [
    {"t": 1704171600000, "o": 1.5, "h": 2.5, "l": 1.4, "c": 2.0, "v": 100}]}).encode()
request = Request(provider="polygon", symbol="AAPL", start=date(2024, 1, 2), end=date(2024, 1, 2), adjustment="raw")
reply = HttpReply(200, {"content-type": "application/json"}, body)
page = reading.read(request, reply, options("polygon"), max_reject_share=0.5)
late = [name for name in sys.modules if name not in known and name.startswith(("marketfetch", "msgspec", "numpy", "pydantic"))]
print(json.dumps([before, readers(), late, sum(len(one.bars.ts) for one in page.series)]))
"""


def test_a_reply_makes_a_child_import_nothing():
    done = subprocess.run([sys.executable, "-c", LOADED], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [[], ["polygon"], [], 1], "of the vendors whose queue the worker consumes, no other"
