"""Every fault, as the bytes and the connection show it."""

from __future__ import annotations

import contextlib
import json
import math
import socket
import threading
from typing import Any

import pytest
import requests

from marketfetch.local.sandbox_process import Sandbox
from marketfetch.local.valkey_server import ServerError
from marketfetch.sandbox.misbehaviour import CASES
from tests.waiting import eventually

AGGS = "/v2/aggs/ticker/IBM/range/1/day/2024-01-02/2024-03-28?apiKey=k"
DAILY = "/query?function=TIME_SERIES_DAILY&symbol=IBM&apikey=k"
TABLE = "/api/v3/datatables/WIKI/PRICES.json?ticker=AAPL,MSFT&date.gte=2014-01-01&date.lte=2014-03-01&api_key=k"
DATASET = "/api/v3/datasets/WIKI/AAPL/data.json?order=asc&start_date=2014-01-01&end_date=2014-03-01&api_key=k"
FX = "/query?function=FX_DAILY&from_symbol=EUR&to_symbol=USD&apikey=k"
PATHS = {"polygon": AGGS, "alpha_vantage": DAILY, "nasdaq": TABLE}


def get(sandbox: Sandbox, path: str = AGGS, **options: Any) -> requests.Response:
    return requests.get(sandbox.url + path, timeout=300, **options)


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_a_counted_fault_strikes_that_often_and_then_no_more(sandbox: Sandbox, path: str) -> None:
    sandbox.control.faults(kind="500", count=2)
    assert [get(sandbox, path).status_code for _ in range(3)] == [500, 500, 200]
    (fault,) = sandbox.control.faults()
    assert (fault["count"], fault["struck"]) == (0, 2)


def test_a_503_carries_retry_after_if_asked(sandbox: Sandbox) -> None:
    sandbox.control.faults({"kind": "503", "retry_after": 5}, {"kind": "503"})
    first, second = get(sandbox), get(sandbox)
    assert (first.status_code, first.headers["Retry-After"]) == (503, "5")
    assert second.status_code == 503
    assert "Retry-After" not in second.headers


@pytest.mark.parametrize(("vendor", "status"), [("polygon", 429), ("alpha_vantage", 200), ("nasdaq", 429)])
def test_an_unasked_429_is_worded_by_the_vendor_and_no_violation(sandbox: Sandbox, vendor: str, status: int) -> None:
    sandbox.control.keys(vendor, "k", limits=["100/minute"])
    sandbox.control.faults(kind="429", provider=vendor, retry_after=2)
    reply = get(sandbox, PATHS[vendor])
    assert (reply.status_code, reply.headers["Retry-After"]) == (status, "2")
    assert any(word in reply.json() for word in ("Note", "error", "quandl_error"))
    assert sandbox.control.log()["violations"] == 0


def test_a_page_of_html_is_a_200(sandbox: Sandbox) -> None:
    sandbox.control.faults(kind="html")
    reply = get(sandbox)
    assert (reply.status_code, reply.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert reply.text.startswith("<!DOCTYPE html>")


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_cut_json_is_whole_for_http_and_broken_for_its_reader(sandbox: Sandbox, path: str) -> None:
    sandbox.control.faults(kind="cut_json")
    reply = get(sandbox, path)
    assert reply.status_code == 200
    with pytest.raises(requests.exceptions.JSONDecodeError):
        reply.json()
    assert get(sandbox, path).json()


def raw(sandbox: Sandbox, path: str = AGGS) -> tuple[bytes, BaseException | None]:
    host, port = sandbox.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=300) as wire:
        wire.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        received = b""
        try:
            while piece := wire.recv(65536):
                received += piece
        except ConnectionResetError as problem:
            return received, problem
    return received, None


def test_a_truncated_body_promises_more_than_it_sends(sandbox: Sandbox) -> None:
    sandbox.control.faults(kind="truncate")
    received, problem = raw(sandbox)
    head, _, body = received.partition(b"\r\n\r\n")
    promised = int(next(line for line in head.split(b"\r\n") if line.startswith(b"Content-Length")).split(b":")[1])
    assert problem is None
    assert 0 < len(body) < promised
    sandbox.control.faults(kind="truncate")
    with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.exceptions.ConnectionError)):
        get(sandbox)


