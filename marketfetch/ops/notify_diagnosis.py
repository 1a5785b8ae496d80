"""What `marketfetch check` says of notifications: those that fail, those that were given up, a trial on request."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final
from uuid import uuid4

from marketfetch.exceptions import MarketfetchError
from marketfetch.ops.finding import Finding
from marketfetch.ops.notifying import send
from marketfetch.ops.webhooks import NotSent
from marketfetch.phrases import counted
from marketfetch.redaction import redact
from marketfetch.settings import get_settings
from marketfetch.storage.notifications import Notifications
from marketfetch.storage.store import Store

_A_WEEK_MS: Final = 7 * 86_400_000


def of_notifications(store: Store, now_ms: int) -> Iterator[Finding]:
    """Warns of targets that take no events. Raises StoreError."""
    recorded = Notifications(store)
    for target, many, error in recorded.waiting():
        if error:
            sentence = f"{counted(many, 'event')} for {target} can't be sent: {error}. The next attempts follow by themselves."
            yield Finding(level="warning", subject="notify", sentence=sentence)
    for target, many, error in recorded.given_up_since(now_ms - _A_WEEK_MS):
        sentence = f"{counted(many, 'event')} for {target} could not be sent and will not be: {error}. Correct the target."
        yield Finding(level="warning", subject="notify", sentence=sentence)


def trials() -> Iterator[Finding]:
    """Sends a trial event to every target of the settings."""
    targets = get_settings().notify
    if not targets:
        yield Finding(
            level="warning", subject="notify", sentence="The settings have no [[notify]], so no target gets an event."
        )
    for one in targets:
        now_s = int(time.time())
        at = datetime.fromtimestamp(now_s, UTC).isoformat().replace("+00:00", "Z")
        data = {"sentence": "This is a trial of `marketfetch check --notify`; nothing has happened."}
        try:
            send(one, f"evt_{uuid4().hex}", json.dumps({"type": "trial", "timestamp": at, "data": data}), at_s=now_s)
        except (NotSent, MarketfetchError) as error:
            why = redact(str(error), get_settings().secrets())
            yield Finding(level="error", subject="notify", sentence=f"{one.name} did not take a trial: {why.rstrip('.')}.")
        else:
            yield Finding(level="ok", subject="notify", sentence=f"{one.name} has taken a trial.")
