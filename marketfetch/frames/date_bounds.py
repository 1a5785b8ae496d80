"""From the dates of a question to the moments of bars, and back: the dates are those of the exchange, as in a job."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final, cast

from marketfetch.exceptions import BadRequestError
from marketfetch.schemas.timespans import Timespan, is_intraday
from marketfetch.storage.zone_offsets import zone_offsets
from marketfetch.vendors.times import day_start_ms, period_start, unix_ms

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from marketfetch.schemas.bars import Ints

#: A daily bar begins at midnight of its session's date in the zone of the exchange. Half a day later the date is the same one
#: also where a change of the clocks is not known, and in UTC for most zones.
_HALF_A_DAY_MS: Final = 12 * 3_600_000
_DAY_MS: Final = 24 * 3_600_000

#: What a range may begin or end with: a date, a moment with its zone, or either in ISO 8601.
Moment = date | str | None


def session_days(ts: Ints, timespan: str, zone: str | None) -> NDArray[np.int32] | None:
    """The dates of sessions as days since 1970, as the view `bars` has them; `ts` are starts of bars in Unix ms, ascending.

    Of a weekly or monthly bar its first date. None for intraday bars whose zone is not known.
    """
    import numpy as np

    intraday = is_intraday(cast("Timespan", timespan))
    known = zone_offsets(zone) if zone else ()
    if intraday and not known:
        return None
    shift = 0 if intraday else _HALF_A_DAY_MS
    if not known or not len(ts):
        return ((ts + shift) // _DAY_MS).astype(np.int32)
    starts, seconds = (np.array(column, dtype=np.int64) for column in zip(*known, strict=True))
    first, last = np.searchsorted(starts, (ts[0], ts[-1]), side="right") - 1
    # A few changes of the clocks lie among many bars: they are looked up in the bars, not the bars among them.
    ends = np.searchsorted(ts, starts[first + 1 : last + 1])
    offsets = np.repeat(seconds[first : last + 1] * 1000 + shift, np.diff(ends, prepend=0, append=len(ts)))
    return ((ts + offsets) // _DAY_MS).astype(np.int32)


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
