"""Sends recorded events to the targets of `[[notify]]`, each at least once, and again after a failure.

A claim in the database makes one process at a time send an event; it expires, so that a process that is killed in between
only delays it. The id of an event is the same at each attempt: a receiver that keys its effects by it has each once.
"""

from __future__ import annotations

import random
from time import monotonic
from typing import Final

from marketfetch.exceptions import MarketfetchError
from marketfetch.lazy_logger import logger
from marketfetch.notify_sections import Notify
from marketfetch.ops import mails, webhooks
from marketfetch.ops.webhooks import NotSent
from marketfetch.quotas.failpoints import around
from marketfetch.redaction import redact
from marketfetch.settings import get_settings
from marketfetch.storage.notifications import Notification, Notifications

log = logger("marketfetch.notify")

#: The pause behind the first failure; four times as long behind each further one, up to the longest.
_FIRST_S: Final = 10.0
_LONGEST_S: Final = 4 * 3600.0
#: An event that was not sent for so long is given up, and `check` says so.
GIVEN_UP_MS: Final = 3 * 86_400_000
_KEPT_MS: Final = 30 * 86_400_000
#: Longer than an attempt takes.
_CLAIMED_MS: Final = 60_000
_AT_ONCE: Final = 50
#: A round of slow targets ends after so long, while its latest claim, which counts from the round's begin, still holds.
_ROUND_S: Final = 30.0


def deliver_due(recorded: Notifications, *, now_ms: int) -> int:
    """Sends what is due; returns how many were sent. A target that fails rests until the next look. Raises StoreError."""
    sent, failing, began = 0, set[str](), monotonic()
    for one in recorded.due(now_ms=now_ms, limit=_AT_ONCE):
        if monotonic() - began > _ROUND_S:
            break
        if one.target in failing or not recorded.claim(one, until_ms=now_ms + _CLAIMED_MS):
            continue
        target = next((each for each in get_settings().notify if each.name == one.target), None)
        if target is None:
            recorded.given_up(one, at_ms=now_ms, error="the settings have no target of this name any more")
            continue
        try:
            around("deliver", send)(target, one.id, one.body, at_s=now_ms // 1000)
        except (NotSent, MarketfetchError) as error:
            failing.add(one.target)
            _failed(recorded, one, error, now_ms)
        else:
            recorded.sent(one, at_ms=now_ms)
            log.info("notified", target=one.target, notification=one.kind, id=one.id, attempt=one.tries + 1)
            sent += 1
    recorded.forget(before_ms=now_ms - _KEPT_MS)
    return sent


def send(target: Notify, event_id: str, body: str, *, at_s: int) -> None:
    """Sends an event to one target, once. Raises NotSent, MissingExtra."""
    if target.url is not None:
        secret = target.secret.get_secret_value() if target.secret else ""
        webhooks.send(target.url.get_secret_value(), event_id, body, secret=secret, at_s=at_s)
        return
    smtp = get_settings().smtp
    try:
        password = smtp.secret()
    except OSError as error:
        raise NotSent(f"smtp.password_file can't be read ({error.strerror})") from None
    mails.send(smtp, password, target.email, event_id, body)


def wait_s(tries: int) -> float:
    """The pause behind the attempt of this number, which counts from 1, without its jitter."""
    return min(_FIRST_S * 4.0 ** min(tries - 1, 20), _LONGEST_S)


def _failed(recorded: Notifications, one: Notification, error: Exception, now_ms: int) -> None:
    why = redact(str(error), get_settings().secrets())
    tries, gone = one.tries + 1, isinstance(error, NotSent) and error.gone
    if gone or now_ms - one.created_ms >= GIVEN_UP_MS:
        recorded.given_up(one, at_ms=now_ms, error=why)
        log.error("notification given up", target=one.target, notification=one.kind, id=one.id, attempts=tries, error=why)
        return
    pause_s = wait_s(tries) * random.uniform(0.8, 1.2)  # noqa: S311 (no secret)
    recorded.failed(one, due_ms=now_ms + int(pause_s * 1000), error=why)
    log.warning(
        "not notified",
        target=one.target,
        notification=one.kind,
        attempt=tries,
        error=why,
        next_step=f"again in {pause_s:.0f} s",
    )
