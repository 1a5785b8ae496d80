"""The table `coverage`: which rows change when batches are stored, and what is read from it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any, Final, NamedTuple

from marketfetch.schemas.coverage import EVERY_SYMBOL, Covered, merged
from marketfetch.schemas.ledger import Batch
from marketfetch.storage.database_protocol import Database
from marketfetch.storage.statements import statements

Series = tuple[str, str, str, str, str]
#: A row of the ledger: page, outcome, whether it is the last page, its last final day, when it was called (Unix ms).
PageRow = tuple[Any, ...]

_GOOD: Final = frozenset({"stored", "empty"})
_HOUR_MS: Final = 3_600_000
#: About how many bars one statement looks at, and the text of so many hours is 8 MB.
_MOST_HOURS: Final = 1_000_000


class Span(NamedTuple):
    """The new intervals of a series, and the days in which a row of the table may touch them."""

    series: Series
    first_day: date
    last_day: date
    new: tuple[Covered, ...]


class Changes(NamedTuple):
    """What is to be deleted, as (series, first day), and written."""

    gone: list[tuple[Series, date]]
    put: list[Covered]


def day(value: date | str | None) -> date | None:
    """A day as it is read: SQLite has text."""
    return date.fromisoformat(value) if isinstance(value, str) else value


def covered_now(batches: Iterable[Batch], pages_of: Callable[[str], Sequence[PageRow]]) -> list[Covered]:
    """What batches cover whose ledger rows are written. `pages_of` returns the ledger's rows of a root, by page.

    A request of several pages covers its days once all of its pages are in the ledger and none has failed.
    """
    found: list[Covered] = []
    seen: set[str] = set()
    for batch in batches:
        row = batch.ledger
        if not batch.covered or row.outcome not in _GOOD:
            continue
        if not row.page and row.next_cursor is None:
            found += batch.covered
        elif row.root not in seen:
            seen.add(row.root)
            found += _of_all_pages(batch.covered, pages_of(row.root))
    return found


def _of_all_pages(covered: Iterable[Covered], pages: Sequence[PageRow]) -> list[Covered]:
    """The intervals with the finality and the time of the page that was called first; none while a page is missing."""
    last_ones = [number for number, outcome, is_last, _, _ in pages if is_last and outcome in _GOOD]
    if any(outcome not in _GOOD for _, outcome, _, _, _ in pages) or last_ones != [len(pages) - 1]:
        return []
    ends = [day(final_to) for _, _, _, final_to, _ in pages]
    final_to = None if None in ends else min(one for one in ends if one)
    at_ms = min(called_ms for _, _, _, _, called_ms in pages)
    return [replace(one, final_to=final_to, fetched_at_ms=at_ms) for one in covered]


def spans(covered: Iterable[Covered]) -> list[Span]:
    """The new intervals by series."""
    found: dict[Series, list[Covered]] = defaultdict(list)
    for one in covered:
        found[one.series].append(one)
    return [_span(series, found[series]) for series in sorted(found)]


def _span(series: Series, new: Sequence[Covered]) -> Span:
    first = max(min(one.first_day for one in new).toordinal() - 1, 1)
    last = min(max(one.last_day for one in new).toordinal() + 1, date.max.toordinal())
    return Span(series, date.fromordinal(first), date.fromordinal(last), tuple(new))


def changes(
    wanted: Iterable[Span], standing: Mapping[Series, Sequence[Covered]], turns: Mapping[Series, Sequence[int]]
) -> Changes:
    """What the new intervals change of the `standing` ones, which may touch them; `turns` as `merged` takes them."""
    gone: list[tuple[Series, date]] = []
    put: list[Covered] = []
    for span in wanted:
        before = standing.get(span.series, ())
        rows = list(before)
        for one in span.new:
            rows = merged(rows, one, turns=turns.get(span.series, ()))
        # No two intervals of a series overlap, so the first day is the key of a row; a search in lists would be quadratic.
        kept, known = {row.first_day for row in rows}, {row.first_day: row for row in before}
        gone += [(span.series, row.first_day) for row in before if row.first_day not in kept]
        put += [row for row in rows if known.get(row.first_day) != row]
    return Changes(gone, put)


def row_of(one: Covered) -> tuple[Any, ...]:
    """The columns of the table, in order; days as text, the time in Unix ms."""
    final_to = one.final_to.isoformat() if one.final_to else None
    return (*one.series, one.first_day.isoformat(), one.last_day.isoformat(), final_to, one.fetched_at_ms)


def covered_of(row: Sequence[Any]) -> Covered:
    """The inverse of `row_of`, of a row that was read; more columns may follow."""
    first, last, final_to = day(row[5]), day(row[6]), day(row[7])
    provider, dataset, symbol, timespan, adjustment = row[:5]
    return Covered(provider, dataset, symbol, timespan, adjustment, first or date.min, last or date.min, final_to, int(row[8]))


class CoverageQueries:
    """Reads the table."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = statements("sql/coverage.sql", database.spelling)

    def covered(
        self, provider: str, dataset: str, timespan: str, adjustment: str, symbols: Sequence[str] | None
    ) -> list[Covered]:
        key = (provider, dataset, timespan, adjustment)
        if symbols is None:
            return [covered_of(row) for row in self._database.read(self._sql["of_all"], *key)]
        asked = self._database.listing(sorted({*symbols, EVERY_SYMBOL}))
        return [covered_of(row) for row in self._database.read(self._sql["of_symbols"], *key, asked)]

    def stored_starts(
        self,
        provider: str,
        timespan: str,
        adjustment: str,
        symbols: Sequence[str],
        starts_ms: Sequence[int],
        *,
        partial: bool = False,
    ) -> dict[str, frozenset[int]]:
        hours = {start // _HOUR_MS: start for start in starts_ms}
        all_of_them, text = frozenset(starts_ms), ",".join(map(str, hours))
        found: dict[str, frozenset[int]] = {}
        some = max(1, _MOST_HOURS // max(1, len(starts_ms)))
        for n in range(0, len(symbols) if starts_ms else 0, some):
            asked = self._database.listing(sorted(symbols[n : n + some]))
            key = (provider, timespan, adjustment, asked, starts_ms[0], starts_ms[-1], int(partial))
            for symbol, joined in self._database.read(self._sql["hours_of_symbols"], *key):
                # Most have a bar of each session, and then the text says so.
                stored = hours.keys() & map(int, joined.split(",")) if joined != text else hours
                found[symbol] = all_of_them if len(stored) == len(hours) else frozenset(hours[one] for one in stored)
        return found

    def jobs_to_cover(self, limit: int) -> list[str]:
        return [row[0] for row in self._database.read(self._sql["jobs_to_cover"], limit)]

    def count(self) -> int:
        return int(self._database.read(self._sql["count"])[0][0])

    def job_is_covered(self, job_id: str) -> None:
        self._database.change(lambda execute: execute(self._sql["job_is_covered"], job_id))

    def replies(self, job_id: str) -> list[tuple[str, int]]:
        return [(root, int(called_ms)) for root, called_ms in self._database.read(self._sql["replies"], job_id)]
