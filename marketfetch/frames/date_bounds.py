"""From the dates of a question to the moments of bars: the dates are those of the exchange, as in a job."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Final, cast

from marketfetch.exceptions import BadRequestError
from marketfetch.schemas import day_words
from marketfetch.schemas.timespans import Timespan, is_intraday
from marketfetch.vendors.times import day_start_ms, period_start, unix_ms

#: A daily bar begins at midnight of its session's date in the zone of the exchange. Half a day later the date is the same one
#: also where a change of the clocks is not known, and in UTC for most zones.
_HALF_A_DAY_MS: Final = 12 * 3_600_000

#: What a range may begin or end with: a date, a moment with its zone, either in ISO 8601, or words such as "-5d".
Asked = date | str | None
#: The same when it is read: a date, or a moment in UTC.
Moment = date | None


def bounds(start: Moment, end: Moment, timespan: str, zone: str) -> tuple[int | None, int | None]:
    """The first Unix ms of a range and the first one behind it; None where the range is open.

    A date as `end` includes its day. Weekly and monthly bars count if a day of their period lies in the range. `zone` is that
    of the exchange. `start` and `end` are what `read` returns.
    """

    def ms(day: date) -> int:
        return day_start_ms(day, zone) - (0 if is_intraday(cast("Timespan", timespan)) else _HALF_A_DAY_MS)

    start_ms = end_ms = None
    if start is not None:
        start_ms = unix_ms(start) if isinstance(start, datetime) else ms(period_start(start, cast("Timespan", timespan)))
    if end is not None:
        end_ms = unix_ms(end) + 1 if isinstance(end, datetime) else ms(end + timedelta(days=1))
    return start_ms, end_ms


def read(start: Asked, end: Asked) -> tuple[Moment, Moment]:
    """The range of a question, in days or in moments of UTC; words such as "-5d" count from now. Raises BadRequestError."""
    at = datetime.now(UTC)
    first, last = _read("start", start, at), _read("end", end, at)
    if first is not None and last is not None and type(first) is type(last) and first > last:
        raise BadRequestError(f"The range is empty: {day_words.out_of_order(first, last)}.")
    return first, last


def _read(name: str, value: Asked, at: datetime) -> Moment:
    if value is None:
        return None
    found = day_words.moment(name, value, at)
    if isinstance(found, datetime):
        if found.tzinfo is None:
            raise BadRequestError(f"The {name} {found} has no time zone: write a date, or a datetime with tzinfo=UTC.")
        return found.astimezone(UTC)
    return found
