"""What is left of a run in Redis, and what the vendors counted."""

from __future__ import annotations

import re
import time
from collections import Counter
from typing import Final

import psycopg
from redis.exceptions import RedisError

from chaos.installation import Installation, pause
from chaos.results import Calls
from chaos.workload import PROVIDERS

#: Kinds of replies that force another call.
_FORCING: Final = ("500", "503", "reset", "truncate", "html", "hang", "misbehave")
#: Redis keys that outlive all requests.
_REMEMBERED: Final = re.compile(
    r"mf:\{\w+\}:(tags|counts|epoch|over|secrets|(key|done|early|day):.*)|mf:(releaser:.*|releasers|shows:.*|trouble:.*|sweeping|metrics|dead)"
)


def wait_for_quiet(installation: Installation) -> None:
    """Waits until Redis holds no request: the gate settles after the ledger, and a cut call's lease runs to its end."""
    deadline = time.monotonic() + 45
    while time.monotonic() < deadline:
        installation.tend()
        try:
            if not any(left_over(installation).values()):
                return
        except RedisError:
            pass
        pause(0.5)


def left_over(installation: Installation) -> dict[str, list[str]]:
    """The requests and messages left in Redis, except a killed worker's messages, which stay unacked for an hour.

    A request that has crashed a worker and then failed keeps its raw reply for an operator: that is none of them.
    """
    failed = _failed(installation)
    with installation.redis() as redis:
        ours = {key.decode(errors="replace") for key in redis.scan_iter(match="mf:*", count=1000)}
        for name in PROVIDERS:
            kept = [one.decode() for one in redis.lrange(f"mf:{{{name}}}:raws", 0, -1)]
            ours -= {f"mf:{{{name}}}:raw:{one}" for one in kept if one in failed}
            if failed.issuperset(kept):
                ours.discard(f"mf:{{{name}}}:raws")
        queues = ("fetch.alpha_vantage", "fetch.polygon", "fetch.nasdaq", "store", "celery")
        waiting = [f"{name}: {length}" for name in queues if (length := redis.llen(name))]
    return {"keys of the gate": [key for key in sorted(ours) if not _REMEMBERED.fullmatch(key)], "messages": waiting}


def _failed(installation: Installation) -> set[str]:
    try:
        return {str(one[0]) for one in installation.rows("SELECT request_id FROM ledger WHERE outcome = 'failed'")}
    except psycopg.OperationalError:
        return set()


def vendor_calls(installation: Installation) -> Calls:
    report = installation.vendors.control.log()
    statuses, cut = Counter[str](), 0
    for keys in report["providers"].values():
        for one in keys.values():
            statuses.update(one["statuses"])
            cut += one["cut"]
    forced = sum(statuses[kind] for kind in _FORCING)
    return Calls(report["calls"], report["violations"], forced, cut, dict(sorted(statuses.items())))
