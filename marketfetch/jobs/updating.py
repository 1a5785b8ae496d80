"""`update`: the last sessions of many symbols, less what is stored and final. What a nightly run asks for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

from pydantic import ValidationError

from marketfetch import settings_in_force, vendors
from marketfetch.configured import options
from marketfetch.exceptions import BadRequestError, WrongValueError
from marketfetch.jobs import planning
from marketfetch.jobs.list_wishes import takes_range, whole_list
from marketfetch.jobs.submission import Submitted, submit, submit_for
from marketfetch.jobs.universe_wishes import symbols_to_ask
from marketfetch.schemas.job_spec import NORMAL
from marketfetch.schemas.request import Request
from marketfetch.schemas.symbol_text import WHOLE_MARKET
from marketfetch.vendors.finality import Finality
from marketfetch.vendors.times import local_date, unix_ms
from marketfetch.vendors.trading_days import close_ms, zone_of_days

LAST: Final = "5 sessions"
_LAST: Final = re.compile(r"\s*([0-9]{1,5})\s*(sessions?|d|days?)?\s*")
#: What of a wish its symbols are tried with, before its days are known.
_OF_ALL: Final = ("timespan", "dataset", "adjustment")
_MOST: Final = 5_000
#: No calendar has so few sessions that these many days hold none.
_LONGEST_CLOSURE: Final = 30


def update(
    provider: str,
    symbols: Sequence[str],
    *,
    last: str = LAST,
    timespan: str = "1d",
    dataset: str = "bars",
    adjustment: str | None = None,
    priority: int = NORMAL,
    by_symbol: bool = False,
    owner: str | None = None,
    keys_without_owner: bool = False,
    name: str = "",
    tags: Sequence[str] = (),
    on_over: Mapping[str, object] | None = None,
) -> Submitted:
    """Submits the last sessions of these symbols until today: of these days only what is not stored and final is asked for.

    `last` is a number of sessions by each symbol's own calendar, today's included ("5 sessions"; of several calendars the
    earliest day counts), or of days ("30d"). The other arguments are those of `submit`. Where nothing is new, the job makes no
    call. A dataset that comes as a whole list, such as splits, is asked for as a whole; of all symbols at once ("*") the rows
    of these days, where the vendor has them by days. Raises BadRequestError,
    UnavailableError.
    """
    settings_in_force.refresh()
    names = symbols_to_ask(provider, symbols, timespan=timespan, dataset=dataset, adjustment=adjustment)
    start, end = _days(provider, names, last=last, timespan=timespan, dataset=dataset)
    return submit(
        provider,
        names,
        start=start,
        end=end,
        timespan=timespan,
        dataset=dataset,
        adjustment=adjustment,
        priority=priority,
        by_symbol=by_symbol,
        owner=owner,
        keys_without_owner=keys_without_owner,
        name=name,
        tags=tags,
        on_over=on_over,
    )


def update_for(task_id: str, provider: str, symbols: Sequence[str], **wish: Any) -> str:
    """As `update`, for the message of a task, which may come more than once: always the same job. Returns its id."""
    if given := sorted({"start", "end", "again"} & wish.keys()):
        raise BadRequestError(f"{given[0]} is no argument of an update, which takes last='5 sessions' (or submit a range).")
    names = symbols_to_ask(provider, symbols, **{one: wish[one] for one in _OF_ALL if one in wish})
    last, timespan, dataset = (
        wish.get(name, usual) for name, usual in (("last", LAST), ("timespan", "1d"), ("dataset", "bars"))
    )
    start, end = _days(provider, names, last=last, timespan=timespan, dataset=dataset)
    wish.pop("last", None)
    days: dict[str, Any] = {} if start is None else {"start": start, "end": end}
    return submit_for(task_id, provider, names, **days, **wish)


def check_update(provider: str, symbols: Sequence[str], *, last: str, timespan: str, dataset: str, **wish: Any) -> None:
    """Plans an update of these symbols, and submits nothing. Raises BadRequestError, as `update` does."""
    start, end = _days(provider, symbols, last=last, timespan=timespan, dataset=dataset)
    spec = planning.make_spec(provider, symbols, again=False, start=start, end=end, timespan=timespan, dataset=dataset, **wish)
    planning.plan_new(spec)


def _days(
    provider: str, symbols: Sequence[str], *, last: object, timespan: str, dataset: str
) -> tuple[date, date] | tuple[None, None]:
    """The first and the last day to ask for; none for a dataset that comes as a whole list. Raises BadRequestError."""
    at = planning.wished_at()
    start = first_day(provider, symbols, last=last, timespan=timespan, dataset=dataset, at=at)
    if provider in vendors.names() and isinstance(dataset, str) and whole_list(provider, dataset):
        # A list of all symbols is long; of a symbol it is a page.
        of_all = tuple(symbols) == (WHOLE_MARKET,) and takes_range(provider, dataset)
        return (start, at.astimezone(UTC).date()) if of_all else (None, None)
    return start, at.astimezone(UTC).date()


def first_day(provider: str, symbols: Sequence[str], *, last: object, timespan: str, dataset: str, at: datetime) -> date:
    """The earliest day that is asked for: of the last sessions before the end of the day of `at`. Raises BadRequestError."""
    found = _LAST.fullmatch(last) if isinstance(last, str) else None
    number = int(found[1]) if found else 0
    if found is None or not 1 <= number <= _MOST:
        raise WrongValueError(f"last is a number of sessions or days, such as '5 sessions' or '30d' (got {last!r:.60}).")
    today = at.astimezone(UTC).date()
    if (found[2] or "").startswith("d"):
        return today - timedelta(days=number)
    calendars = calendars_of(provider, symbols, timespan=timespan, dataset=dataset)
    return min((_session_back(one, unix_ms(at), number) for one in calendars), default=today - timedelta(days=number))


def calendars_of(provider: str, symbols: Sequence[str], *, timespan: str, dataset: str) -> set[Finality]:
    """The calendars of these symbols. What is no symbol has none: the planner refuses it with a sentence."""
    if provider not in vendors.names() or isinstance(symbols, str) or not isinstance(symbols, Iterable):
        return set()
    vendor, ours = vendors.vendor(provider), options(provider)
    found = set()
    for symbol in symbols:
        try:
            asked = Request.model_validate({"provider": provider, "dataset": dataset, "symbol": symbol, "timespan": timespan})
            found.add(vendor.finality_of(asked, ours))
        except (ValidationError, KeyError):
            continue
    return found


@lru_cache(maxsize=256)
def _session_back(finality: Finality, at_ms: int, number: int) -> date:
    """The day of the `number`th session back from the day of `at_ms`, that day's own session counted."""
    day = local_date(at_ms, zone_of_days(finality.calendar, zone=finality.zone))
    left = number
    for _ in range(number * 4 + _LONGEST_CLOSURE):
        if close_ms(finality.calendar, day, zone=finality.zone) is not None:
            left -= 1
            if not left:
                break
        day -= timedelta(days=1)
    return day
