"""Raises at each line between grant and finish, in one process: `python -m tests.flow.each_line once|always PART PARTS`.

Gate, database, broker and vendor are real; this process is releaser, child and storing child in turn, so that each step can be
looked at. Prints one JSON document: per way of a request and per line what was wrong, and what it ended as. The lines are dealt
out to PARTS runs.
"""

from __future__ import annotations

import json
import sys
from base64 import b64decode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Final, NoReturn, cast

import structlog
from celery.app.trace import build_tracer
from celery.result import AsyncResult
from kombu.utils.json import loads

from marketfetch import connections
from marketfetch.configured import keys
from marketfetch.local.sandbox_process import Control
from marketfetch.quotas import Parking
from marketfetch.schemas.request import Request
from marketfetch.settings import get_settings
from marketfetch.vendors import transport
from marketfetch.vendors.errors import BadCredentials
from marketfetch.vendors.wire import SendTooLate
from tasks import attempt, fetch
from tasks.app import app
from tasks.sending.messages import FetchMessage, job_message
from tasks.store import store_batch

#: The functions whose lines raise; of attempt.py every one.
OF_FETCH: Final = ("granted", "not_ours_to_send", "ended_before", "asked_for")
DAYS: Final = {"start": "2024-01-02", "end": "2024-01-05", "adjustment": "raw"}
SEND: Final = transport.send
Line = tuple[str, int]


class Failpoint(RuntimeError):
    """What is raised."""


def lines_of(frame: FrameType) -> bool:
    code = frame.f_code
    return code.co_filename == attempt.__file__ or (code.co_filename == fetch.__file__ and code.co_name in OF_FETCH)


@dataclass
class Tracer:
    """Notes the lines that run, and raises at one of them."""

    target: Line | None = None
    seen: list[Line] = field(default_factory=list)
    raised: int = 0

    def __enter__(self) -> None:
        sys.settrace(self.called)

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def called(self, frame: FrameType, event: str, _: Any) -> Any:
        return self.line if event == "call" and lines_of(frame) else None

    def line(self, frame: FrameType, event: str, _: Any) -> Any:
        if event == "line":
            at = (frame.f_code.co_filename.rpartition("/")[2], frame.f_lineno)
            self.seen.append(at)
            if at == self.target:
                self.raised += 1
                raise Failpoint(f"at line {at}")
        return self.line


class Flow:
    """One request: parked, delivered, stored, with nothing else in the gate."""

    def __init__(self, control: Control) -> None:
        self.control, self.number = control, 0
        self.gate, self.redis = connections.gate("polygon"), connections.redis()
        self.tracers = {name: build_tracer(task.name, task, app=app) for name, task in self.tasks().items()}

    @staticmethod
    def tasks() -> dict[str, Any]:
        return {one.name: one for one in (*fetch.TASKS.values(), store_batch)}

    def job(self, symbol: str = "AAPL", **more: str) -> str:
        self.number += 1
        request = Request.model_validate(
            {"provider": "polygon", "symbol": symbol, "generation": f"{self.number}", **DAYS, **more}
        )
        self.gate.park([Parking(id=request.id, arguments=request.arguments)], job="J")
        return request.id

    def task(self, **more: Any) -> str:
        """A task of a user, in a generation of its own."""
        options = more.pop("options", {})
        return str(fetch.TASKS["polygon"].apply_async(("AAPL",), {**DAYS, "again": True, **more}, **options).id)

    def due(self) -> None:
        """Time passes: what waits may go on."""
        self.gate.resume("main")
        for place in ("delayed", "held"):
            for id_ in self.redis.zrange(f"{self.gate.prefix}{place}", 0, -1):
                self.redis.zadd(f"{self.gate.prefix}{place}", {cast(bytes, id_): 0})

    def deliver(self, tracer: Tracer) -> int:
        """Everything that the gate grants now, to a child. How many."""
        grants = self.gate.admit(room=9, most_granted=9, keys=keys("polygon")).grants
        for grant in grants:
            built = FetchMessage.kept(loads(grant.message), grant) if grant.message else job_message(app, "polygon", grant)
            with tracer:
                self.run(built.headers, json.loads(b64decode(built.body)) if isinstance(built.body, str) else built.body)
        return len(grants)

    def run(self, headers: dict[str, Any], body: Any) -> None:
        args, kwargs, embed = body
        request = {**headers, **embed, "delivery_info": {}, "args": args, "kwargs": kwargs}
        self.tracers[headers["task"]](headers["id"], tuple(args), kwargs, request)

    def store(self) -> None:
        """What the broker has for the storing child."""
        while message := self.redis.lpop("store"):
            one = json.loads(cast(bytes, message))
            self.run(one["headers"], json.loads(b64decode(one["body"])))

    def held_by_a_call(self) -> list[str]:
        """Grants, leases and open calls: none may be left once a delivery is over."""
        prefix = self.gate.prefix
        places = [name for name in ("granted", "running") if self.redis.zcard(f"{prefix}{name}")]
        return places + [one.decode() for one in self.redis.scan_iter(f"{prefix}open:*")]

    def used(self) -> int:
        (day,) = list(self.redis.scan_iter(f"{self.gate.prefix}day:*"))[:1] or [b""]
        return int(self.redis.get(day) or 0) if day else 0

    def to_its_end(self, tracer: Tracer, *, always: bool) -> list[str]:
        """What is wrong. Delivers and stores until nothing is left, raising at the first delivery or at each."""
        wrong: list[str] = []
        for _ in range(25):
            self.due()
            self.deliver(tracer if always or not tracer.raised else Tracer())
            wrong += [f"held after a delivery: {one}" for one in self.held_by_a_call()]
            self.store()
            if not self.redis.exists(
                *(f"{self.gate.prefix}{one}" for one in ("ready", "delayed", "held", "granted", "running"))
            ):
                break
        else:
            wrong.append("does not end")
        left = [one.decode() for one in self.redis.scan_iter(f"{self.gate.prefix}*") if b":req:" in one or b":batch:" in one]
        return wrong + [f"left: {one}" for one in left]


