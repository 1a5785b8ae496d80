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

FIRST = date(1990, 1, 1)
ZONES = {"XNYS": "America/New_York", "XLON": "Europe/London", "XTSE": "America/Toronto", "XETR": "Europe/Berlin"}
#: The usual close of each exchange, in its own time.
CLOSES = {"XNYS": "16:00", "XLON": "16:30", "XTSE": "16:00", "XETR": "17:30"}

HEAD = """\
# Sessions and closes of exchanges, made by `python -m tests.vendors.trading_days_table` from exchange-calendars {version}.
# exchange: code, zone, usual close, first and last day. closed: weekdays without a session.
# closes: sessions with another close. All times are those of the exchange, which has no session at weekends.
"""


def sessions(code: str, first: date, last: date) -> dict[date, str]:
    """The sessions of an exchange with their closes ("13:00"), as the library knows them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the library and its pandas
        import exchange_calendars

        calendar = exchange_calendars.get_calendar(code, start=first.isoformat(), end=last.isoformat())
        closes = calendar.closes.dt.tz_convert(zone_info(ZONES[code]))
        return {day.date(): f"{close:%H:%M}" for day, close in closes.items()}


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
    for code in CLOSES:
        parts += ["\n".join(exchange_lines(code, last)), "\n"]
    return "".join(parts)


def exchange_lines(code: str, last: date) -> Iterator[str]:
    found = sessions(code, FIRST, last)
    yield f"exchange {code} {ZONES[code]} {CLOSES[code]} {FIRST} {last}"
    years: dict[tuple[str, int], list[str]] = defaultdict(list)
    for number in range((last - FIRST).days + 1):
        day = FIRST + timedelta(days=number)
        if day.weekday() < 5 and day not in found:
            years["closed", day.year].append(f"{day:%m%d}")
        assert day.weekday() < 5 or day not in found, (
            f"{code} has a session on {day}: the table has no place for one at a weekend"
        )
        if found.get(day, CLOSES[code]) != CLOSES[code]:
            years["closes", day.year].append(f"{day:%m%d}@{found[day].replace(':', '')}")
    for kind, year in sorted(years):
        yield f"{kind} {year} {' '.join(years[kind, year])}"


if __name__ == "__main__":
    trading_days._TABLE.write_text(table(), encoding="ascii")
