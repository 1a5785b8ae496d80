"""The page of freshness: its count, its calendar and what its buttons ask for are the same sessions."""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from marketfetch import connections
from marketfetch.ops.lacking_lately import lately
from marketfetch.ops.missing_sessions import Gap
from marketfetch.schemas.bars import BarColumns
from marketfetch.vendors.expected_days import date_of, expected_days, unix_day
from tests.frames.test_gaps import covered
from tests.web import page_scene
from tests.web.test_pages import Browser, browser, scene  # noqa: F401 (pytest finds the fixtures here)

#: Of the scene, those that end six sessions early.
EVERY_THIRD = page_scene.SYMBOLS[2::3]
Asked = dict[str, list[tuple[date, date]]]


def sessions(first: date, last: date) -> list[date]:
    return [date_of(int(one)) for one in expected_days("XNYS", "1d", unix_day(first), unix_day(last))]


def keep(symbol: str, days: list[date]) -> None:
    ts = np.array([page_scene.midnight(one) for one in days], dtype=np.int64)
    price = np.full(len(ts), 10.0)
    page_scene.store_bars(symbol, BarColumns.build(ts, open=price, high=price, low=price, close=price, volume=price))


def asked(location: str, page: Browser) -> Asked:
    """The ranges of each symbol that the jobs of the button ask for."""
    number = int(re.findall(r"n=(\d+)", location)[0])
    words = "1 job asks for what is missing" if number == 1 else f"{number} jobs ask for what is missing"
    assert words in page.page(location)
    found: Asked = {}
    sql = "SELECT r.arguments FROM job_requests r JOIN jobs j ON j.id = r.job_id WHERE j.tags LIKE ?"
    for (text,) in connections.store().database.read(sql, "%repair%"):
        one = json.loads(text)
        for symbol in one["symbol"].split(","):
            found.setdefault(symbol, []).append((date.fromisoformat(one["start"]), date.fromisoformat(one["end"])))
    return found


@pytest.fixture
def page(browser: Browser) -> Browser:  # noqa: F811
    """The scene with a listing of four weeks ago, one that ended, and one of years whose last bars are old."""
    today = datetime.now(UTC).date()
    days = sessions(today - timedelta(days=400), today - timedelta(days=2))
    keep("YOUNG", [one for n, one in enumerate(days[-20:]) if n != 5])
    keep("OVER", days[:-30])
    covered(connections.store(), "OVER", f"{days[-60]}", f"{today}", f"{today}")
    keep("STALE", days[:-9])
    return browser


def test_the_count_the_calendar_and_the_jobs_are_the_same_sessions(page):
    with_gaps = lately(connections.store())
    missing = [one for one in with_gaps.missing if isinstance(one, Gap)]
    lacking = sum(one.sessions for one in missing)
    text = page.page("/freshness")
    stored, expected = (sum(getattr(day, of) for one in with_gaps.groups for day in one.days) for of in ("stored", "expected"))
    assert expected - stored == lacking
    assert f"Of the last 26 weeks {lacking} sessions are missing that a call may bring" in text
    assert sum(map(int, re.findall(r"<dt>missing: [a-z ]+</dt><dd>(\d+)</dd>", text))) == lacking
    found = asked(page.send("/freshness/repair").headers["location"], page)
    assert set(found) == {one.symbol for one in missing} == {"AAPL", "TSLA", *EVERY_THIRD, "YOUNG", "STALE"}
    for symbol, ranges in found.items():
        gaps = [one for one in missing if one.symbol == symbol]
        assert min(first for first, _ in ranges) == min(one.first for one in gaps), symbol
        assert max(last for _, last in ranges) == max(one.last for one in gaps), symbol
        assert all(any(first <= one.first <= one.last <= last for first, last in ranges) for one in gaps), symbol


def test_a_series_that_is_behind_has_a_button_of_its_own(page):
    text = page.page("/freshness")
    behind = lately(connections.store()).behind
    assert {one.symbol for one in behind} >= {"STALE", *EVERY_THIRD}
    assert "OVER" not in {one.symbol for one in behind}
    assert f"{sum(one.sessions for one in behind)} sessions behind the last bars" in text
    found = asked(page.send("/freshness/repair?of=behind").headers["location"], page)
    assert found == {
        symbol: [(one.first, one.last) for one in behind if one.symbol == symbol] for symbol in {one.symbol for one in behind}
    }


def test_where_nothing_lacks_there_is_no_button_and_no_job(page):
    store: Any = connections.store()
    for one in lately(store).missing:
        keep(one.symbol, sessions(one.first, one.last))
    text = page.page("/freshness")
    assert "/freshness/repair" not in text
    assert "No call can bring what is missing" in page.page(page.send("/freshness/repair").headers["location"])
