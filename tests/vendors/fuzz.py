"""Mutated bodies and headers for every vendor: whatever comes, a Page or an error of the tree comes out, within two seconds."""

from __future__ import annotations

import csv
import json
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

from marketfetch.schemas.page import Page
from marketfetch.schemas.request import Request
from marketfetch.vendors import names, reading, vendor
from marketfetch.vendors.errors import FetchError, PlanError
from marketfetch.vendors.harmless import LONGEST_CURSOR
from marketfetch.vendors.http import HttpReply
from marketfetch.vendors.reply_parsing import calls_counted

RECORDINGS: Final = Path(__file__).parent.parent / "recordings"
SECRET: Final = "Zq9X+pW/7=&k%3Tmv"
MOST_S: Final = 2.0
_NOW: Final = datetime(2026, 11, 20, 12, tzinfo=UTC)

#: Pieces of bytes that parsers have failed on.
_BYTES: Final = (
    *(b"NaN", b"Infinity", b"-1e400", b"9" * 5_000, b"-", b"\xc2\xb2", b"\\ud800", b'"\\ud800"', b"\x00", b"\x1b]0;x\x07"),
    *(
        b"http://[::1",
        b"//evil.test",
        b"..",
        b"null",
        b"{}",
        b"[]",
        b"true",
        b'""',
        b",",
        b"}",
        b"]",
        b'"',
        b"\\",
        b"\n",
        b"\r",
    ),
    *(b"[" * 2_000, b'{"a":' * 1_500, b"\xff", b"\xef\xbb\xbf", b"9999-12-31", b"0001-01-01", b"a" * 20_000, SECRET.encode()),
)
#: Values in the place of a value of the JSON.
_VALUES: Final[tuple[Any, ...]] = (
    *(
        None,
        True,
        False,
        0,
        -1,
        10**30,
        10**400,
        -(2**63),
        1e308,
        float("nan"),
        float("inf"),
        "",
        "x",
        "²",
        "٣",
        "1_000",
        "NaN",
    ),
    *(
        [],
        {},
        [[]],
        {"a": {}},
        "9" * 5_000,
        "\ud800",
        "\x1b[31m\r\n",
        "\u202eabc",
        "http://[::1",
        "http://x/y?apiKey=1",
        "/a" * 9_000,
    ),
    *(
        f"https://vendor.test/x?token={SECRET}&cursor=1",
        SECRET,
        "9999-12-31",
        "0001-01-01 00:00:00",
        "Asia/Tokyo",
        "../..",
        1.5,
    ),
)
_HEADERS: Final = {
    "retry-after": ("5", "²", "9" * 5_000, "1e400", "-3", "Fri, 31 Dec 9999 23:59:59 GMT",
                    "Fri, 31 Dec 9999 23:59:59 -1200", "x", "\ud800"),
    "date": ("Sun, 22 Nov 2026 10:00:00 GMT", "Mon, 01 Jan 0001 00:00:00 +1400", "", "x" * 5_000, "1 1 1 1 1 1 1"),
    "content-type": ("text/html", "application/json", "\x00", "text/csv; charset=²"),
    "x-ratelimit-limit": ("5", "9" * 5_000, "²", "-1"),
    "x-ratelimit-remaining": ("5", "9" * 5_000, "²", "-1"),
    "cursor_id": ("abc", "\x1b", "c" * 10_000, "null", SECRET, "²"),
}  # fmt: skip
_STATUSES: Final = (200, 200, 200, 200, 202, 400, 401, 403, 404, 410, 413, 418, 429, 500, 503)


@dataclass
class Found:
    """What the mutated replies came to; `failures` says what was wrong, with the seed of the case."""

    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    slowest_s: float = 0.0
    slowest: str = ""

    def add(self, seen: list[str], case: str, provider: str, took_s: float) -> None:
        """Counts one case: what `problems` yields of it, and how long it took."""
        if took_s > self.slowest_s:
            self.slowest_s, self.slowest = took_s, case
        for line in seen:
            if line.startswith("= "):
                self.outcomes[f"{provider} {line[2:]}"] += 1
            else:
                self.failures.append(f"{case}: {line}")


@dataclass(frozen=True)
class Seed:
    provider: str
    name: str
    body: bytes
    status: int


def seeds(most_bytes: int = 60_000) -> list[Seed]:
    """The recordings; the long ones only by their first rows, which hold all that is special about them."""
    with (RECORDINGS / "MANIFEST.tsv").open() as lines:
        manifest = {line["file"]: line["what"] for line in csv.DictReader(lines, delimiter="\t")}
    found = []
    for provider in names():
        for path in sorted((RECORDINGS / provider).glob("*")):
            status = re.search(r"HTTP (\d{3})", manifest.get(f"{provider}/{path.name}", ""))
            body = path.read_bytes()
            if len(body) <= most_bytes or path.suffix != ".csv":
                found.append(Seed(provider, path.name, body, int(status[1]) if status else 200))
    return found


