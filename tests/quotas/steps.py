"""What nearly every test of the gate does: parks requests and asks for admission."""

from __future__ import annotations

import json
from typing import Any

from marketfetch.quotas import Gate, KeyLimits, Parking, key_limits

#: A key without limits.
FREE = key_limits("main", ())


def park(gate: Gate, *ids: str, job: str = "job", **options: Any):
    """Parks requests with these ids, each for a symbol of its name."""
    return gate.park([Parking(id=one, arguments=json.dumps({"symbol": one})) for one in ids], job=job, **options)


def admit(gate: Gate, *keys: KeyLimits, room: int = 100, most_granted: int = 10_000, **options: Any):
    """Asks for as many grants as there are, with a key without limits unless others are named."""
    return gate.admit(room=room, most_granted=most_granted, keys=keys or (FREE,), **options)
