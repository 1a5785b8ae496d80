"""What a vendor knew of splits and dividends when it adjusted prices, by the actions that are stored.

An action is in force from 20:00 UTC of its ex date on: the markets of Asia and Europe have closed by then, those of America
close in that hour or the next one, and a run 20 minutes after the close comes later. What a vendor has adjusted before may lack
it. A row that only a later whole list has was not known before, and one that is gone counts until the list that lacked it.
So of a correction, which is both, the two states differ as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, Literal, NamedTuple

from marketfetch.schemas.coverage import EVERY_SYMBOL, Covered
from marketfetch.storage.database_protocol import Execute
from marketfetch.storage.statements import Spelling, statements
from marketfetch.storage.stored_actions import StoredAction

#: A series as coverage names it: provider, dataset, symbol, timespan, adjustment.
SeriesKey = tuple[str, str, str, str, str]
Actions = Literal["splits", "dividends"]
#: The lists of actions that prices of an adjustment depend on.
ADJUSTED_FOR: Final[Mapping[str, tuple[Actions, ...]]] = {"split": ("splits",), "split_dividend": ("splits", "dividends")}

_HOUR_MS: Final = 3_600_000
#: Of the ex date, in UTC.
_IN_FORCE_HOURS: Final = 20
_EPOCH: Final = date(1970, 1, 1).toordinal()
_NEVER: Final = 2**62
#: A list of all symbols comes in pages, each with a time of its own: so long may the last one come behind the first.
_PAGES_MS: Final = 12 * _HOUR_MS


class Event(NamedTuple):
    """An action that concerns the days before `ex_day` (an ordinal), in force from `since_ms` until `until_ms` (Unix ms)."""

    ex_day: int
    value: float
    currency: str
    since_ms: int
    until_ms: int


@dataclass(frozen=True, slots=True)
class Knowledge:
    """The events of each list (vendor, dataset, symbol), and of which vendors there is a list of a (dataset, symbol)."""

    lists: Mapping[tuple[str, str], Sequence[str]]
    by_list: Mapping[tuple[str, str, str], Sequence[Event]]

    def of(self, provider: str, dataset: str, symbol: str) -> Sequence[Event]:
        """The events of a vendor's list; where it has none here, of another vendor's, the first by name."""
        have = (*self.lists.get((dataset, symbol), ()), *self.lists.get((dataset, EVERY_SYMBOL), ()))
        source = provider if provider in have else min(have, default=provider)
        return self.by_list.get((source, dataset, symbol), ())

    def turns(self, adjustment: str, symbol: str) -> list[int]:
        """When what was in force changed by the list of any vendor, in Unix ms, ascending."""
        found: set[int] = set()
        for dataset in ADJUSTED_FOR.get(adjustment, ()):
            for provider in self.lists.get((dataset, symbol), ()):
                of_list = self.by_list.get((provider, dataset, symbol), ())
                found.update(ms for one in of_list for ms in (one.since_ms, one.until_ms) if ms != _NEVER)
        return sorted(found)


def knowledge(read: Execute, spelling: Spelling, symbols: object, since_ms: int) -> Knowledge:
    """What is stored of the actions of `symbols`, a value of `Database.listing` with EVERY_SYMBOL. Raises what `read` raises.

    Only what may differ from what was known at `since_ms` (Unix ms) or later is there: most dividends are older.
    """
    sql = statements("sql/actions.sql", spelling)
    return _known(read, sql, symbols, _later(read, sql, symbols, since_ms))


def _later(
    read: Execute, sql: Mapping[str, str], symbols: object, since_ms: int
) -> Mapping[Actions, Sequence[tuple[Any, ...]]]:
    """The rows of splits and dividends that may differ from what was known then or later, in one query."""
    day = date.fromordinal(max(since_ms // (24 * _HOUR_MS) - 1, 0) + _EPOCH).isoformat()
    found: dict[Actions, list[tuple[Any, ...]]] = {}
    for dataset, *row in read(sql["later"], symbols, day, symbols, day):
        found.setdefault(dataset, []).append(tuple(row))
    return found


def _known(
    read: Execute, sql: Mapping[str, str], symbols: object, later: Mapping[Actions, Sequence[tuple[Any, ...]]]
) -> Knowledge:
    lists: dict[tuple[str, str], list[str]] = {}
    listed_ms: dict[tuple[str, str, str], int] = {}
    for provider, dataset, symbol, ms in read(sql["lists"], symbols):
        lists.setdefault((dataset, symbol), []).append(provider)
        listed_ms[provider, dataset, symbol] = ms
    found: dict[tuple[str, str, str], list[Event]] = {}
    for kind, rows in later.items():
        whole_ms = _first_whole_lists(read, sql, kind, symbols, listed_ms) if any(row[4] > row[-1] for row in rows) else None
        for *row, first_row in rows:
            one = StoredAction(*row)
            first_list = first_row if whole_ms is None else whole_ms(one.provider, one.symbol)
            found.setdefault((one.provider, kind, one.symbol), []).extend(event_of(one, kind, first_list + _PAGES_MS))
            if one.provider not in (have := lists.setdefault((kind, one.symbol), [])):
                have.append(one.provider)
    return Knowledge(lists, found)


def _first_whole_lists(
    read: Execute, sql: Mapping[str, str], dataset: Actions, symbols: object, listed_ms: Mapping[tuple[str, str, str], int]
) -> Callable[[str, str], int] | None:
    """What says when the first whole list with a symbol of a vendor was fetched (Unix ms); None where no list is by days.

    A list by days lacks the rows of other days, so a row that comes after it may have been known before. Where whole lists have
    only rows that lists by days have too, it is the latest whole list of the symbol, or of all.
    """
    if not read(sql["of_days"], dataset)[0][0]:
        return None
    first = {(provider, symbol): int(ms) for provider, symbol, ms in read(sql[f"whole_{dataset}"], symbols)}

    def whole_ms(provider: str, symbol: str) -> int:
        of_all = (listed_ms.get((provider, dataset, one)) for one in (symbol, EVERY_SYMBOL))
        latest = [ms for ms in of_all if ms is not None]
        return min([first.get((provider, symbol), _NEVER), *latest]) if latest else _NEVER

    return whole_ms


def turns_of(
    new: Sequence[Covered],
    standing: Iterable[Covered],
    read: Execute,
    spelling: Spelling,
    listing: Callable[[Sequence[str]], object],
) -> dict[SeriesKey, list[int]]:
    """When what vendors know of actions has changed, for those series of `new` that a vendor has adjusted.

    Not before the earliest of these intervals and of the `standing` ones, which the new ones may touch. One query where no
    action of these symbols is as late, and none where all were fetched at once.
    """
    adjusted = sorted({one.series for one in new if one.adjustment in ADJUSTED_FOR})
    calls = {one.fetched_at_ms for one in (*new, *standing)}
    if not adjusted or len(calls) == 1:
        return {}
    symbols = listing([EVERY_SYMBOL, *sorted({symbol for _, _, symbol, _, _ in adjusted})])
    sql = statements("sql/actions.sql", spelling)
    later = _later(read, sql, symbols, min(calls))
    if not later:
        return {}
    known = _known(read, sql, symbols, later)
    return {series: known.turns(series[4], series[2]) for series in adjusted}


def in_force_ms(ex_day: int) -> int:
    """From when on a vendor's adjusted prices have an action of this ex date (an ordinal), in Unix ms."""
    return ((ex_day - _EPOCH) * 24 + _IN_FORCE_HOURS) * _HOUR_MS


