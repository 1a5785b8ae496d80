"""The calendar of each stored series: which sessions it should have, and which of them are final by now."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from pydantic import ValidationError

from marketfetch import vendors
from marketfetch.configured import options
from marketfetch.exceptions import MarketfetchError
from marketfetch.phrases import counted
from marketfetch.printable import printable
from marketfetch.schemas.request import Request
from marketfetch.schemas.timespans import Timespan
from marketfetch.storage.stored_series import StoredSeries
from marketfetch.vendors.expected_days import date_of, expected_days, table_ends, unix_day
from marketfetch.vendors.finality import Finality, first_open_day
from marketfetch.vendors.times import zone_info
from marketfetch.vendors.trading_days import zone_of_days

if TYPE_CHECKING:
    from marketfetch.schemas.bars import Ints  # imports numpy

_MOST_NAMED: Final = 3
_MOST_SHOWN: Final = 40


@dataclass(frozen=True, slots=True)
class SeriesCalendar:
    """`zone` is that of the days; `last_final` the last day, as days since 1970, of which no bar can change any more."""

    finality: Finality
    zone: str
    timespan: Timespan
    last_final: int

    def sessions(self, first: int, last: int) -> Ints:
        """The dates of the bars that the series should have, as days since 1970, ascending. The array is shared."""
        return expected_days(self.finality.calendar, self.timespan, first, min(last, self.last_final))


class SeriesCalendars:
    """The calendars at one moment (Unix ms). What has none is counted, and `sentences` says so in the end."""

    def __init__(self, at_ms: int) -> None:
        self._at_ms = at_ms
        self._without: dict[tuple[str, str], list[str]] = {}
        self._last_days: dict[str, int] = {}

    def of(self, one: StoredSeries, dataset: str) -> SeriesCalendar | None:
        """The calendar of a series, None where none is known."""
        try:
            vendor, ours = vendors.vendor(one.provider), options(one.provider)
            asked = Request.model_validate(
                {"provider": one.provider, "dataset": dataset, "symbol": one.symbol, "timespan": one.timespan}
            )
            finality = vendor.finality_of(asked, ours)
            if not finality.sessions_known:
                return self._without_one(one, "follow no calendar that is known here, so none of their sessions can be missing")
            zone = one.zone or zone_info(vendor.zone(asked, ours)).key
            zone_info(zone)
            zone_info(zone_of_days(finality.calendar, zone=finality.zone))
            last = unix_day(first_open_day(finality, self._at_ms)) - 1
            if finality.until is not None:
                last = min(last, unix_day(finality.until))
        except (KeyError, MarketfetchError):
            return self._without_one(one, "were not checked: the vendor is not installed here, or does not know their dataset")
        except ValidationError:
            return self._without_one(one, "were not checked: this release can't ask for them")
        except ValueError as error:
            return self._without_one(one, f"were not checked: {error}. Zones come with the package tzdata: install it anew")
        self._last_days[finality.calendar] = max(last, self._last_days.get(finality.calendar, last))
        return SeriesCalendar(finality, zone, cast("Timespan", one.timespan), last)

    def _without_one(self, one: StoredSeries, why: str) -> SeriesCalendar | None:
        self._without.setdefault((one.provider, why), []).append(one.symbol)
        return None

    def sentences(self) -> Iterator[str]:
        """What people must know of the calendars that were used, and of the series without one."""
        for (provider, why), symbols in sorted(self._without.items()):
            names = ", ".join(printable(symbol, most=_MOST_SHOWN) for symbol in symbols[:_MOST_NAMED])
            more = ", ..." if len(symbols) > _MOST_NAMED else ""
            yield f"{counted(len(symbols), 'series', 'series')} of {provider} ({names}{more}) {why}."
        for calendar, last in sorted(self._last_days.items()):
            end = table_ends(calendar)
            if end is not None and date_of(last) > end:
                yield (
                    f"The calendar of {calendar} ends on {end}: after it every weekday counts as a session, so a holiday may "
                    f"look like a missing session. A newer release of marketfetch knows more."
                )
