"""Text from outside, made harmless: what controls a terminal, turns the direction of writing or can't be encoded is visible."""

from __future__ import annotations

from typing import Final

#: What is put behind a text that was cut.
_CUT: Final = "..."
#: Longer than any sentence that a person reads to its end.
LONGEST: Final = 2_000


def printable(text: str, *, most: int = LONGEST) -> str:
    r"""`text` on one line, at most `most` characters, with an escape (\x1b, \u202e, \ud800) for what can't be shown.

    Plain text comes back unchanged, in any language. ESC and the other control characters, line and paragraph separators,
    format characters (also those that turn the direction of writing) and lone surrogates are escaped.
    """
    # Cut before it is escaped: what is escaped grows up to tenfold.
    shown = text[:most]
    if not shown.isprintable():
        shown = "".join(one if one.isprintable() else _escape(one) for one in shown)
    if len(text) <= most and len(shown) <= most:
        return shown
    return shown[: max(0, most - len(_CUT))] + _CUT


def _escape(one: str) -> str:
    # Spaces of other scripts do no harm, and are not `isprintable`.
    if one.isspace() and one > "\x9f" and one not in "\u2028\u2029":
        return " "
    return one.encode("unicode_escape", "backslashreplace").decode("ascii")