def test_a_reset_is_a_reset_and_not_an_end(sandbox: Sandbox) -> None:
    sandbox.control.faults(kind="reset")
    received, problem = raw(sandbox)
    assert received == b""
    assert isinstance(problem, ConnectionResetError)
    assert sandbox.control.log()["providers"]["polygon"]["k"]["statuses"] == {"reset": 1}


def test_a_hanging_call_says_nothing_while_others_are_answered(sandbox: Sandbox) -> None:
    sandbox.control.faults(kind="hang")
    host, port = sandbox.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=0.4) as wire:
        wire.sendall(f"GET {AGGS} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        eventually(lambda: sandbox.control.log()["providers"].get("polygon"), what="the sandbox has the call")
        with pytest.raises(TimeoutError):
            wire.recv(1)
        assert get(sandbox).status_code == 200
        assert sandbox.control.log()["providers"]["polygon"]["k"]["open"] == 1


def test_results_null_is_polygons_empty_that_is_not_empty(sandbox: Sandbox) -> None:
    sandbox.control.faults(kind="results_null", provider="polygon")
    body = get(sandbox).json()
    assert body["results"] is None
    assert body["status"] == "OK"
    assert "next_url" not in body


def test_a_fault_is_meant_for_one_vendor_and_one_symbol(sandbox: Sandbox) -> None:
    sandbox.control.faults({"kind": "500", "provider": "polygon", "symbol": "AAPL"}, {"kind": "503", "symbol": "MSFT"})
    assert get(sandbox).status_code == 200
    assert get(sandbox, AGGS.replace("IBM", "AAPL")).status_code == 500
    # A table's question names its symbols together.
    assert get(sandbox, TABLE).status_code == 503


def test_a_rate_of_faults_is_drawn_from_the_seed(sandbox: Sandbox) -> None:
    sandbox.control.faults(kind="500", rate=0.3)
    struck = [get(sandbox).status_code for _ in range(200)].count(500)
    assert 35 <= struck <= 85
    sandbox.control.clear_faults()
    assert get(sandbox).status_code == 200


def series(body: bytes) -> list[tuple[Any, dict[str, Any]]]:
    """Rows in the reply's own order, a moment that stands twice included."""
    pairs: list[Any] = json.loads(body, object_pairs_hook=list)
    key, rows = pairs[-1]
    assert "Time Series" in key
    return [(at, dict(numbers)) for at, numbers in rows]


def test_bad_rows_are_exactly_those_that_the_log_tells(sandbox: Sandbox) -> None:
    good = get(sandbox).json()["results"]
    sandbox.control.faults(kind="bad_rows")
    bad = get(sandbox).json()["results"]
    told = sandbox.control.log()["damaged"]
    assert [one["kind"] for one in told] == [
        "negative price", "high below low", "not a number", "missing field", "negative volume"
    ]  # fmt: skip
    assert {(one["provider"], one["symbol"]) for one in told} == {("polygon", "IBM")}
    rows = {one["kind"]: bad[one["row"]] for one in told}
    assert rows["negative price"]["l"] < 0
    assert rows["high below low"]["h"] < rows["high below low"]["l"]
    assert rows["not a number"]["c"] == "NaN"
    assert "o" not in rows["missing field"]
    assert rows["negative volume"]["v"] == -1
    spoilt = {one["row"] for one in told}
    kept = [row for i, row in enumerate(bad) if i not in spoilt]
    assert kept == [row for row in good if row in kept]
    assert len(bad) == len(good)
    assert all(bad[one["row"]]["t"] == one["at"] for one in told)


@pytest.mark.parametrize("path", [DAILY, FX])
def test_alpha_vantages_bad_rows_keep_their_moments(sandbox: Sandbox, path: str) -> None:
    good = series(get(sandbox, path).content)
    sandbox.control.faults(kind="bad_rows")
    bad = series(get(sandbox, path).content)
    told = {one["kind"]: one for one in sandbox.control.log()["damaged"]}
    assert len(told) == 5
    assert len(bad) == len(good)
    assert float(bad[told["negative price"]["row"]][1]["3. low"]) < 0
    assert math.isnan(float(bad[told["not a number"]["row"]][1]["4. close"]))
    assert "1. open" not in bad[told["missing field"]["row"]][1]
    assert bad[told["negative volume"]["row"]][1].get("5. volume", "-1") == "-1"
    assert all(bad[one["row"]][0] == one["at"] for one in told.values())


@pytest.mark.parametrize(("path", "root"), [(TABLE, "datatable"), (DATASET, "dataset_data")])
def test_nasdaqs_bad_rows_keep_their_columns(sandbox: Sandbox, path: str, root: str) -> None:
    good = get(sandbox, path).json()[root]["data"]
    sandbox.control.faults(kind="bad_rows")
    bad = get(sandbox, path).json()[root]["data"]
    told = sandbox.control.log()["damaged"]
    assert len(told) == 5
    assert {len(row) for row in bad} == {len(good[0])}
    spoilt = {one["row"] for one in told}
    assert [row for i, row in enumerate(bad) if i not in spoilt] == [row for row in good if row in bad]
    assert all(one["at"] in bad[one["row"]] for one in told)


def test_the_same_question_is_spoilt_in_the_same_way(sandbox: Sandbox) -> None:
    sandbox.control.faults(kind="bad_rows", count=2)
    one, other = get(sandbox).json(), get(sandbox).json()
    assert one["results"] == other["results"]


def test_bad_rows_in_csv_are_told_too(sandbox: Sandbox) -> None:
    sandbox.control.faults(kind="bad_rows")
    header, *lines = get(sandbox, DAILY + "&datatype=csv").text.split("\r\n")
    told = {one["kind"]: one for one in sandbox.control.log()["damaged"]}
    assert header == "timestamp,open,high,low,close,volume"
    assert lines[told["not a number"]["row"]].split(",")[4] == "NaN"
    assert lines[told["missing field"]["row"]].split(",")[1] == ""
    assert lines[told["negative price"]["row"]].split(",")[3].startswith("-")


def test_a_reset_of_the_log_forgets_faults_and_damage(sandbox: Sandbox) -> None:
    sandbox.control.faults(kind="bad_rows")
    get(sandbox)
    sandbox.control.faults(kind="500", count=9)
    sandbox.control.reset()
    assert sandbox.control.faults() == []
    assert sandbox.control.log() == {"calls": 0, "violations": 0, "providers": {}, "damaged": []}
    assert get(sandbox).status_code == 200


def test_a_fault_on_the_wire_is_known_by_its_stage_and_its_way(sandbox: Sandbox) -> None:
    for stage, way in CASES:
        sandbox.control.faults(kind="misbehave", stage=stage, way=way)
    with pytest.raises(ServerError, match="a stage and a way, one of: status line: stands still"):
        sandbox.control.faults(kind="misbehave", stage="body", way="sings")


def test_an_endless_body_ends_with_its_client_and_counts_as_open_until_then(sandbox: Sandbox) -> None:
    sandbox.control.faults(kind="misbehave", provider="polygon", symbol="IBM", stage="body", way="endless")
    with requests.get(f"{sandbox.url}{AGGS}", stream=True, timeout=300) as reply:
        assert len(next(reply.iter_content(100_000))) == 100_000
        assert sandbox.control.log()["providers"]["polygon"]["k"]["open"] == 1
    eventually(lambda: sandbox.control.log()["providers"]["polygon"]["k"]["open"] == 0, within_s=5)


def test_a_reply_without_end_holds_up_no_other_call_while_its_client_reads_on(sandbox: Sandbox) -> None:
    sandbox.control.faults(kind="misbehave", provider="polygon", symbol="IBM", stage="body", way="endless")
    address, port = sandbox.url.removeprefix("http://").split(":")
    with socket.create_connection((address, int(port)), timeout=60) as endless:
        endless.sendall(f"GET {AGGS} HTTP/1.1\r\nHost: sandbox\r\n\r\n".encode())
        drain = threading.Thread(target=_read_on, args=(endless,), daemon=True)
        drain.start()
        replies = [requests.get(sandbox.url + TABLE, timeout=5).status_code for _ in range(10)]
        endless.shutdown(socket.SHUT_RDWR)
        drain.join(timeout=60)
    assert replies == [200] * 10
    assert not drain.is_alive()


def _read_on(connection: socket.socket) -> None:
    buffer = bytearray(1 << 20)
    with contextlib.suppress(ConnectionError):
        while connection.recv_into(buffer):
            pass
