"""The calendars of Nasdaq Data Link's tables: of the known ones, and of those that the settings map. Others have none."""

from __future__ import annotations

from typing import Final

from marketfetch.schemas.request import Request
from marketfetch.vendors.finality import Finality

from .calls import dataset_name
from .options import NasdaqOptions
from .symbol_forms import WIKI_ENDED, zone
from .tables import mapping_named

#: From the close at 16:00 to the end of the day: a table is published in the evening, or on the next day.
_EVENING_MINUTES: Final = 480


def finality(request: Request, options: NasdaqOptions) -> Finality:
    """Returns when the rows of a table are final. No table but WIKI is known to have ended."""
    name = dataset_name(request, options) or request.dataset
    mapping = mapping_named(name, options.tables)
    delay = options.final_after_minutes
    if mapping is None or mapping.calendar is None:
        return Finality(zone=zone(request, options), delay_minutes=delay, sessions_known=False)
    ended = WIKI_ENDED if name.upper().startswith("WIKI/") else None
    return Finality(
        calendar=mapping.calendar, zone=mapping.zone, extended_minutes=_EVENING_MINUTES, delay_minutes=delay, until=ended
    )
