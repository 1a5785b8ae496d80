"""The results of a run: plain values, for the report and for its JSON. The field names are the JSON's."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from chaos.audit import AuditResult


@dataclass(slots=True)
class Calls:
    """The vendors' own counts."""

    calls: int = 0
    violations: int = 0
    forced: int = 0
    cut: int = 0
    statuses: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Phase:
    """The first phase. Seconds count from the moment at which all workers were ready."""

    requests: int
    over: int = 0
    took_s: float = 0.0
    last_blow_s: float = 0.0
    remaining: dict[str, int] = field(default_factory=dict)
    needed_s: float = 0.0
    recovered_s: float = 0.0
    blows: dict[str, int] = field(default_factory=dict)
    calls: Calls = field(default_factory=Calls)
    #: Keys and messages that were left over when the phase had ended.
    left: dict[str, list[str]] = field(default_factory=dict)
    #: Messages that killed workers had received: the broker redelivers them after the visibility timeout, and they are no-ops.
    unacked: int = 0
    #: Poison messages in the dead-letter list.
    dead: int = 0


@dataclass(slots=True)
class Emptied:
    """The second phase."""

    requests: int
    over_before: int = 0
    over: int = 0
    again: int = 0
    violations: int = 0
    took_s: float = 0.0


@dataclass(slots=True)
class Results:
    """All results of a run."""

    seed: int
    limits: dict[str, Any]
    chaos: Phase
    emptied: Emptied
    books: AuditResult
    left: dict[str, list[str]]
    own_ends: list[int]
    log: dict[str, int]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)
