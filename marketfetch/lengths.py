"""Lengths of time and rates in words: `1 h 16 min` in a sentence, `1h16m` in a table."""

from __future__ import annotations

from typing import Final

#: A unit, its seconds, its name in a sentence and in a table.
_UNITS: Final = ((86_400, "d", "d"), (3_600, "h", "h"), (60, "min", "m"), (1, "s", "s"))
#: Below this many seconds they are all shown, or 89 s would be 1 min.
_FEW_SECONDS: Final = 90
_A_SECOND: Final = 600


def in_words(seconds: float) -> str:
    """`37 s`, `12 min`, `1 h 16 min`, `19 d`: two units at most, the second only behind hours and days below ten."""
    return " ".join(f"{number} {name}" for number, name, _ in _parts(seconds))


def in_a_table(seconds: float) -> str:
    """`37s`, `12m`, `1h16m`, `19d`."""
    return "".join(f"{number}{short}" for number, _, short in _parts(seconds))


def per_minute(rate: float | None) -> str:
    """`5/min`, `50/s`; "" for a rate that is not known."""
    if rate is None:
        return ""
    if 0 < rate < 1:
        return "<1/min"
    return f"{rate:.0f}/min" if rate < _A_SECOND else f"{rate / 60:,.0f}/s"


def _parts(seconds: float) -> list[tuple[int, str, str]]:
    if (whole := max(0, round(seconds))) < _FEW_SECONDS:
        return [(whole, "s", "s")]
    # Rounded to what is shown, so that 59 min 50 s is 1 h and not 59 min.
    whole = 60 * round(whole / 60)
    if whole >= 86_400:
        whole = 3_600 * round(whole / 3_600)
    place = next(n for n, (length, *_) in enumerate(_UNITS) if whole >= length)
    length, name, short = _UNITS[place]
    found = [(whole // length, name, short)]
    next_length, *names = _UNITS[place + 1]
    if name in ("h", "d") and found[0][0] < 10 and (rest := whole % length // next_length):
        found.append((rest, names[0], names[1]))
    return found
