"""A call is made over a network that is cut, is given up, and the network comes back: does the vendor see it then?

The kernel goes on sending what was written to a connection, also after the program has closed it. Such a call would arrive long
after its lease has ended, and be one over a limit. Prints the calls that the vendor has seen, of two that were made: one before
the cut, one within it. `python -m chaos.late_call --inside`, only inside of `chaos.machines.APART`.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from pydantic import SecretStr

from chaos.installation import pause
from chaos.machines import SERVERS, Machines
from marketfetch.vendors import transport
from marketfetch.vendors.errors import Unavailable
from marketfetch.vendors.http import HttpRequest, KeyPlace

_MACHINE: Final = "machine-1"
_TIMES: Final = transport.Timeouts(connect_s=5, read_s=0.5, total_s=5)
#: The kernel sends again after 0.2, 0.4, 0.8 and 1.6 s: what is to come late comes within this time.
_LATE_S: Final = 4.0


class _Vendor(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    seen: Final[list[str]] = []

    def do_GET(self) -> None:
        self.seen.append(self.path)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Quiet."""


def _vendor() -> None:
    """The machine of the vendor: cuts the network when the client says so, and joins it when the call is given up."""
    machines, server = Machines(_MACHINE), ThreadingHTTPServer((SERVERS, 0), _Vendor)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    client = subprocess.Popen(
        [*machines.on(_MACHINE), sys.executable, "-m", "chaos.late_call", f"http://{SERVERS}:{server.server_port}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with client:
        assert client.stdin is not None
        assert client.stdout is not None
        if client.stdout.readline() != "connected\n":
            raise RuntimeError("the first call did not arrive")
        machines.cut_off(_MACHINE)
        client.stdin.write("cut\n")
        client.stdin.flush()
        if client.stdout.readline() != "given up\n":
            raise RuntimeError("the second call was not given up")
        machines.join(_MACHINE)
        pause(_LATE_S)
        client.stdin.close()
    print(len(_Vendor.seen))


def _client(url: str) -> None:
    """The machine of the worker. It lives on after the call: the end of a process is no end of what the kernel sends."""
    _call(url)
    print("connected", flush=True)
    sys.stdin.readline()
    try:
        _call(url)
    except Unavailable:
        print("given up", flush=True)
    sys.stdin.readline()


def _call(url: str) -> None:
    request = HttpRequest("/v1/x", (), KeyPlace("query", "apikey"))
    transport.send(request, base_url=url, provider="acme", key_label="main", key=SecretStr("secret"), timeouts=_TIMES)


if __name__ == "__main__":
    _vendor() if sys.argv[1] == "--inside" else _client(sys.argv[1])
