"""Makes marketfetch/vendors/trading_days.txt from the library exchange-calendars: `python -m tests.vendors.trading_days_table`.

The library is a dependency of developers alone: it needs pandas, and what it knows of an exchange is a few kilobytes. It knows
about a year ahead; make the table anew with each release, and when the library brings a closure that was announced.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Iterator
from datetime import date, timedelta
from importlib.metadata import version

from marketfetch.vendors import trading_days
from marketfetch.vendors.times import zone_info

#: The zone of each exchange, and the first day of its part of the table.
ZONES = {
    "XNYS": "America/New_York",
    "XLON": "Europe/London",
    "XTSE": "America/Toronto",
    "XETR": "Europe/Berlin",
    "XTKS": "Asia/Tokyo",
    "XHKG": "Asia/Hong_Kong",
}
#: A break in the middle of the day, and longer ago other hours than the library has.
FIRSTS = {"XTKS": date(2000, 1, 1), "XHKG": date(2013, 1, 1)}
FIRST = date(1990, 1, 1)
#: The usual hours of each exchange, in its own time, from a day on.
HOURS = {
    "XNYS": {FIRST: "09:30-16:00"},
    "XLON": {FIRST: "08:00-16:30"},
    "XTSE": {FIRST: "09:30-16:00"},
    "XETR": {FIRST: "09:00-17:30"},
    "XTKS": {FIRST: "09:00-11:30 12:30-15:00", date(2024, 11, 5): "09:00-11:30 12:30-15:30"},
    "XHKG": {FIRST: "09:30-12:00 13:00-16:00"},
}

HEAD = """\
# Sessions and hours of exchanges, made by `python -m tests.vendors.trading_days_table` from exchange-calendars {version}.
# exchange: code, zone, first and last day. hours: the usual ones from a day on; two parts have a break between them.
# closed: weekdays without a session. closes: sessions with another close. All times are those of the exchange, which has no
# session at weekends.
"""


def sessions(code: str, first: date, last: date) -> dict[date, str]:
    """The sessions of an exchange with their hours ("09:30-16:00"), as the library knows them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the library and its pandas
        import exchange_calendars

        calendar = exchange_calendars.get_calendar(code, start=first.isoformat(), end=last.isoformat())
        zone = zone_info(ZONES[code])
        columns = (calendar.opens, calendar.break_starts, calendar.break_ends, calendar.closes)
        times = zip(*(column.dt.tz_localize("UTC") if column.dt.tz is None else column for column in columns), strict=True)
        found = {}
        for day, moments in zip(calendar.opens.index, times, strict=True):
            begin, pause, again, end = (f"{one.tz_convert(zone):%H:%M}" if one == one else "" for one in moments)  # NaT
            found[day.date()] = f"{begin}-{pause} {again}-{end}" if pause else f"{begin}-{end}"
        return found


def known_until() -> date:
    """The last day that the library has by default."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from exchange_calendars.exchange_calendar import ExchangeCalendar

        found: date = ExchangeCalendar.default_end().date()
        return found


def table() -> str:
    """The whole file."""
    last = known_until()
    parts = [HEAD.format(version=version("exchange-calendars"))]
    for code in HOURS:
        parts += ["\n".join(exchange_lines(code, last)), "\n"]
    return "".join(parts)


def exchange_lines(code: str, last: date) -> Iterator[str]:
    first = FIRSTS.get(code, FIRST)
    found = sessions(code, first, last)
    yield f"exchange {code} {ZONES[code]} {first} {last}"
    for since, hours in HOURS[code].items():
        yield f"hours {max(since, first):%Y%m%d} {hours}"
    years: dict[tuple[str, int], list[str]] = defaultdict(list)
    for number in range((last - first).days + 1):
        day = first + timedelta(days=number)
        if day.weekday() < 5 and day not in found:
            years["closed", day.year].append(f"{day:%m%d}")
        assert day.weekday() < 5 or day not in found, (
            f"{code} has a session on {day}: the table has no place for one at a weekend"
        )
        usual = next(hours for since, hours in reversed(HOURS[code].items()) if since <= day)
        if found.get(day, usual)[-5:] != usual[-5:]:
            years["closes", day.year].append(f"{day:%m%d}@{found[day][-5:].replace(':', '')}")
    for kind, year in sorted(years):
        yield f"{kind} {year} {' '.join(years[kind, year])}"


if __name__ == "__main__":
    trading_days._TABLE.write_text(table(), encoding="ascii")
