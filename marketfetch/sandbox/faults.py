"""Faults on demand: selects the calls that fail, and the kind of failure."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args

from marketfetch.sandbox.accounts import VENDORS
from marketfetch.sandbox.echoes import PLACES
from marketfetch.sandbox.misbehaviour import CASES
from marketfetch.sandbox.odd_replies import WAYS as ODD_WAYS
from marketfetch.sandbox.verdicts import WAYS as VERDICT_WAYS

# fmt: off
Kind = Literal[
    "500", "503", "hang", "reset", "truncate", "cut_json", "html", "429", "bad_rows", "results_null",
    "misbehave", "pages", "echo_key", "odd", "verdict",
]
# fmt: on
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
#: What is wrong with the next page that a reply names (marketfetch/sandbox/page_faults.py).
PAGE_WAYS: Final = ("circle", "same rows", "empty", "huge cursor")
#: The field that a fault of this kind must have, and its values.
_CHOICES: Final = {
    "pages": ("way", PAGE_WAYS),
    "echo_key": ("stage", PLACES),
    "odd": ("way", ODD_WAYS),
    "verdict": ("way", VERDICT_WAYS),
}


@dataclass(slots=True)
class Fault:
    """Applies to calls of `provider`, `symbol` and `key` (None: any): the next `count`, or each with probability `rate`.

    `retry_after` is the Retry-After header of 503 and 429 in seconds, None for none. `stage` and `way` say where and how a
    fault of the kind "misbehave" goes wrong on the wire (marketfetch/sandbox/misbehaviour.py has the table); `way` alone says
    where the next page of a fault of the kind "pages" leads; of "echo_key", `stage` is the place where the caller's key is
    repeated (marketfetch/sandbox/echoes.py); of "odd", `way` is what is hostile in it (marketfetch/sandbox/odd_replies.py);
    of "verdict", `way` is what is said of the key, or of nothing (marketfetch/sandbox/verdicts.py).
    """

    kind: Kind
    provider: str | None = None
    symbol: str | None = None
    count: int | None = None
    rate: float | None = None
    retry_after: float | None = None
    stage: str | None = None
    way: str | None = None
    key: str | None = None
    struck: int = 0

    @classmethod
    def parse(cls, wish: dict[str, Any]) -> Fault:
        """Builds a fault from JSON. Raises ValueError with the reason."""
        known = [name for name in cls.__dataclass_fields__ if name != "struck"]
        if strange := sorted(set(wish) - set(known)):
            raise ValueError(f"unknown field {strange[0]!r} of a fault: one of {', '.join(known)}")
        if wish.get("kind") not in KINDS:
            raise ValueError(f"unknown kind of fault {wish.get('kind')!r}: one of {', '.join(KINDS)}")
        if wish.get("provider") not in (None, *VENDORS):
            raise ValueError(f"unknown provider {wish['provider']!r}: one of {', '.join(VENDORS)}")
        if wish["kind"] == "misbehave" and (wish.get("stage"), wish.get("way")) not in CASES:
            known_cases = "; ".join(f"{stage}: {way}" for stage, way in CASES)
            raise ValueError(f"a fault of the kind misbehave has a stage and a way, one of: {known_cases}")
        field, choices = _CHOICES.get(wish["kind"], ("", ()))
        if field and wish.get(field) not in choices:
            raise ValueError(f"a fault of the kind {wish['kind']} has a {field}, one of: {', '.join(choices)}")
        fault = cls(**wish)
        if fault.count is None and fault.rate is None:
            fault.count = 1
        return fault

    def report(self) -> dict[str, Any]:
        """The fault as JSON, with its remaining count."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(slots=True)
class Faults:
    """The pending faults in the order of their requests; the first that matches a call applies."""

    draw: random.Random
    waiting: list[Fault] = field(default_factory=list)

    def strike(self, provider: str, symbol: str, key: str = "") -> Fault | None:
        """The fault for this call, if any; the call uses up one of a counted fault."""
        for fault in self.waiting:
            if fault.provider not in (None, provider) or fault.key not in (None, key) or not _meant(fault.symbol, symbol):
                continue
            if fault.rate is not None and self.draw.random() >= fault.rate:
                continue
            if fault.count is not None:
                if fault.count <= 0:
                    continue
                fault.count -= 1
            fault.struck += 1
            return fault
        return None


def _meant(wanted: str | None, asked: str) -> bool:
    return wanted is None or wanted == asked or wanted in asked.split(",")
