"""Mutated bytes on the wire: a real server on loopback sends them, and what the transport makes of them is read as ever.

Status lines, headers, chunk sizes, gzip, trailers, lengths and ends of connections go wrong, alone and together.
"""

from __future__ import annotations

import gzip
import random
import re
import socket
import struct
import threading
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from pydantic import SecretStr

from marketfetch.schemas.request import Request
from marketfetch.vendors import names, transport
from marketfetch.vendors.errors import FetchError
from marketfetch.vendors.http import HttpRequest, KeyPlace
from tests.vendors import fuzz
from tests.vendors.fuzz import MOST_S, SECRET, Found, Seed
from tests.waiting import PATIENCE

#: Short, as many cases end with a vendor that says nothing more.
CALL: Final = transport.Timeouts(connect_s=2.0, read_s=0.15, total_s=0.5, max_bytes=4_000_000)
#: Most of the time a case waits for the other side.
_THREADS: Final = 12

_STATUS_LINES: Final = (
    *(b"HTTP/1.1 200 OK", b"HTTP/1.0 200 OK", b"HTTP/1.1 200", b"HTTP/1.1 \xb2\xb3\xb9 OK", b"HTTP/1.1 -200 OK"),
    *(b"HTTP/1.1 99999999999 OK", b"HTTP/1.1 100 Continue", b"HTTP/1.1 101 Other", b"HTTP/1.1 204 None", b"HTTP/1.1 304 Same"),
    *(b"HTTP/1.1 301 Moved", b"HTTP/1.1 302 Found", b"HTTP/1.1 429 Slow", b"HTTP/1.1 500 Sorry", b"HTTP/1.1 999 What"),
    *(b"", b"\x00\x01\x02", b"HTTP/1.1 200 " + b"x" * 70_000, b"\x16\x03\x01\x02\x00", b"<html>", b"HTTP/1.1  200 OK"),
    *(b"HTTP/1.1\t200", b"ICY 200 OK", b"HTTP/9.9 200 OK"),
)  # fmt: skip
_LENGTHS: Final = (
    *(b"0", b"1", b"-1", b"\xb2", b"9" * 5_000, b"1e3", b"0x10", b"+5", b"5, 5", b"5, 6", b" ", b"", b"18446744073709551616"),
    *(b"1_000", b"\xd9\xa3", b"00000000000000000005", b"5\r\n 5", b"nan"),
)
_HEADERS: Final = (
    *(b"Content-Encoding: gzip", b"Content-Encoding: br", b"Content-Encoding: gzip, gzip", b"Transfer-Encoding: chunked"),
    *(b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: \xff", b"Content-Type: \xff\x00", b"Content-Type: text/html"),
    *(b"Location: http://[::1", b"Location: //\xb2", b"Location: http://h:99999999/", b"Location: \x1b[31m", b"Location:"),
    *(b"Location: http://x/" + SECRET.encode(), b"X: " + SECRET.encode(), b"Cursor_ID: " + SECRET.encode()),
    *(b"Retry-After: \xb2", b"Retry-After: " + b"9" * 5_000, b"Connection: close", b"Connection: keep-alive, upgrade"),
    *(b"Set-Cookie: a=b; Domain=\xff", b"no colon at all", b": no name", b" folded", b"\x00: \x00"),
    *(b"X: " + b"x" * 70_000, b"\r\n".join(b"X-%d: 1" % n for n in range(150)), b"X: \r\n\tfolded", b"X:\rY: \n"),
    *(b"Cursor_ID: " + b"c" * 9_000, b"Date: x", b"X-RateLimit-Limit: " + b"9" * 5_000),
)
_CHUNK_SIZES: Final = (
    *(b"0", b"-1", b"g", b"", b"f" * 5_000, b"0x5", b"+5", b" 5", b"5 ", b"5;" + b"e" * 70_000, b"ffffffffffffffff", b"\xb2"),
    *(b"1_0", b"5\n", b"5\r", b"\x00", b"00000000005", b"7fffffff"),
)
_ENDS: Final = (*("close",) * 9, *("keep",) * 8, "reset", *("hold",) * 2)
_TOKEN: Final = re.compile(r"([0-9]{1,9})-([0-9]{1,10})")


@dataclass(frozen=True)
class Case:
    """`pieces` are sent one after the other, then the connection ends as `end` says."""

    pieces: tuple[bytes, ...]
    end: str


def case_of(number: int, seed: int, pool: list[Seed]) -> Case:
    """The same for the same number and seed."""
    chance = random.Random(f"{seed}/wire/{number}")
    one = chance.choice(pool)
    head, body = _framed(one, number, fuzz.mutated(one.body, chance) if chance.random() < 0.2 else one.body, chance)
    newline = chance.choice((b"\r\n",) * 18 + (b"\n", b"\r"))
    whole = newline.join(head) + newline * 2 + body
    if chance.random() < 0.1:
        whole = b"HTTP/1.1 100 Continue\r\n\r\n" * chance.choice((1, 3, 200)) + whole
    if chance.random() < 0.25:
        mutated = chance.randint(1, min(len(whole), 600))
        whole = fuzz.mutated(whole[:mutated], chance) + whole[mutated:]
    if chance.random() < 0.1:
        whole = whole[: chance.randrange(len(whole) + 1)]
    if chance.random() < 0.05:
        whole += chance.choice((b"x", b"\r\n", b"\r\n".join(head) + b"\r\n\r\n" + body, _second(number)))
    cut = chance.randrange(len(whole) + 1)
    pieces = (whole,) if chance.random() < 0.7 else (whole[:cut], whole[cut:])
    return Case(pieces, chance.choice(_ENDS))


def _framed(one: Seed, number: int, body: bytes, chance: random.Random) -> tuple[list[bytes], bytes]:
    """The lines of the head, and the body as they say that it is sent, or as good as."""
    lines = [
        chance.choice(_STATUS_LINES) if chance.random() < 0.15 else f"HTTP/1.1 {one.status} Fine".encode(),
        b"X-Case: " + _token(number),
    ]
    if chance.random() < 0.4:
        lines.append(b"Content-Encoding: gzip")
        body = _packed(body, chance)
    if chance.random() < 0.4:
        lines.append(b"Transfer-Encoding: chunked")
        body = _in_chunks(body, chance)
    elif chance.random() < 0.9:
        true = str(len(body) + chance.choice((0,) * 18 + (1, -1))).encode()
        lines.append(b"Content-Length: " + (chance.choice(_LENGTHS) if chance.random() < 0.15 else true))
    for _ in range(chance.choice((0, 0, 0, 1, 2))):
        lines.insert(chance.randint(1, len(lines)), chance.choice(_HEADERS))
    return lines, body


def _token(number: int) -> bytes:
    return f"{number}-{zlib.crc32(str(number).encode())}".encode()


def _second(number: int) -> bytes:
    """A reply behind the reply. Its number tells when another case gets it."""
    return b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Case: " + _token(number) + b"\r\n\r\n{}"


@lru_cache(maxsize=1)
def _bomb() -> bytes:
    """Unpacks to more than a reply may have here."""
    return gzip.compress(bytes(2 * CALL.max_bytes), compresslevel=1)


def _packed(body: bytes, chance: random.Random) -> bytes:
    if chance.random() < 0.02:
        return _bomb()
    packed = gzip.compress(body, compresslevel=1)
    step = chance.randrange(8)
    at = chance.randrange(len(packed) + 1)
    if step == 0:
        return packed[:at]
    if step == 1:
        return packed[:at] + bytes([chance.randrange(256)]) + packed[at + 1 :]
    if step == 2:
        return packed + chance.choice((packed, b"junk", b"\x1f\x8b", bytes(1_000)))
    return packed


def _in_chunks(body: bytes, chance: random.Random) -> bytes:
    found: list[bytes] = []
    while body:
        size = min(len(body), chance.choice((1, 100, 5_000, 70_000)) if len(found) < 40 else len(body))
        said = chance.choice(_CHUNK_SIZES) if chance.random() < 0.02 else f"{size + (chance.random() < 0.01):x}".encode()
        found.append(said + b"\r\n" + body[:size] + (b"" if chance.random() < 0.01 else b"\r\n"))
        body = body[size:]
    last = chance.choice(
        (b"0\r\n\r\n",) * 9 + (b"", b"0\r\n", b"0\r\nX: y\r\n\r\n", b"0\r\n" + chance.choice(_HEADERS) + b"\r\n\r\n")
    )
    return b"".join(found) + last


class WireServer:
    """Sends the case that the path names, on as many connections as there are."""

    def __init__(self, make: Callable[[int], Case]) -> None:
        self._make = make
        self._ending = threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0), backlog=128)
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.getsockname()[1]}"

    def close(self) -> None:
        self._ending.set()
        self._server.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                connection.settimeout(5)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while asked := _asked(connection):
                case = self._make(asked)
                for piece in case.pieces:
                    connection.sendall(piece)
                if case.end == "reset":
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                if case.end == "hold":
                    while connection.recv(4_096):  # until the client leaves
                        pass
                if case.end != "keep":
                    return


