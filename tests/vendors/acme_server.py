"""Acme's API on a loopback port, with a judge: it refuses, and remembers, every call that is over a key's limit."""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

KEYS = ("SECRET-ONE", "SECRET-TWO")
#: As in acme_prices: 5 calls of a key in any 2 seconds.
MOST, WINDOW_S = 5, 2.0


@dataclass
class Acme:
    """What the server has seen: arrival times per key, and how many calls were over the limit."""

    url: str = ""
    calls: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    over: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def total(self) -> int:
        return sum(map(len, self.calls.values()))

    def has_seen(self, calls: int) -> bool:
        return self.total >= calls

    def admits(self, key: str) -> bool:
        with self.lock:
            now = time.monotonic()
            late = [one for one in self.calls[key] if now - one < WINDOW_S]
            self.calls[key].append(now)
            self.over += len(late) >= MOST
            return len(late) < MOST


def bars(start: date, end: date) -> list[dict[str, object]]:
    days = [start + timedelta(days=n) for n in range((end - start).days + 1)]
    return [
        {"day": day.isoformat(), "open": 10.5, "high": 11.0, "low": 10.0, "close": 10.75, "volume": 1000}
        for day in days
        if day.weekday() < 5
    ]


@contextmanager
def serving():
    acme = Acme()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            url, key = urlsplit(self.path), self.headers.get("X-Acme-Key", "")
            if key not in KEYS:
                return self.answer(401, {"error": "unknown key"})
            if not acme.admits(key):
                return self.answer(429, {"error": "too fast"})
            asked = {name: values[0] for name, values in parse_qs(url.query).items()}
            if url.path.endswith("/NOPE"):
                return self.answer(404, {"error": "no such symbol"})
            threading.Event().wait(0.05)
            found = bars(date.fromisoformat(asked["from"]), date.fromisoformat(asked["to"]))
            return self.answer(200, {"bars": found})

        def answer(self, status: int, body: object) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    acme.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield acme
    finally:
        server.shutdown()
        server.server_close()
        thread.join(300)
