"""Bars of currencies at weekends: their markets close from Friday evening to Sunday evening, and few trades make odd bars."""

from __future__ import annotations

import numpy as np

from marketfetch.schemas.bars import BarColumns
from marketfetch.schemas.page import Quirk
from marketfetch.schemas.timespans import Timespan, is_intraday


def weekend_quirks(bars: BarColumns, timespan: Timespan) -> tuple[Quirk, ...]:
    """Counts the bars of currencies that begin on a Saturday or Sunday in UTC. They are stored: a vendor may mean them."""
    if not (timespan == "1d" or is_intraday(timespan)):
        return ()
    # 1970-01-01 was a Thursday, so day numbers 2 and 3 of each seven are Saturday and Sunday.
    weekend = int(np.count_nonzero(np.isin((bars.ts // 86_400_000) % 7, (2, 3))))
    return (Quirk("FX bar on a weekend", weekend),) if weekend else ()
