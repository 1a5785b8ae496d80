"""The table of sessions: what exchange-calendars says, half days and changes of clocks included, without its cost."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from datetime import UTC, date, datetime, timedelta

import pytest

from marketfetch.ops.diagnosis import of_trading_days
from marketfetch.vendors import trading_days
from marketfetch.vendors.trading_days import close_ms, exchange, exchanges
from tests.vendors import trading_days_table


def closes(calendar: str, day: str) -> str | None:
    """The close in UTC, "18:00"."""
    at_ms = close_ms(calendar, date.fromisoformat(day))
    return None if at_ms is None else f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M}"


def clock(minutes: int | None) -> str:
    return "" if minutes is None else f"{minutes // 60:02}:{minutes % 60:02}"


def test_the_table_says_what_the_library_says():
    """One test for all exchanges: the library and its pandas take a second to load."""
    for code in exchanges():
        known = exchange(code)
        expected = trading_days_table.sessions(code, known.first, known.last)
        days = (known.first + timedelta(days=number) for number in range((known.last - known.first).days + 1))
        found = {day: " ".join(f"{clock(a)}-{clock(b)}" for a, b in parts) for day in days if (parts := known.hours(day))}
        assert len(found) > 3_400
        assert {day: hours[-5:] for day, hours in found.items()} == {day: clock(known.close_minutes(day)) for day in found}
        assert found == expected, f"{code}: run python -m tests.vendors.trading_days_table"


@pytest.mark.parametrize(
    ("calendar", "day", "expected"),
    [
        ("XNYS", "2024-11-27", "2024-11-27 21:00"),
        ("XNYS", "2024-11-28", None),  # Thanksgiving
        ("XNYS", "2024-11-29", "2024-11-29 18:00"),  # the half day after it
        ("XNYS", "2024-11-30", None),
        ("XNYS", "2024-07-03", "2024-07-03 17:00"),
        ("XNYS", "2024-03-08", "2024-03-08 21:00"),  # the last session before clocks change in New York
        ("XNYS", "2024-03-11", "2024-03-11 20:00"),
        ("XNYS", "2001-09-11", None),
        ("XNYS", "2025-01-09", None),  # a day of mourning
        ("XLON", "2024-12-24", "2024-12-24 12:30"),
        ("XLON", "2024-03-28", "2024-03-28 16:30"),
        ("XLON", "2024-04-02", "2024-04-02 15:30"),
        ("XTSE", "2024-07-01", None),  # Canada Day
        ("XETR", "2024-05-20", "2024-05-20 15:30"),  # Whit Monday is a session by then
        ("24/5", "2024-11-29", "2024-11-30 00:00"),
        ("24/5", "2024-11-30", None),
        ("24/5", "2024-12-01", "2024-12-02 00:00"),
        ("24/7", "2024-11-30", "2024-12-01 00:00"),
    ],
)
def test_a_session_closes_when_its_exchange_does(calendar, day, expected):
    assert closes(calendar, day) == expected


def test_the_days_of_a_rule_end_at_midnight_in_the_zone():
    assert close_ms("24/7", date(2024, 3, 9), zone="America/New_York") == 1710046800000  # 05:00Z
    assert close_ms("24/7", date(2024, 3, 10), zone="America/New_York") == 1710129600000  # 04:00Z, after 23 hours


def test_outside_the_table_a_weekday_is_a_session_with_the_usual_close():
    """A holiday that the table does not know makes a bar final later, never earlier."""
    christmas = date(exchange("XNYS").last.year + 1, 12, 25)
    while christmas.weekday() >= 5:
        christmas = christmas.replace(year=christmas.year + 1)
    assert closes("XNYS", christmas.isoformat()) == f"{christmas} 21:00"
    assert closes("XNYS", "1985-12-24") == "1985-12-24 21:00"
    assert closes("XNYS", "1985-12-28") is None


def test_an_unknown_calendar_is_named_with_those_that_there_are():
    with pytest.raises(ValueError, match=r"no calendar 'XNYE'. Did you mean XNYS\? The calendars are XNYS, .*24/7, 24/5"):
        close_ms("XNYE", date(2024, 1, 2))


def test_an_exchange_is_read_in_less_than_five_milliseconds():
    def seconds() -> float:
        trading_days._lines.cache_clear()
        exchange.cache_clear()
        began = time.process_time()
        exchange("XNYS")
        return time.process_time() - began

    assert min(seconds() for _ in range(10)) < 0.005


WORKER_AND_COMMANDS = """
import json, pkgutil, importlib, sys
from datetime import date, datetime, UTC
import marketfetch, tasks, tasks.attempt, tasks.fetch, tasks.store
from marketfetch import cli, vendors
from marketfetch.cli import main
from marketfetch.configured import options
from marketfetch.jobs.planning import make_spec, plan
from marketfetch.ops.diagnosis import of_trading_days
from marketfetch.vendors import trading_days
from marketfetch.vendors.finality import first_partial_ms

for found in pkgutil.iter_modules(cli.__path__):
    if found.name != "__main__":
        importlib.import_module(f"marketfetch.cli.{found.name}")
old = plan(make_spec("polygon", ["AAPL"], again=False, timespan="1d", dataset="bars", start="2020-01-02", end="2024-01-02"))
unread = trading_days._lines.cache_info().currsize == 0
day = date(2024, 11, 29)
at = datetime(2024, 11, 29, 15, tzinfo=UTC)
new = plan(make_spec("polygon", ["AAPL"], again=False, timespan="1d", dataset="bars", start="2024-01-02", end=day, at=at))
for name in vendors.names():
    importlib.import_module(f"{vendors.vendor(name).options.__module__.rpartition('.')[0]}.replies")
polygon = vendors.vendor("polygon")
first_partial_ms(polygon.finality_of(new[0], options("polygon")), "1d", 1732900000000)
list(of_trading_days(day))
heavy = [name for name in ("pandas", "exchange_calendars", "pyluach", "toolz") if name in sys.modules]
print(json.dumps([unread, trading_days._lines.cache_info().currsize, heavy, [one.generation == "" for one in (*old, *new)]]))
"""


def test_no_command_no_submit_and_no_worker_loads_the_library_or_pandas():
    """A closed range does not even read the table."""
    done = subprocess.run([sys.executable, "-c", WORKER_AND_COMMANDS], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [True, 1, [], [True, False]]


@pytest.mark.parametrize(("days_ahead", "says"), [(91, ""), (90, ""), (89, "ends on"), (0, "ends on"), (-1, "ended on")])
def test_check_warns_when_the_table_ends_within_ninety_days_or_has_ended(days_ahead, says):
    last = exchange("XNYS").last
    warnings = list(of_trading_days(last - timedelta(days=days_ahead)))
    assert {one.level for one in warnings} <= {"warning"}
    assert [one.sentence for one in warnings if f"XNYS {says} {last}" in one.sentence] == [
        one.sentence for one in warnings if "XNYS" in one.sentence
    ]
    assert len([one for one in warnings if "XNYS" in one.sentence]) == bool(says)
