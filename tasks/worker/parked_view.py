"""What is parked, as Celery's tools show a task: name, arguments, and the moment at which it is expected to run.

Celery's tools know what a worker holds, and a parked request is in none. One list is bounded: its first 1,000, each with its
position in its vendor's lane, or in the lane of its owner, and the length of that lane.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from kombu.utils.json import loads

from marketfetch import connections, vendors
from marketfetch.configured import keys
from marketfetch.quotas import Gate, lane_view
from marketfetch.quotas.estimates import Timetable
from marketfetch.quotas.lane_view import TASK, ParkedRequest
from marketfetch.quotas.lanes import lane_of_id, serving
from marketfetch.quotas.reporting import report

from ..sending.messages import job_task_id
from ..sending.parking import FETCH_PREFIX

MOST_SHOWN: Final = 1_000
#: A longer message is shown by the words that Celery has made of its arguments.
_LONGEST: Final = 4_096
_MOST_WORDS: Final = 300
#: The id of a job's message, or of its request: root, page, fence.
_OF_A_JOB: Final = re.compile(r"((?:[0-9a-f]{16}~)?[0-9a-f]{20})(?:[-/]([0-9]+))?(?:\.[0-9]+)?")


@dataclass(frozen=True, slots=True)
class ParkedTask:
    """A parked request with the id that its message will have. `lane`: how many may run of its lane, which is its owner's."""

    id: str
    provider: str
    args: Any
    kwargs: Any
    expected_ms: int
    lane: int
    request: ParkedRequest

    @property
    def expected(self) -> str:
        return _iso(self.expected_ms)

    @property
    def symbol(self) -> str:
        named = self.kwargs.get("symbol", "") if isinstance(self.kwargs, dict) else ""
        return str(self.args[0] if isinstance(self.args, list) and self.args else named or self.args)[:_MOST_WORDS]

    def info(self) -> dict[str, Any]:
        """The fields of Celery's own tasks, and `parked`. No worker has it: `hostname` and `worker_pid` are None."""
        one, kwargs = self.request, self.kwargs if isinstance(self.kwargs, dict) else {}
        queue = {"exchange": "", "routing_key": f"fetch.{self.provider}", "priority": one.priority, "redelivered": False}
        return {
            "id": self.id,
            "name": f"{FETCH_PREFIX}{self.provider}",
            "args": self.args,
            "kwargs": self.kwargs,
            "type": f"{FETCH_PREFIX}{self.provider}",
            "hostname": None,
            "time_start": None,
            "acknowledged": False,
            "delivery_info": queue,
            "worker_pid": None,
            "parked": {
                "symbol": self.symbol,
                "start": kwargs.get("start"),
                "end": kwargs.get("end"),
                "expected": self.expected,
                "not_before": _iso(one.not_before_ms) if one.not_before_ms else None,
                "position": one.position,
                "of": self.lane,
                "request": one.id,
                "for": one.owner,
            },
        }


def first(most: int = MOST_SHOWN) -> list[ParkedTask]:
    """The parked requests that are expected first, of all vendors. Costs a few round trips per vendor. Raises RedisError."""
    found = [one for name in vendors.names() for one in _shown(connections.gate(name), None, most)]
    return sorted(found, key=lambda one: one.expected_ms)[:most]


def find(task_id: str) -> ParkedTask | None:
    """The parked or granted request of a task, of a job's message, or of this id. Raises RedisError."""
    for name in vendors.names():
        gate = connections.gate(name)
        of_job = _OF_A_JOB.fullmatch(task_id)
        request_id = gate.request_of(task_id) or (of_job and of_job[1] + (f"/{of_job[2]}" if of_job[2] else ""))
        if request_id and (one := lane_view.find(gate, request_id)):
            (shown,) = _shown(gate, [one], 1)
            return shown
    return None


def _shown(gate: Gate, those: Sequence[ParkedRequest] | None, most: int) -> list[ParkedTask]:
    those = lane_view.first(gate, most) if those is None else those
    if not those:
        return []
    limits, now_ms, found = keys(gate.pool), gate.now_us() // 1000, []
    reports = report(gate, limits)
    lanes = {name: Timetable(serving(limits, name), reports) for name in {lane_of_id(one.id) for one in those}}
    parked = lane_view.lengths(gate, list(lanes))
    for one in those:
        lane = lane_of_id(one.id)
        turn_ms = now_ms + int(1000 * (lanes[lane].seconds(max(1, one.position)) or 0.0))
        args, kwargs = _asked(one)
        found.append(ParkedTask(_task_id(one), gate.pool, args, kwargs, max(turn_ms, one.not_before_ms), parked[lane], one))
    return found


def _task_id(one: ParkedRequest) -> str:
    if one.owner.startswith(TASK):
        return one.owner.removeprefix(TASK).partition("\x1f")[0]  # what follows tells tasks with one id apart: see park.lua
    return job_task_id(one.id, one.fence + (one.state == "parked"))


def _asked(one: ParkedRequest) -> tuple[Any, Any]:
    """The task's arguments. A task that could not be planned has them in its message alone."""
    try:
        if one.message:
            kept = loads(one.message)
            if len(one.message) <= _LONGEST:
                return kept["body"][0], kept["body"][1]
            headers = kept["headers"]
            return str(headers.get("argsrepr", ""))[:_MOST_WORDS], str(headers.get("kwargsrepr", ""))[:_MOST_WORDS]
        arguments = json.loads(one.arguments)
        return [arguments.pop("symbol")], arguments
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        return one.arguments[:_MOST_WORDS], {}


def _iso(unix_ms: int) -> str:
    try:
        return datetime.fromtimestamp(unix_ms // 1000, UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        return "after the year 9999"
