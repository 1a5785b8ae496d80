"""The type of an option that is a length of time: seconds, or a number with a unit."""

from __future__ import annotations

import re
from typing import Final

import click

_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400}
_WRITTEN: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)([smhd]?)")
_LONGEST_DAYS: Final = 366


class _Length(click.ParamType[float]):
    """`90`, `90s`, `5m`, `2h`, `1d`, from a second to a year, as seconds."""

    name = "length"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, int | float):
            return float(value)
        found = _WRITTEN.fullmatch(str(value).strip().lower())
        seconds = float(found[1]) * _UNITS[found[2]] if found else 0.0
        if not 1 <= seconds <= _LONGEST_DAYS * _UNITS["d"]:
            self.fail(f"{value!r}: write seconds, or 30s, 5m, 2h, 1d; at least 1s, at most {_LONGEST_DAYS}d", param, ctx)
        return seconds


LENGTH: Final = _Length()
