"""The sandbox as a child process, with a client for its control endpoint."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Final, Self

import requests

from marketfetch.local.private_files import private
from marketfetch.local.valkey_server import ServerError

START_SECONDS: Final = 20.0
_CALL_SECONDS: Final = 10.0


@dataclass(slots=True)
class Control:
    """A client of `/_sandbox/...`. Raises ServerError with the sandbox's message if it refuses a call."""

    url: str
    session: requests.Session = field(default_factory=requests.Session)

    def faults(self, *wishes: Mapping[str, Any], **wish: Any) -> list[dict[str, Any]]:
        """Adds faults, as objects or one by keywords, and returns all pending ones. Without arguments it adds none."""
        wanted = [*map(dict, wishes), *([wish] if wish else [])]
        return list((self._call("POST", "faults", wanted) if wanted else self._call("GET", "faults"))["faults"])

    def clear_faults(self) -> None:
        self._call("DELETE", "faults")

    def keys(self, provider: str, key: str = "*", **settings: Any) -> list[dict[str, Any]]:
        """Sets a key's account (`marketfetch/sandbox/accounts.py`); "*" stands for every key without an account of its own."""
        return list(self._call("POST", "keys", {"provider": provider, "key": key, **settings})["keys"])

    def log(self, *, full: bool = False) -> dict[str, Any]:
        """Returns the judge's report; `full` adds each call's arrival time."""
        return self._call("GET", f"log?full={int(full)}")

    def reset(self, *, keys: bool = False) -> None:
        """Clears the log and the faults; with `keys` the keys' accounts too."""
        self._call("POST", "reset", {"keys": keys})

    def health(self) -> dict[str, Any]:
        return self._call("GET", "health")

    def _call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        reply = self.session.request(method, f"{self.url}/_sandbox/{path}", json=body, timeout=_CALL_SECONDS)
        found: dict[str, Any] = reply.json()
        if reply.status_code != 200:
            raise ServerError(f"the sandbox refused {path}: {found.get('error', reply.status_code)}")
        return found


@dataclass(slots=True)
class Sandbox:
    """A running sandbox. It ends with stop(), at the end of the context, and with its parent process."""

    process: subprocess.Popen[bytes]
    url: str
    control: Control
    #: vendor -> the base URL for the settings
    base_urls: Mapping[str, str]

    @property
    def pid(self) -> int:
        return self.process.pid

    def stop(self) -> None:
        """SIGTERM, then SIGKILL after 5 s. Safe to call twice."""
        self.control.session.close()
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def start_sandbox(
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    seed: int = 1,
    today: date | None = None,
    limits: Mapping[str, Mapping[str, Any]] | None = None,
    refuse: tuple[str, ...] = (),
    delay_in_ms: tuple[float, float] = (0.0, 0.0),
    delay_out_ms: tuple[float, float] = (0.0, 0.0),
    port_file: Path | None = None,
    log: Path | None = None,
) -> Sandbox:
    """Runs `python -m marketfetch.sandbox` as a child; returns when it listens. Its stderr goes to `log`, or to this process's.

    The child is a session leader, so Ctrl-C reaches only the caller, which stops it. Raises ServerError.
    """
    options = {"--host": host, "--port": str(port), "--seed": str(seed), "--limits": json.dumps(limits or {})}
    options |= {"--delay-in": _range(delay_in_ms), "--delay-out": _range(delay_out_ms)}
    if today:
        options["--today"] = today.isoformat()
    if port_file:
        options["--port-file"] = str(port_file)
    words = [word for option in options.items() for word in option]
    words += [word for key in refuse for word in ("--refuse", key)]
    with contextlib.ExitStack() as closing:
        errors = closing.enter_context(open(log, "ab", opener=private)) if log else None
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-m", "marketfetch.sandbox", "--with-parent", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
            cwd=Path(__file__).parents[2],
        )
    url = _first_line(process)
    if not url:
        process.kill()
        code = process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe:
                pipe.close()
        raise ServerError(f"the sandbox did not start (exit code {code}): its last output is above, or in {log}")
    control = Control(url)
    return Sandbox(process, url, control, control.health()["base_urls"])


def _first_line(process: subprocess.Popen[bytes]) -> str:
    deadline, line = time.monotonic() + START_SECONDS, b""
    assert process.stdout is not None
    descriptor = process.stdout.fileno()
    while not line.endswith(b"\n") and (left := deadline - time.monotonic()) > 0:
        ready, _, _ = select.select([descriptor], [], [], left)
        piece = os.read(descriptor, 4096) if ready else b""
        if not piece:
            return ""
        line += piece
    return line.decode().strip()


def _range(delay_ms: tuple[float, float]) -> str:
    return f"{delay_ms[0]}-{delay_ms[1]}"