def _asked(connection: socket.socket) -> int:
    """The number in the path of the next request, 0 when there is none."""
    head = b""
    while b"\r\n\r\n" not in head:
        piece = connection.recv(65_536)
        if not piece:
            return 0
        head += piece
    return int(head.split(b" ", 2)[1].partition(b"?")[0].rpartition(b"/")[2])


def seed_of(number: int, seed: int, pool: list[Seed]) -> Seed:
    """The recording that this case is made of, without making it."""
    return random.Random(f"{seed}/wire/{number}").choice(pool)


def one_case(number: int, one: Seed, url: str, questions: dict[str, list[Request]], seed: int) -> tuple[list[str], float]:
    """Calls and reads; returns what `fuzz.problems` yields, and the seconds that it took."""
    provider, began = one.provider, time.perf_counter()
    try:
        reply = transport.send(
            HttpRequest(f"/w/{number}", (("symbol", "IBM"),), KeyPlace("header", "X-Key")),
            base_url=url, provider=provider, key_label="main", key=SecretStr(SECRET), timeouts=CALL,
        )  # fmt: skip
    except FetchError as error:
        border = re.search(r"the reply could not be read \((\w+)\)", error.message)
        seen = [f"= {type(error).__name__} of the call{f' at the last border ({border[1]})' if border else ''}"]
        seen += fuzz.harm("the message", error.message, 1_000)
    except Exception as error:
        seen = [f"{type(error).__name__} from the call: {str(error)[:200]}"]
    else:
        token = _TOKEN.fullmatch(reply.headers.get("x-case", ""))
        if token and int(token[2]) == zlib.crc32(token[1].encode()) and int(token[1]) != number:
            return [f"the reply of case {token[1]}"], time.perf_counter() - began
        chance = random.Random(f"{seed}/question/{number}")
        seen = list(fuzz.problems(chance.choice(questions[provider]), reply))
    return seen, time.perf_counter() - began


def run(count: int, seed: int, *, report: Callable[[int], None] = lambda _: None) -> Found:
    """Makes `count` calls. The same seed gives the same bytes; what a reset destroys of them varies."""
    found, pool = Found(), fuzz.seeds(20_000)
    questions = {provider: fuzz.requests(provider) for provider in names()}
    server = WireServer(lambda number: case_of(number, seed, pool))
    lock = threading.Lock()

    def some(first: int) -> None:
        for number in range(first, count + 1, _THREADS):
            one = seed_of(number, seed, pool)
            try:
                seen, took_s = one_case(number, one, server.url, questions, seed)
            except Exception as error:
                seen, took_s = [f"{type(error).__name__}: {str(error)[:200]}"], 0.0
            if took_s > CALL.total_s + MOST_S * PATIENCE:
                seen.append(f"took {took_s:.1f} s")
            with lock:
                found.add(seen, f"{seed}/wire/{number} {one.provider}/{one.name}", one.provider, took_s)
                report(sum(found.outcomes.values()))

    try:
        with ThreadPoolExecutor(_THREADS) as threads:
            list(threads.map(some, range(1, _THREADS + 1)))
    finally:
        server.close()
        transport.close_sessions()
    return found
