"""What nearly every test of the gate does: parks requests and asks for admission."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from marketfetch.quotas import Gate, KeyLimits, Parking, key_limits

#: A zone whose midnight is hours away: no test that counts the calls of a day runs into it. (Etc/GMT-5 is five hours east.)
NOON = f"Etc/GMT{datetime.now(UTC).hour - 12:+}"
#: A key without limits.
FREE = key_limits("main", ())


def busy_s(gate: Gate) -> float:
    """Seconds of CPU that the server has spent on commands so far: what others wait for, on a quiet machine."""
    used = gate.redis.info("cpu")
    return float(used["used_cpu_user_main_thread"] + used["used_cpu_sys_main_thread"])


def park(gate: Gate, *ids: str, job: str = "job", **options: Any):
    """Parks requests with these ids, each for a symbol of its name."""
    return gate.park([Parking(id=one, arguments=json.dumps({"symbol": one})) for one in ids], job=job, **options)


def admit(gate: Gate, *keys: KeyLimits, room: int = 100, most_granted: int = 10_000, **options: Any):
    """Asks for as many grants as there are, with a key without limits unless others are named."""
    return gate.admit(room=room, most_granted=most_granted, keys=keys or (FREE,), **options)
