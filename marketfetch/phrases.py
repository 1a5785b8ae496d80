"""Parts of sentences: names in a row, and numbers with what they count."""

from __future__ import annotations

from collections.abc import Sequence


def joined(names: Sequence[str]) -> str:
    """Returns `a`, `a and b`, `a, b and c`."""
    return " and ".join([*([", ".join(names[:-1])] if len(names) > 1 else []), *names[-1:]])


def counted(number: int, one: str, many: str = "") -> str:
    """Returns `1 row`, `2,000 rows`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
