"""Submit, fetch and store of a job are one trace, also of its further pages: real processes, and a collector on loopback."""

from __future__ import annotations

import gzip
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.waiting import eventually


class Collector(ThreadingHTTPServer):
    """`spans`: what has come; `raw`: the same as bytes."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.spans: list[Any] = []
        self.raw = b""

    def names(self) -> list[str]:
        return sorted(one.name for one in self.spans)


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        body = gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body
        self.server.raw += body
        request = ExportTraceServiceRequest.FromString(body)
        self.server.spans += [span for some in request.resource_spans for scope in some.scope_spans for span in scope.spans]
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def collector():
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_job_is_one_trace_from_submit_to_store(place, collector):
    place.env["MARKETFETCH_METRICS__TRACES_URL"] = f"http://127.0.0.1:{collector.server_address[1]}/v1/traces"
    place.env["MARKETFETCH_PROVIDERS__POLYGON__PAGE_LIMIT"] = "150"
    place.worker(concurrency=2)
    job = place.fetch("polygon", "AAPL", "MSFT", start="2024-01-02", end="2024-01-31")
    assert job["state"] == "done"
    eventually(lambda: len(collector.spans) >= 5, what=lambda: f"every span has come: {collector.names()}")
    assert collector.names() == ["fetch", "fetch", "store", "store", "submit"]
    (root,) = (one for one in collector.spans if one.name == "submit")
    assert not root.parent_span_id
    others = [one for one in collector.spans if one is not root]
    assert {one.trace_id for one in collector.spans} == {root.trace_id}
    assert {one.parent_span_id for one in others} == {root.span_id}
    assert len({one.span_id for one in collector.spans}) == 5
    assert all(one.end_time_unix_nano >= one.start_time_unix_nano > 0 for one in collector.spans)
    attributes = {one.key: one.value for one in others[0].attributes}
    assert attributes["marketfetch.provider"].string_value == "polygon"
    assert b"S3CR3T" not in collector.raw
    # The further pages of a request have records and messages of their own, and are in the trace of their job all the same.
    collector.spans.clear()
    pages = place.fetch("polygon", "AAPL", start="2024-02-01", end="2024-02-02", timespan="1m")["requests"]["total"]
    assert pages > 2
    eventually(lambda: len(collector.spans) >= 2 * pages + 1, what=lambda: f"every span has come: {collector.names()}")
    assert collector.names() == ["fetch"] * pages + ["store"] * pages + ["submit"]
    assert len({one.trace_id for one in collector.spans}) == 1
    assert collector.spans[0].trace_id != root.trace_id
    named = [one for span in collector.spans for one in span.attributes if one.key == "marketfetch.request"]
    assert len({one.value.string_value for one in named}) == pages
    assert place.rows("SELECT count(*) FROM ledger WHERE page > 0")[0][0] > 1
