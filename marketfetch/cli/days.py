"""--start and --end, --adjust and --as-of, the same for every command that has them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any, Final, TypeVar

import click

from marketfetch.schemas import day_words

F = TypeVar("F", bound=Callable[..., Any])


class _Day(click.ParamType[date]):
    """A date, or a day relative to now, such as -5d."""

    name = "day"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> date:
        from marketfetch.exceptions import BadRequestError

        try:
            return day_words.day(param.name if param and param.name else "day", value, datetime.now(UTC))
        except BadRequestError as error:
            self.fail(str(error), param, ctx)


#: The type of an option that is a day.
DAY: Final = _Day()


def range_options(*, start_default: str = "", end_default: str = "") -> Callable[[F], F]:
    """The options --start and --end: dates or None. What None means is said behind the help."""

    def with_both(command: F) -> F:
        end = click.option(
            "--end", type=DAY, callback=_in_order, help=f"Last day, inclusive, in the same words.{_default(end_default)}"
        )
        start = click.option(
            "--start", type=DAY, callback=_in_order, help=f"First day: {day_words.WORDS}.{_default(start_default)}"
        )
        return start(end(command))

    return with_both


def _in_order(ctx: click.Context, param: click.Parameter, value: date | None) -> date | None:
    """Refuses a range that ends before it begins, once both are read; one that lies in the future is refused later."""
    both = {"start": ctx.params.get("start"), "end": ctx.params.get("end"), str(param.name): value}
    start, end = both["start"], both["end"]
    if start and end and end < start <= datetime.now(UTC).date():
        raise click.BadParameter(f"{day_words.out_of_order(start, end)}.", ctx, param)
    return value


def adjust_options(command: F) -> F:
    """The options --adjust and --as-of: words as in `marketfetch.bars`, and a date or None."""
    as_of = click.option(
        "--as-of", type=DAY, help="With --adjust or --dataset: by what was known on this day.  [default: today in UTC]"
    )
    adjust = click.option("--adjust", help="Adjust raw prices by stored actions: none, splits, or all (dividends too).")
    return adjust(as_of(command))


def _default(words: str) -> str:
    return f"  [default: {words}]" if words else ""
