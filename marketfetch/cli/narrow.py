"""Tables on a narrow terminal: words become shorter, then whole columns go. A price, a date or an id is never cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest


def fitted(
    rows: Sequence[Sequence[str]], width: int | None, *, elastic: Mapping[int, int], go: Sequence[int]
) -> tuple[list[str], list[int]]:
    """The rows as lines of at most `width` characters, if the columns that never go allow it, and the columns that went.

    `elastic`: the columns whose words may be cut, each with the number of characters that are left at least. `go`: the columns
    that go where that is not enough, the first one first. `width` None: nothing is cut.
    """
    columns = dict(enumerate(map(list, zip_longest(*rows, fillvalue=""))))
    whole = {n: max(map(len, column)) for n, column in columns.items()}
    for gone in range(len(go) + 1):
        widths = {n: wide for n, wide in whole.items() if n not in go[:gone]}
        # Blanks are worth less than words.
        gap = 1 if _length(widths, 2) > (width or _length(widths, 2)) else 2
        too_wide = _length(widths, gap) - (width or _length(widths, gap))
        while too_wide > 0 and (wide := [n for n, least in elastic.items() if widths.get(n, 0) > least]):
            widths[max(wide, key=lambda n: widths[n])] -= 1
            too_wide -= 1
        if too_wide <= 0:
            break
    lines = [
        (" " * gap).join(_cut(columns[n][row], wide).ljust(wide) for n, wide in widths.items()).rstrip()
        for row in range(len(rows))
    ]
    return lines, [n for n in go if n not in widths]


def _length(widths: Mapping[int, int], gap: int) -> int:
    return sum(widths.values()) + gap * (len(widths) - 1)


def _cut(word: str, width: int) -> str:
    return word if len(word) <= width else f"{word[: width - 1]}…"
