"""What has happened that the targets of `[[notify]]` want to know: jobs that are over, refused keys, stale series.

Each event is recorded once, in one transaction with the condition that it reports; marketfetch/ops/notifying.py sends it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from marketfetch import vendors
from marketfetch.configured import keys
from marketfetch.jobs.job_ends import JobEnd, end_of
from marketfetch.notify_sections import Notify
from marketfetch.ops import freshness_look
from marketfetch.phrases import counted
from marketfetch.quotas import Gate, reporting
from marketfetch.redaction import redact
from marketfetch.settings import get_settings
from marketfetch.storage.notifications import Notification, Notifications
from marketfetch.storage.store import Job, Store

if TYPE_CHECKING:
    from redis import Redis

#: The end of a job is reported for so long: no sweeper has run for longer, or the target is new.
_LOOKED_BACK_MS: Final = 14 * 86_400_000
_JOBS_AT_ONCE: Final = 200
#: The kind under which is kept since when a target is known.
_KNOWN: Final = "target"


def record(store: Store, redis: Redis, *, now_ms: int) -> int:
    """Records each event that has happened since the last look; returns how many. Raises StoreError, RedisError."""
    recorded, targets = Notifications(store), get_settings().notify
    known = _known(recorded, targets, now_ms)
    return sum(
        (
            _jobs(store, recorded, _wanting(targets, "job over"), known, now_ms),
            _keys(redis, recorded, _wanting(targets, "key refused"), now_ms),
            _stale(redis, recorded, _wanting(targets, "stale"), now_ms),
        )
    )


def event(kind: str, data: dict[str, Any], targets: Sequence[str], *, now_ms: int) -> list[Notification]:
    """An event as it is sent to each target: a JSON object with `type`, `timestamp` and `data`, without any secret."""
    at = datetime.fromtimestamp(now_ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    secrets = get_settings().secrets()
    clean = {name: redact(value, secrets) if isinstance(value, str) else value for name, value in data.items()}
    body = json.dumps({"type": kind, "timestamp": at, "data": clean}, ensure_ascii=False)
    event_id = f"evt_{uuid4().hex}"
    return [Notification(event_id, target, kind, body, now_ms) for target in targets]


def _wanting(targets: Sequence[Notify], kind: str) -> list[str]:
    return [one.name for one in targets if kind in one.events]


def _known(recorded: Notifications, targets: Sequence[Notify], now_ms: int) -> dict[str, int]:
    """Since when each target is known: a new one gets no event of before."""
    known = recorded.in_force(_KNOWN)
    for one in targets:
        if one.name not in known and recorded.begin(_KNOWN, one.name, "", at_ms=now_ms):
            known[one.name] = now_ms
    return known


def _jobs(store: Store, recorded: Notifications, targets: Sequence[str], known: dict[str, int], now_ms: int) -> int:
    since_ms = max(now_ms - _LOOKED_BACK_MS, min((known.get(one, now_ms) for one in targets), default=now_ms))
    found = 0
    for job_id, ended_ms in recorded.ended_jobs(since_ms=since_ms, limit=_JOBS_AT_ONCE) if targets else ():
        job = store.job(job_id)
        end = end_of(store, job) if job else None
        if job is None or end is None:
            continue  # requests of a cancelled job run on
        told = [one for one in targets if known.get(one, now_ms) <= ended_ms]
        of_event = event("job over", _of_job(job, end), told, now_ms=now_ms)
        event_id = of_event[0].id if of_event else ""
        found += recorded.begin("job over", f"{job_id} {ended_ms}", event_id, at_ms=now_ms, of_event=of_event)
    return found


def _of_job(job: Job, end: JobEnd) -> dict[str, Any]:
    name = f"{job.name} ({job.id})" if job.name else job.id
    counts = end.counts
    sentence = f"Job {name} is {end.outcome}: {counted(counts.rows, 'row')} of {counted(counts.total, 'request')}"
    sentence += f", {counts.failed:,} failed" if counts.failed else ""
    more = {"owner": job.owner, "name": job.name, "tags": list(job.tags)}
    return {"sentence": f"{sentence}.", **end.model_dump(mode="json"), **more}


def _keys(redis: Redis, recorded: Notifications, targets: Sequence[str], now_ms: int) -> int:
    refused = dict(_refused(redis)) if targets else {}
    for subject in recorded.in_force("key refused").keys() - refused.keys():
        recorded.end("key refused", subject)
    return sum(_begin(recorded, "key refused", subject, data, targets, now_ms) for subject, data in refused.items())


def _refused(redis: Redis) -> Iterator[tuple[str, dict[str, Any]]]:
    for provider in vendors.names():
        for key in reporting.report(Gate(redis, pool=provider), keys(provider)) if keys(provider) else ():
            if key.aside_why:
                why = key.aside_why.rstrip(".")
                sentence = f"{provider} has refused the key {key.label}, which makes no more calls: {why}."
                yield (
                    f"{provider} {key.label}",
                    {"sentence": sentence, "provider": provider, "key": key.label, "why": key.aside_why},
                )


def _stale(redis: Redis, recorded: Notifications, targets: Sequence[str], now_ms: int) -> int:
    look = freshness_look.latest(redis) if targets else None
    found, least = 0, get_settings().stale_from_sessions
    for provider, one in look.vendors.items() if look else ():
        if one.behind < least:
            recorded.end("stale", provider)
            continue
        sentence = (
            f"{counted(one.stale, 'series', 'series')} of {provider} {'is' if one.stale == 1 else 'are'} behind the calendar; "
            f"{one.worst} lacks {one.behind:,} sessions."
        )
        data = {"sentence": sentence, "provider": provider, "series": one.stale, "sessions": one.behind, "worst": one.worst}
        found += _begin(recorded, "stale", provider, data, targets, now_ms)
    return found


def _begin(recorded: Notifications, kind: str, subject: str, data: dict[str, Any], targets: Sequence[str], now_ms: int) -> bool:
    of_event = event(kind, data, targets, now_ms=now_ms)
    return recorded.begin(kind, subject, of_event[0].id, at_ms=now_ms, of_event=of_event)