@dataclass
class Way:
    """A way of a request: how it is made, and the faults that meet it."""

    make: Callable[[Flow], list[str]]
    faults: tuple[dict[str, Any], ...] = ()
    tasks: bool = False
    #: What the first call raises instead of being sent.
    instead: Callable[[], Exception] | None = None


def known_before(flow: Flow) -> list[str]:
    """A task for what the ledger has."""
    flow.number += 1
    one = flow.task(again=False, end=f"2024-02-{1 + flow.number % 28:02}", start=f"20{10 + flow.number % 13}-01-02")
    flow.to_its_end(Tracer(), always=False)
    flow.number -= 1
    more = {
        "again": False,
        "end": f"2024-02-{1 + (flow.number + 1) % 28:02}",
        "start": f"20{10 + (flow.number + 1) % 13}-01-02",
    }
    flow.number += 1
    return [one, flow.task(**more)]


def two_for_the_same(flow: Flow) -> list[str]:
    flow.number += 1
    more = {"again": False, "end": f"2023-03-{1 + flow.number % 28:02}", "start": f"20{10 + flow.number % 13}-02-02"}
    return [flow.task(**more), flow.task(**more)]


WAYS: Final = {
    "stored": Way(lambda flow: [flow.job()]),
    "stored for a task": Way(lambda flow: [flow.task()], tasks=True),
    "known before": Way(known_before, tasks=True),
    "two for the same": Way(two_for_the_same, tasks=True),
    "with an eta": Way(lambda flow: [flow.task(options={"countdown": 3600})], tasks=True),
    "refused": Way(lambda flow: [flow.job()], ({"kind": "429", "retry_after": 1},)),
    "error 500": Way(lambda flow: [flow.job()], ({"kind": "500"},)),
    "error 500 for good": Way(lambda flow: [flow.task()], ({"kind": "500", "count": 30},), tasks=True),
    "unknown symbol": Way(lambda flow: [flow.job("NOSUCHX")]),
    "checked": Way(lambda flow: [flow.job("ZZZZ", end="2024-02-29")]),
    "damaged": Way(lambda flow: [flow.job()], ({"kind": "cut_json"},)),
    "empty": Way(lambda flow: [flow.job(start="2024-01-06", end="2024-01-07")]),
    "too late to send": Way(lambda flow: [flow.job()], instead=SendTooLate),
    "key refused": Way(lambda flow: [flow.job()], instead=lambda: BadCredentials("the key is unknown")),
}


def outcomes(made: list[str], way: Way) -> list[str]:
    if way.tasks:
        return [AsyncResult(one, app=app).state for one in made]
    found = connections.store().outcomes(made)
    return [found[one].outcome if one in found else "LOST" for one in made]


def ways(flow: Flow, *, always: bool, part: int, parts: int) -> Iterator[dict[str, Any]]:
    done: dict[tuple[bool, Line], int] = {}
    for name, way in WAYS.items():
        first = Tracer()
        begin(flow, way)
        made = way.make(flow)
        wrong = flow.to_its_end(first, always=True)
        yield {"way": name, "line": None, "wrong": wrong, "outcomes": outcomes(made, way)}
        for line in dict.fromkeys(first.seen):
            # Counted also where another run has the line, so that each run deals in the same way.
            if (way.tasks, line) in done or done.setdefault((way.tasks, line), len(done)) % parts != part:
                continue
            begin(flow, way)
            made, used = way.make(flow), flow.used()
            calls = flow.control.log()["calls"]
            tracer = Tracer(target=line)
            wrong = flow.to_its_end(tracer, always=always)
            counted, sent = flow.used() - used, flow.control.log()["calls"] - calls
            if not sent <= counted <= sent + 1:
                wrong.append(f"{counted} calls are counted, {sent} were sent")
            yield {"way": name, "line": line, "raised": tracer.raised, "wrong": wrong, "outcomes": outcomes(made, way)}


def first_raises(error: Exception) -> NoReturn:
    transport.send = SEND
    raise error


def begin(flow: Flow, way: Way) -> None:
    flow.redis.delete("store")
    flow.control.clear_faults()
    transport.send = SEND
    if instead := way.instead:
        transport.send = lambda *_, **__: first_raises(instead())
    for one in way.faults:
        flow.control.faults(**{"provider": "polygon", "count": 1, **one})


def main() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    base = get_settings().provider("polygon").base_url
    flow = Flow(Control(str(base).rstrip("/")))
    when, part, parts = sys.argv[1:]
    print(json.dumps(list(ways(flow, always=when == "always", part=int(part), parts=int(parts)))))


if __name__ == "__main__":
    main()
