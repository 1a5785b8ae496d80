"""What is live, as the latest event of each job and key: a client that was away, or is slow, gets what has changed since.

There is no queue per client. Each holds the number of the last event that it got, so a slow one costs no memory, and misses the
states between two events of a job, never the last one.
"""

from __future__ import annotations

import json
import math
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

#: What an event is about: `job` and its id, `key` with vendor and label, `service`.
Subject = tuple[str, str]
#: Jobs that are kept; further ones that have not changed for longest are forgotten, except those that the last look has found:
#: a forgotten one that is found again would be an event each time.
MOST_KEPT: Final = 2_000


@dataclass(frozen=True, slots=True)
class Item:
    """A document, and what of it makes an event when it changes: that a second has passed is none."""

    document: Mapping[str, Any]
    mark: str


@dataclass(frozen=True, slots=True)
class _Event:
    number: int
    mark: str
    frame: bytes


class LatestEvents:
    """The latest event of each subject, in the order of their changes."""

    def __init__(self) -> None:
        self.epoch = secrets.token_hex(4)
        self.number = 0
        self._latest: dict[Subject, _Event] = {}

    def merge(self, found: Mapping[Subject, Item]) -> bool:
        """Takes what is now; True if something has changed."""
        before = self.number
        for subject, item in found.items():
            known = self._latest.get(subject)
            if known is not None and known.mark == item.mark:
                continue
            self.number += 1
            self._latest.pop(subject, None)  # a changed one goes to the end
            self._latest[subject] = _Event(self.number, item.mark, self._frame(subject[0], item.document))
        if (over := len(self._latest) - MOST_KEPT) > 0:
            for subject in [one for one in self._latest if one not in found][:over]:
                del self._latest[subject]
        return self.number > before

    def since(self, number: int, wanted: Callable[[Subject], bool]) -> bytes:
        """The events behind `number` of wanted subjects, as text of an event stream."""
        frames = []
        for subject, event in reversed(self._latest.items()):
            if event.number <= number:
                break
            if wanted(subject):
                frames.append(event.frame)
        return b"".join(reversed(frames))

    def number_of(self, event_id: str) -> int:
        """The number of an event's id; 0, which is before every event, for an id of another server, or of none."""
        epoch, _, number = event_id.partition("-")
        if epoch != self.epoch or not (number.isascii() and number.isdigit() and len(number) <= 18):
            return 0
        return min(int(number), self.number)

    def _frame(self, kind: str, document: Mapping[str, Any]) -> bytes:
        # JSON has no line break, which would end the data.
        return f"id: {self.epoch}-{self.number}\nevent: {kind}\ndata: {json.dumps(document)}\n\n".encode()


def job_item(document: Mapping[str, Any]) -> Item:
    """A line of the list of jobs. Its times count down by themselves: they make an event when they are a fifth shorter."""
    call = document.get("next_call") or {}
    steady = {name: value for name, value in document.items() if name not in ("eta_seconds", "rate_per_minute", "next_call")}
    steady |= {"eta": _about(document.get("eta_seconds")), "rate": _about(document.get("rate_per_minute"))}
    return Item(
        document, json.dumps([steady, _about(call.get("seconds")), call.get("key"), call.get("why"), call.get("limit")])
    )


def key_item(document: Mapping[str, Any]) -> Item:
    """A key. Its milliseconds count down by themselves."""
    steady = {name: _about(value) if name.endswith("_ms") else value for name, value in document.items() if name != "limits"}
    steady.pop("open_for_ms", None)
    limits = [[one["text"], one["used"], one["allowed"]] for one in document["limits"]]
    return Item(document, json.dumps([steady, limits]))


def plain_item(document: Mapping[str, Any]) -> Item:
    return Item(document, json.dumps(document))


def _about(value: float | None) -> int | None:
    """The same for times that differ by less than a fifth."""
    return None if value is None else round(5 * math.log1p(max(0.0, value)))
