"""An outage in the log: a sentence when it begins, one each minute, one when it is over; never a line per try."""

from __future__ import annotations

import time
from typing import Final

import structlog

log = structlog.get_logger("marketfetch.outage")


class Outage:
    """Says that something is away when it begins, then each minute, and how long it was when it is over."""

    _SAY_AGAIN_S: Final = 60.0

    def __init__(self, who: str) -> None:
        """`who` waits: a word for the log."""
        self._who = who
        self._what = ""
        self._since = self._said = 0.0

    def goes_on(self, what: str, error: Exception) -> None:
        """Another try has failed, since `what` is away."""
        now = time.monotonic()
        if what != self._what:
            self._what, self._since = what, now
        elif now - self._said < self._SAY_AGAIN_S:
            return
        self._said = now
        away = f"{now - self._since:.0f} s"
        log.warning(
            f"{self._who} waits for {what}", error=str(error), away=away, next_step="tries again and again, then goes on"
        )

    def over(self) -> bool:
        """Everything answers. True if until now it did not."""
        was_away = bool(self._what)
        if was_away:
            log.warning(
                f"{self._what} is back", away=f"{time.monotonic() - self._since:.1f} s", next_step=f"the {self._who} goes on"
            )
            self._what = ""
        return was_away