def requests(provider: str) -> list[Request]:
    """The question of a saved reply, and questions with a range, of every dataset."""
    datasets = [one.name for one in vendor(provider).datasets] + ["bars"]
    days = {"start": date(2024, 1, 1), "end": date(2026, 11, 20)}
    return [
        Request.model_validate({"provider": provider, "dataset": name, "symbol": symbol, **more})
        for name in datasets
        for symbol in ("AAPL", "IBM", "EUR/USD")
        for more in ({}, {}, days, {**days, "cursor": "/v3/x?cursor=1", "page": 1}, {**days, "timespan": "1m"})
    ]


def mutated(body: bytes, chance: random.Random) -> bytes:
    """The body with one to four mutations of its bytes, or of the values of its JSON."""
    if chance.random() < 0.5:
        try:
            document = json.loads(body)
        except ValueError:
            pass
        else:
            for _ in range(chance.randint(1, 4)):
                document = _with_odd_value(document, chance)
            try:
                return json.dumps(document).encode()
            except (ValueError, RecursionError):
                return body
    for _ in range(chance.randint(1, 4)):
        at, to = sorted(chance.randrange(len(body) + 1) for _ in range(2))
        piece = chance.choice(_BYTES)
        step = chance.randrange(5)
        if step == 0:
            body = body[:at] + piece + body[at:]
        elif step == 1:
            body = body[:at] + piece + body[min(len(body), at + len(piece)) :]
        elif step == 2:
            body = body[:at] + body[to:]
        elif step == 3:
            body = body[:to] + body[at:]
        else:
            body = body[:at] + bytes([chance.randrange(256)]) + body[at + 1 :]
    return body


def _with_odd_value(document: Any, chance: random.Random) -> Any:
    """One value of the document is another one; a container may be replaced too, or lose or repeat a part."""
    place: Any = document
    parent: Any = None
    key: Any = None
    while isinstance(place, dict | list) and place and (parent is None or chance.random() < 0.8):
        parent = place
        key = chance.choice(list(place)) if isinstance(place, dict) else chance.randrange(len(place))
        place = place[key]
    if parent is None:
        return chance.choice(_VALUES)
    if isinstance(parent, dict) and chance.random() < 0.2:
        parent[str(chance.choice(_VALUES[:12]))] = parent.pop(key)
    else:
        parent[key] = chance.choice(_VALUES)
    return document


def problems(request: Request, reply: HttpReply) -> Iterator[str]:
    """Reads the reply as a worker does; yields what is wrong, and the outcome as "= name"."""
    ours = vendor(request.provider)
    options = ours.options(base_url="http://vendor.test")
    calls_counted(reply.headers)
    try:
        page = reading.read(request, reply, options, max_reject_share=0.2, secrets=(SECRET,), now=_NOW)
    except PlanError:
        yield "= PlanError"
        return
    except FetchError as error:
        border = re.search(r"the response could not be read \((\w+)\)", error.message)
        yield f"= {type(error).__name__}{f' at the last border ({border[1]})' if border else ''}"
        yield from harm("the message", error.message, 1_000)
        wait_ms = getattr(error, "retry_after_ms", None)
        if not (wait_ms is None or (isinstance(wait_ms, int) and 0 < wait_ms < 2**53)):
            yield f"a wait of {wait_ms!r}"
        if (held := getattr(error, "page", None)) is not None:
            yield from _harm_in_page(held)
        return
    yield "= rows" if page.rows else "= no rows"
    yield from _harm_in_page(page)
    if page.next is not None:
        yield from harm("the cursor", page.next, LONGEST_CURSOR)
        try:
            ours.build_request(request.next_page(page.next), options)
        except PlanError:
            yield "= PlanError of the next page"


def _harm_in_page(page: Page) -> Iterator[str]:
    for one in page.rejects:
        for text in (one.field, one.value, one.reason, one.symbol):
            yield from harm("a reject", text, 300)
    for quirk in page.quirks:
        yield from harm("a quirk", quirk.name, 100)
    for series in page.series:
        yield from harm("a symbol", series.symbol, 200, secret=False)


def harm(what: str, text: str, most: int, *, secret: bool = True) -> Iterator[str]:
    if not text.isprintable() or len(text) > most:
        yield f"{what} is not harmless: {text[:100]!r}"
    if secret and SECRET in text:
        yield f"{what} holds the key"


def run(count: int, seed: int, *, report: Callable[[int], None] = lambda _: None) -> Found:
    """Reads `count` mutated replies. The same seed gives the same replies."""
    found, pool = Found(), seeds()
    questions = {provider: requests(provider) for provider in names()}
    for number in range(count):
        chance = random.Random(f"{seed}/{number}")
        one = chance.choice(pool)
        headers = {name: chance.choice(values) for name, values in _HEADERS.items() if chance.random() < 0.2}
        status = one.status if chance.random() < 0.7 else chance.choice(_STATUSES)
        reply = HttpReply(status, headers, mutated(one.body, chance))
        request = chance.choice(questions[one.provider])
        began = time.thread_time()
        try:
            seen = list(problems(request, reply))
        except Exception as error:
            seen = [f"{type(error).__name__}: {str(error)[:200]}"]
        took_s = time.thread_time() - began
        if took_s > MOST_S:
            seen.append(f"took {took_s:.1f} s")
        found.add(seen, f"{seed}/{number} {one.provider}/{one.name} for {request.dataset}", one.provider, took_s)
        report(number)
    return found