def event_of(row: StoredAction, dataset: Actions, first_list: int) -> Iterator[Event]:
    """The event of an action, none of one that changes no price.

    `first_list` is when the first whole list that has a row of the symbol was fetched (Unix ms): its rows may be of any age.
    """
    without_effect = 1.0 if dataset == "splits" else 0.0
    if row.value == without_effect or row.value <= 0:
        return
    ex_day = date.fromisoformat(row.ex_date).toordinal()
    since = max(in_force_ms(ex_day), row.first_seen if row.first_seen > first_list else 0)
    until = _NEVER if row.gone_at is None else row.gone_at
    if since < until:
        yield Event(ex_day, round(row.value, 12), row.currency.upper(), since, until)


def changed_since(known: Sequence[Event], fetched_ms: int, now_ms: int, *, behind: int) -> int | None:
    """The latest ex date of what was in force at one of these times only, None if nothing was; `behind`: later than this day.

    Days are ordinals, times are Unix ms. An ex date concerns the days before it, so those of prices from `behind` on.
    """

    def at(ms: int) -> set[tuple[int, float, str]]:
        return {one[:3] for one in known if one.since_ms <= ms < one.until_ms and one.ex_day > behind}

    return max((ex_day for ex_day, *_ in at(fetched_ms) ^ at(now_ms)), default=None)
