"""The sandbox as a process: it starts, says where, is quick, and leaves nothing behind."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from datetime import date
from pathlib import Path

import psutil
import pytest
import requests

from marketfetch.local.sandbox_process import Sandbox, start_sandbox
from marketfetch.local.valkey_server import ServerError

AGGS = "/v2/aggs/ticker/AAPL/range/1/day/2023-01-01/2023-01-10?apiKey=k"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_cleanly_on_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    with start_sandbox(port_file=tmp_path / "port", log=tmp_path / "log") as sandbox:
        assert (tmp_path / "port").read_text().strip() == sandbox.url
        os.kill(sandbox.pid, number)
        assert sandbox.process.wait(300) == 0
    assert not (tmp_path / "port").exists()
    assert (tmp_path / "log").read_text() == ""


def test_it_ends_when_its_parent_is_killed() -> None:
    code = (
        "import os, signal; from marketfetch.local.sandbox_process import start_sandbox\n"
        "print(start_sandbox().pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    parent = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=300)
    assert parent.returncode == -signal.SIGKILL
    try:
        psutil.Process(int(parent.stdout)).wait(300)
    except psutil.NoSuchProcess:
        return


def test_a_taken_port_is_one_sentence_and_no_traceback(sandbox: Sandbox, tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="did not start"):
        start_sandbox(port=int(sandbox.url.rsplit(":", 1)[1]), log=tmp_path / "log")
    assert "can't listen" in (tmp_path / "log").read_text()
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_a_wrong_limit_stops_the_start_and_is_named(tmp_path: Path) -> None:
    with pytest.raises(ServerError):
        start_sandbox(limits={"polygon": {"*": ["5/fortnight"]}}, log=tmp_path / "log")
    assert "'5/fortnight' is not a limit" in (tmp_path / "log").read_text()


def test_the_same_options_give_the_same_bytes_in_another_process() -> None:
    def bodies() -> list[bytes]:
        with start_sandbox(seed=9, today=date(2025, 3, 14)) as sandbox:
            asked = [
                "/query?function=TIME_SERIES_DAILY&symbol=ABCD&apikey=k&outputsize=full",
                "/query?function=FX_INTRADAY&from_symbol=EUR&to_symbol=JPY&interval=5min&apikey=k",
                "/api/v3/datatables/QUOTEMEDIA/PRICES?ticker=ABCD&date.gte=2025-01-01&api_key=k",
            ]
            return [requests.get(sandbox.url + path, timeout=300).content for path in asked]

    assert bodies() == bodies()


def test_delays_are_laid_on_both_ways_and_the_arrival_is_logged_between_them() -> None:
    with start_sandbox(delay_in_ms=(80, 100), delay_out_ms=(60, 80)) as sandbox:
        before = time.monotonic()
        requests.get(sandbox.url + AGGS, timeout=300)
        after = time.monotonic()
        (arrival, _), *_ = sandbox.control.log(full=True)["providers"]["polygon"]["k"]["arrivals"]
        assert before + 0.080 <= arrival <= after - 0.060


#: What `loop_s` takes on a quiet core of the machine on which the 800 were set.
QUIET_LOOP_S = 0.018


def loop_s() -> float:
    """Seconds of processor time of a loop that does nothing but compute."""
    began = time.thread_time()
    sum(one * one for one in range(300_000))
    return time.thread_time() - began


def test_one_core_answers_at_least_800_small_requests_a_second(sandbox: Sandbox) -> None:
    host, rounds = sandbox.url.removeprefix("http://"), 400

    def ask() -> None:
        wire = http.client.HTTPConnection(host)
        for _ in range(rounds):
            wire.request("GET", AGGS)
            assert len(wire.getresponse().read()) > 500
        wire.close()

    def rate() -> float:
        """Requests per second of its own processor time, so that waiting for a busy machine does not count."""
        process = psutil.Process(sandbox.pid)
        before = sum(process.cpu_times()[:2])
        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return 3 * rounds / (sum(process.cpu_times()[:2]) - before)

    # Neighbours on the same core slow even processor time, and a loop alike: the best of a few says what the code can do.
    rates, scaled = [rate()], [0.0]
    while max(rates[-1], scaled[-1]) < 800 and len(rates) < 12:
        before_s = loop_s()
        rates.append(rate())
        scaled.append(rates[-1] * max(1.0, min(before_s, loop_s()) / QUIET_LOOP_S))
    assert max(*rates, *scaled) >= 800, (rates, scaled)
    assert sandbox.control.log()["calls"] == 3 * rounds * len(rates)


def test_the_control_endpoint_says_what_it_did_not_understand(sandbox: Sandbox) -> None:
    with pytest.raises(ServerError, match="unknown kind of fault 'flood'"):
        sandbox.control.faults(kind="flood")
    with pytest.raises(ServerError, match="unknown setting 'speed'"):
        sandbox.control.keys("polygon", "k", speed=3)
    with pytest.raises(ServerError, match="concurrency of a key can't be 'one'"):
        sandbox.control.keys("polygon", "k", concurrency="one")
    with pytest.raises(ServerError, match="'5/fortnight' is not a limit"):
        sandbox.control.keys("polygon", "k", limits=["5/fortnight"])
    with pytest.raises(ServerError, match="unknown provider 'acme'"):
        sandbox.control.keys("acme", "k")
    assert sandbox.control.health()["ok"] is True


def test_it_listens_on_loopback_only(sandbox: Sandbox) -> None:
    port = int(sandbox.url.rsplit(":", 1)[1])
    listening = [one.laddr.ip for one in psutil.Process(sandbox.pid).net_connections() if one.status == "LISTEN"]
    assert listening == ["127.0.0.1"]
    with socket.create_connection(("127.0.0.1", port), timeout=300):
        pass
