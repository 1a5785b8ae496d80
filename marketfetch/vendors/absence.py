"""What vendors write where a value is absent: the same for every vendor, dataset and format."""

from __future__ import annotations

from typing import Final

_ABSENT: Final = frozenset({"", "null", "none", "nan", "n/a", "na", "-", "--", ".", "0000-00-00"})
_LONGEST: Final = max(map(len, _ABSENT))


def is_absent(value: object) -> bool:
    """True for None, a NaN, and a text that stands for no value ("null", "N/A", "-"), in any case, with blanks around it.

    It is meant for numbers and dates. A text may be such a word itself: NA and NAN are tickers.
    """
    if value is None:
        return True
    if isinstance(value, str):
        text = value.strip()
        return len(text) <= _LONGEST and text.lower() in _ABSENT
    return isinstance(value, float) and value != value
