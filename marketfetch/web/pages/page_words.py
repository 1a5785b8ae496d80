"""Moments, numbers and sentences as the pages write them: Jinja's filters."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from markupsafe import Markup, escape

from marketfetch.lengths import in_a_table, in_words, per_minute
from marketfetch.phrases import counted

_CODE: Final = re.compile(r"`([^`\n]+)`")
#: What a state looks like without its colour.
SIGNS: Final = {
    "running": "▸",
    "done": "✓",
    "failed": "✕",
    "cancelled": "■",
    "fine": "✓",
    "waits": "◷",
    "paused": "‖",
    "off": "✕",
}


def moment(text: str | None) -> Markup:
    """A moment (ISO 8601) in UTC, to the minute; the page's script adds the time of the reader's zone."""
    if not text:
        return Markup("")
    at = datetime.fromisoformat(text).astimezone(UTC)
    return Markup('<time datetime="{}">{}</time>').format(f"{at:%Y-%m-%dT%H:%M:%SZ}", f"{at:%Y-%m-%d %H:%M}")


def ago(text: str | None) -> Markup:
    """`3m ago`, `in 2h`: how far a moment is from now; the moment itself stands in the title."""
    if not text:
        return Markup("")
    at = datetime.fromisoformat(text).astimezone(UTC)
    seconds = (datetime.now(UTC) - at).total_seconds()
    words = f"{in_a_table(seconds)} ago" if seconds >= 0 else f"in {in_a_table(-seconds)}"
    return Markup('<time datetime="{0}" title="{0}">{1}</time>').format(f"{at:%Y-%m-%dT%H:%M:%SZ}", words)


def number(value: float | None) -> str:
    """`1,234`; "" for None."""
    return "" if value is None else f"{value:,}"


def share(part: float, whole: float) -> int:
    """Percent, rounded down: 999 of 1,000 are not all."""
    return int(100 * part / whole) if whole else 0


def said(sentence: str) -> Markup:
    """A sentence with its commands as code."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(sentence))))  # noqa: S704 (escaped before)


FILTERS: Final = {
    "moment": moment,
    "ago": ago,
    "number": number,
    "said": said,
    "in_words": in_words,
    "in_a_table": in_a_table,
    "per_minute": per_minute,
    "counted": counted,
}
