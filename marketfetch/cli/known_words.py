"""--timespan and --adjustment: one of a few words, the same for every command that has them. Another one exits with 2."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import click

from marketfetch.schemas.timespans import ADJUSTMENTS, TIMESPANS


class _Known(click.ParamType[str]):
    """One of the known words; for another one the error names the closest, and all."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        self.name, self._known = name, known

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from marketfetch.suggestions import did_you_mean

        word = str(value)
        if word not in self._known:
            # `1hour` and `1week` are half of what is meant.
            meant = did_you_mean(word, self._known, cutoff=0.5)
            known = ", ".join(self._known)
            self.fail(f"There is no {self.name} {word!r}. {meant}{' ' if meant else ''}There are {known}.", param, ctx)
        return word


TIMESPAN: Final = _Known("timespan", TIMESPANS)
ADJUSTMENT: Final = _Known("adjustment", ADJUSTMENTS)
