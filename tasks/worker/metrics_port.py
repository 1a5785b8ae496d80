"""The port on which a worker shows the metrics of the whole installation, where the settings name one (`[metrics] port`).

One server for all of a worker's children: Redis has what they count. It needs no Celery and calls no vendor, so a worker
fetches on whatever happens here.
"""

from __future__ import annotations

import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import structlog
from celery import bootsteps

from marketfetch.extras import MissingExtra, need
from marketfetch.ops.metrics_page import MEDIA_TYPE, MetricsPage
from marketfetch.settings import get_settings

from ..hardening.fork_with_locks import ForkGuard

log = structlog.get_logger("marketfetch.metrics")

#: Between two attempts to open a port that another process has.
AGAIN_S: Final = 15.0
#: A client that sends nothing for so long is cut.
_CLIENT_S: Final = 10.0
_guard: Final = ForkGuard()


class MetricsPort(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery is untyped
    """Opens the port with the worker and closes it with it."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: Any, **kwargs: Any) -> None:
        super().__init__(worker, **kwargs)
        self._server: PortThread | None = None

    def start(self, worker: Any) -> None:  # noqa: ARG002 (Celery's signature)
        settings = get_settings().metrics
        if settings.port is None:
            return
        try:
            need("prometheus_client", for_what=f"The port of metrics ({settings.port})")
        except MissingExtra as error:
            log.error("no metrics are shown", error=str(error), next_step="the worker fetches all the same")
            return
        self._server = PortThread(settings.host, settings.port)
        self._server.start()

    def stop(self, worker: Any) -> None:  # noqa: ARG002
        if self._server:
            self._server.stop()

    terminate = stop


class PortThread(threading.Thread):
    """Serves until it is stopped; tries again and again where the port is in use, such as by another worker of this machine."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(name="metrics", daemon=True)
        self._address = (host, port)
        self._ending = threading.Event()
        self._server: ThreadingHTTPServer | None = None
        #: How often the port was in use.
        self._tried = 0
        os.register_at_fork(after_in_child=self._close_in_child)
        import prometheus_client  # noqa: F401 (in the main thread: a child that is forked during an import would hang)

    def run(self) -> None:
        host, port = self._address
        while not self._ending.is_set():
            try:
                server = _Server(self._address, _handler(MetricsPage()))
            except OSError as error:
                if not self._tried:
                    log.warning(
                        "metrics are not shown here",
                        address=f"{host}:{port}",
                        error=error.strerror or str(error),
                        next_step=f"tries again every {AGAIN_S:g} s; the worker that has this port shows the metrics of all",
                    )
                self._tried += 1
                self._ending.wait(AGAIN_S)
                continue
            log.info("metrics are shown", address=f"http://{host}:{port}/metrics")
            with server:
                self._server = server
                while not self._ending.is_set():
                    server.handle_request()  # returns after `timeout` without one

    def stop(self) -> None:
        self._ending.set()
        self.join(timeout=5)

    def _close_in_child(self) -> None:
        """A child that outlives its worker would keep the port from the next one."""
        if self._server:
            self._server.socket.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    timeout = 0.5

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 (the library's signature)
        log.info("a scrape failed", client=str(client_address), exc_info=True)


def _handler(page: MetricsPage) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = _CLIENT_S
        server_version, sys_version = "marketfetch", ""

        def do_GET(self) -> None:
            if self.path.partition("?")[0] != "/metrics":
                self.send_error(404, "the metrics are at /metrics")
                return
            with _guard:
                text = page.text()
            self.send_response(200)
            self.send_header("Content-Type", MEDIA_TYPE)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None:
            """A scrape each few seconds is no line of the log."""

    return Handler
