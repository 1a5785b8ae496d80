"""`did_you_mean`: what a mistyped word was perhaps meant to be, for the messages of every package."""

from __future__ import annotations

from collections.abc import Iterable


def did_you_mean(word: str, known: Iterable[str], *, as_written: str = "{}", cutoff: float = 0.6) -> str:
    """`Did you mean X?` for the known word that is closest to `word`; "" where none is close.

    `as_written` is a format string for X ("{!r}" quotes it). `cutoff` is how alike the two must be, 0 (anything) to 1 (equal).
    """
    # Only a mistake needs it, and it costs every other process 2 ms.
    from difflib import get_close_matches

    close = get_close_matches(word, list(known), n=1, cutoff=cutoff)
    return f"Did you mean {as_written.format(close[0])}?" if close else ""
