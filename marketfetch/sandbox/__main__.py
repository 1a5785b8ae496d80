"""`python -m marketfetch.sandbox`: the three vendors on one port, until SIGTERM, SIGINT, or the end of its parent."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import random
import signal
import socket
import sys
from datetime import date, datetime
from pathlib import Path

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets

from marketfetch.sandbox.faults import Faults
from marketfetch.sandbox.market import Market
from marketfetch.sandbox.server import application
from marketfetch.sandbox.service import Service
from marketfetch.sandbox.sessions import NEW_YORK
from marketfetch.sandbox.state import State


def main(arguments: list[str] | None = None) -> int:
    """Parses options, serves, and returns the exit code."""
    options = _options(arguments)
    state = State(
        service=Service(Market(options.seed, options.today)),
        faults=Faults(random.Random(f"faults {options.seed}")),  # noqa: S311 - repeatable on purpose
        draw=random.Random(f"delays {options.seed}"),  # noqa: S311
        delay_in_ms=options.delay_in,
        delay_out_ms=options.delay_out,
    )
    try:
        for key in options.refuse:
            for vendor in ("alpha_vantage", "polygon", "nasdaq"):
                state.service.put_account({"provider": vendor, "key": key, "refused": True})
        for vendor, keys in options.limits.items():
            for key, wish in keys.items():
                wish = {"limits": wish} if isinstance(wish, list) else wish
                state.service.put_account({"provider": vendor, "key": key, **wish})
    except (ValueError, TypeError, AttributeError) as problem:
        print(f"sandbox: --limits: {problem}", file=sys.stderr)  # noqa: T201
        return 2
    # Replies to disconnected clients need no log line.
    logging.getLogger("tornado.access").setLevel(logging.ERROR)
    try:
        sockets = bind_sockets(options.port, options.host, backlog=1024)
    except OSError as problem:
        print(f"sandbox: can't listen on {options.host}:{options.port}: {problem}", file=sys.stderr)  # noqa: T201
        return 1
    url = f"http://{options.host}:{sockets[0].getsockname()[1]}"
    asyncio.run(_serve(state, sockets, url, options))
    return 0


async def _serve(state: State, sockets: list[socket.socket], url: str, options: argparse.Namespace) -> None:
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, over.set)
    server = HTTPServer(application(state), idle_connection_timeout=600)
    server.add_sockets(sockets)
    if options.port_file:
        draft = options.port_file.with_suffix(".draft")
        draft.write_text(url + "\n")
        draft.replace(options.port_file)
    if options.with_parent:
        # The parent holds the other end of our stdin: when it dies, for any reason, stdin ends.
        loop.add_reader(sys.stdin.fileno(), _read_end, over)
    print(url, flush=True)  # noqa: T201
    await over.wait()
    server.stop()
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(server.close_all_connections(), 2)
    if options.port_file:
        options.port_file.unlink(missing_ok=True)


def _read_end(over: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 4096):
        over.set()


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox", description="Alpha Vantage, Polygon and Nasdaq Data Link, simulated."
    )
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=0, help="0 picks a free port (default)")
    parser.add_argument("--limits", type=_json, default={}, help='{"polygon": {"*": ["5/minute"]}}; a key may be an object')
    parser.add_argument("--refuse", action="append", default=[], metavar="KEY", help="a key that no vendor knows (repeatable)")
    parser.add_argument("--delay-in", type=_range, default=(0.0, 0.0), metavar="A-B", help="ms on the way in, uniform")
    parser.add_argument("--delay-out", type=_range, default=(0.0, 0.0), metavar="A-B", help="ms on the way out, uniform")
    parser.add_argument("--seed", type=int, default=1, help="another seed is another market (default: 1)")
    parser.add_argument("--today", type=date.fromisoformat, default=None, help="the last day with bars (default: today)")
    parser.add_argument("--port-file", type=Path, default=None, help="a file to write the URL to")
    parser.add_argument("--with-parent", action="store_true", help="end when stdin ends")
    options = parser.parse_args(arguments)
    options.today = options.today or datetime.now(NEW_YORK).date()
    return options


def _range(text: str) -> tuple[float, float]:
    low, _, high = text.partition("-")
    try:
        found = float(low), float(high or low)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a range of milliseconds: write 20-120") from None
    if not 0 <= found[0] <= found[1]:
        raise argparse.ArgumentTypeError(f"{text!r} is not a range from low to high")
    return found


def _json(text: str) -> dict[str, dict[str, object]]:
    try:
        found = json.loads(text)
    except ValueError as problem:
        raise argparse.ArgumentTypeError(f"not JSON: {problem}") from None
    if not isinstance(found, dict) or not all(isinstance(keys, dict) for keys in found.values()):
        raise argparse.ArgumentTypeError('write {"polygon": {"*": ["5/minute"]}}')
    return found


if __name__ == "__main__":
    sys.exit(main())
