"""From the moments of bars to the dates of their sessions, in bulk: the same dates as in the view `bars`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from marketfetch.schemas.timespans import Timespan, is_intraday
from marketfetch.storage.zone_offsets import zone_offsets

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from marketfetch.schemas.bars import Ints

#: A daily bar begins at midnight of its session's date in the zone of the exchange. Half a day later the date is the same one
#: also where a change of the clocks is not known, and in UTC for most zones.
_HALF_A_DAY_MS: Final = 12 * 3_600_000
_DAY_MS: Final = 24 * 3_600_000


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
