"""The page of failures: what to do next is a link or a button, and does that."""

from __future__ import annotations

import html
import json
import re
from datetime import date
from typing import Any

from marketfetch import connections
from marketfetch.jobs.submission import submit
from marketfetch.schemas.rejects import Reject
from tests.frames.test_gaps import covered, ended, keep_days, weekdays
from tests.web.page_scene import end_requests
from tests.web.test_pages import browser, scene  # noqa: F401 (pytest finds the fixtures here)

DIFFER = "two rows of one time differ"


def test_symbols_that_the_vendor_does_not_know_lead_to_the_form_filled_in(browser):  # noqa: F811
    wish: dict[str, Any] = {"start": "2024-01-02", "end": "2024-01-05", "adjustment": "raw", "name": "mine"}
    job = submit("polygon", ["AAPL"], again=True, owner="ann", **wish).job_id
    end_requests(job, 1, failed="AAPL: UnknownSymbol: no such symbol.")
    for path in ("/failures", f"/jobs/{job}"):
        (address,) = re.findall(r'href="(/submit\?[^"]+)"', browser.page(path))
        form = browser.page(html.unescape(address))
        assert re.findall(r"<option selected>([^<]+)<", form) == ["polygon", "1d", "raw"]
        assert ">AAPL</textarea>" in form
        for name in ("start", "end", "name"):
            assert f'name="{name}" value="{wish[name]}"' in form


def test_rows_of_a_reason_are_shown_and_asked_for_again_where_that_may_help(browser):  # noqa: F811
    store = connections.store()
    keep_days(store, "KO", weekdays(date(2023, 11, 27), date(2023, 12, 8), "2023-12-04", "2023-12-06"))
    ended(store, "KO", "2023-12-04", "2023-12-04", outcome="stored", rejects=[Reject.of(0, "close", "1", DIFFER, symbol="KO")])
    covered(store, "KO", "2023-12-01", "2023-12-08", "2023-12-08")
    page = browser.page("/failures")
    assert page.count('action="/failures/rejects/ask"') == 1, "of a price that is wrong the same call brings the same"
    (rows,) = [html.unescape(one) for one in re.findall(r'href="(/failures\?of=[^"]+)"', page) if "differ" in one]
    shown = browser.page(rows)
    assert '<details id="rows" open>' in shown
    assert 'polygon <a href="/bars?q=KO">KO</a>' in shown
    assert "is above open or close" not in shown
    done = browser.send("/failures/rejects/ask", of="", reason=f"close: {DIFFER}").headers["location"]
    assert "1 job asks for the sessions that these series lack" in browser.page(done)
    sql = "SELECT r.arguments FROM job_requests r JOIN jobs j ON j.id = r.job_id WHERE j.tags LIKE ?"
    (asked,) = [json.loads(text) for (text,) in store.database.read(sql, "%repair%")]
    assert (asked["symbol"], asked["start"], asked["end"]) == ("KO", "2023-12-04", "2023-12-04")
    none = browser.send("/failures/rejects/ask", of="", reason="no such reason").headers["location"]
    assert "so no job was submitted" in browser.page(none)
