"""From the dates of a question to the moments of bars: the dates are those of the exchange, as in a job."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Final, cast

from marketfetch.exceptions import BadRequestError
from marketfetch.schemas.timespans import Timespan, is_intraday
from marketfetch.vendors.times import day_start_ms, period_start, unix_ms

#: A daily bar begins at midnight of its session's date in the zone of the exchange. Half a day later the date is the same one
#: also where a change of the clocks is not known, and in UTC for most zones.
_HALF_A_DAY_MS: Final = 12 * 3_600_000

#: What a range may begin or end with: a date, a moment with its zone, or either in ISO 8601.
Moment = date | str | None


def bounds(start: Moment, end: Moment, timespan: str, zone: str) -> tuple[int | None, int | None]:
    """The first Unix ms of a range and the first one behind it; None where the range is open.

    A date as `end` includes its day. Weekly and monthly bars count if a day of their period lies in the range. `zone` is that
    of the exchange. Raises BadRequestError.
    """
    first, last = _read("start", start), _read("end", end)
    if isinstance(first, date) and isinstance(last, date) and type(first) is type(last) and first > last:
        raise BadRequestError(f"The range begins ({start}) after its end ({end}): write the earlier one as the start.")

    def ms(day: date) -> int:
        return day_start_ms(day, zone) - (0 if is_intraday(cast("Timespan", timespan)) else _HALF_A_DAY_MS)

    start_ms = end_ms = None
    if first is not None:
        start_ms = unix_ms(first) if isinstance(first, datetime) else ms(period_start(first, cast("Timespan", timespan)))
    if last is not None:
        end_ms = unix_ms(last) + 1 if isinstance(last, datetime) else ms(last + timedelta(days=1))
    return start_ms, end_ms


def _read(name: str, value: Moment) -> date | datetime | None:
    """A date, or a moment in UTC. Raises BadRequestError."""
    found = value
    if isinstance(value, str):
        try:
            found = date.fromisoformat(value) if len(value) <= len("2024-01-02") else datetime.fromisoformat(value)
        except ValueError:
            raise BadRequestError(f"The {name} {value[:40]!r} is no date: write it as 2024-01-31.") from None
    if found is not None and not isinstance(found, date):
        raise BadRequestError(f"The {name} is a date, such as date(2024, 1, 31) (got {value!r}).")
    if isinstance(found, datetime):
        if found.tzinfo is None:
            raise BadRequestError(f"The {name} {found} has no time zone: write a date, or a datetime with tzinfo=UTC.")
        return found.astimezone(UTC)
    if found is not None and not 1 < found.year < 9_999:
        raise BadRequestError(f"The {name} {found} lies outside of the years 2 to 9998.")
    return found
