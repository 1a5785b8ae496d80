"""The type of an option that says how old something must be: days or weeks."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

import click

_LETTERS: Final = {"d": 1, "w": 7}
_LONGEST_DAYS: Final = 36_500


class _Age(click.ParamType[timedelta]):
    """`90d` or `12w`, from three days on."""

    name = "age"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        found = re.fullmatch(r"([0-9]{1,6})([dw])", str(value).strip().lower())
        days = int(found[1]) * _LETTERS[found[2]] if found else 0
        if not 3 <= days <= _LONGEST_DAYS:
            self.fail(f"{value!r}: write days or weeks, such as 90d or 12w; at least 3d, at most 36500d", param, ctx)
        return timedelta(days=days)


AGE: Final = _Age()
