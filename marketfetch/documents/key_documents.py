"""The documents of keys: what each has used, when it opens, and whether the gates make progress."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast

from typing_extensions import TypedDict

if TYPE_CHECKING:
    from marketfetch.ops.key_status import KeyLine
    from marketfetch.quotas.values import Events, Health


class UseOfLimit(TypedDict):
    """A limit of a key: how many calls count now, how many it allows, and the ms until it allows one more (-1: at the end of
    an open call)."""

    text: str
    used: int
    allowed: int
    resets_ms: int
    free_for_ms: int


class KeyState(TypedDict):
    """A key, by its label: limits, open calls, pause with its reason, whether it is set aside, what is parked for it, and whose
    jobs alone it serves (`owners`, empty for those without an owner)."""

    provider: str
    parked: int
    owners: list[str]
    label: str
    limits: list[UseOfLimit]
    open_calls: int
    paused_ms: int
    paused_why: str
    aside_why: str
    opens_ms: int | None
    open_for_ms: int
    suspected_why: str
    refusals: int
    unknown_sentences: int
    last_sentence: str


class Quotas(TypedDict):
    """Every configured key; per vendor the event counters of its gate, and why nothing of it is granted."""

    keys: list[KeyState]
    events: dict[str, dict[str, int]]
    unserved: dict[str, str]


class PoolHealth(TypedDict):
    """Whether a vendor's gate makes progress: for how long none was admitted that could have been, how many wait."""

    pool: str
    ok: bool
    stuck_ms: int
    waiting: int
    unstarted: int


class QuotasHealth(TypedDict):
    """`ok` if every pool is."""

    ok: bool
    pools: list[PoolHealth]


def quotas_document(lines: Sequence[KeyLine], events: Mapping[str, Events], unserved: Mapping[str, str]) -> Quotas:
    return {
        "keys": [key_state(one) for one in lines],
        "events": {provider: asdict(one) for provider, one in events.items()},
        "unserved": dict(unserved),
    }


def key_state(one: KeyLine) -> KeyState:
    key: dict[str, Any] = {name: value for name, value in asdict(one.key).items() if name != "counted_ms"}
    return cast("KeyState", {"provider": one.provider, "parked": one.parked, "owners": list(one.owners), **key})


def health_document(found: Sequence[Health]) -> QuotasHealth:
    return {"ok": all(one.ok for one in found), "pools": [cast("PoolHealth", asdict(one)) for one in found]}
