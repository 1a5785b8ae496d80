"""The pages of settings and the form that submits, as a browser without JavaScript has them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from marketfetch import connections, settings_in_force
from marketfetch.jobs.job_list import list_jobs
from marketfetch.ops import access_tokens, changing_settings
from marketfetch.sealing import new_master_key
from marketfetch.settings import environment, override
from marketfetch.web.guards import AccessRules
from tests.web.conftest import client_of
from tests.web.test_pages import Browser

NAME = "universes.watchlist"


@pytest.fixture
def browser(make_client: Any) -> Iterator[Browser]:
    make_client()
    settings_in_force.forget()
    ours = {name: value for name, value in environment().items() if name.startswith("MARKETFETCH_")}
    with override({**ours, "MARKETFETCH_MASTER_KEY": new_master_key()}):
        connections.store().database.change(lambda execute: execute("DELETE FROM setting_changes"))
        yield Browser(client_of(AccessRules()))
    settings_in_force.forget()


def version(page: str) -> str:
    (found,) = set(re.findall(r'name="version" value="([0-9]+)"', page))
    return found


def test_a_setting_is_changed_undone_and_listed_with_who(browser):
    page = browser.page(f"/settings/one?name={NAME}")
    assert version(page) == "0"
    sent = browser.send("/settings/change", name=NAME, version="0", value="AAPL\nMSFT", what="put")
    assert (sent.status_code, sent.headers["location"]) == (303, f"/settings?done=put&name={NAME}")
    page = browser.page(sent.headers["location"])
    assert f"{NAME} is changed" in page
    assert page.count("AAPL") >= 2
    assert "by ann" in browser.page(f"/settings/one?name={NAME}")
    (number,) = re.findall(r'action="(/settings/undo/[0-9]+)"', page)
    assert browser.send(number).status_code == 303
    assert "Nothing is set in the database yet" in browser.page("/settings")
    assert "undoes" in browser.page("/settings")
    # Of two changes of one setting the latest alone can be undone.
    assert len(re.findall("/settings/undo/", browser.page("/settings"))) == 1


def test_the_second_admin_is_told_who_came_first_and_keeps_what_was_typed(browser):
    seen = version(browser.page(f"/settings/one?name={NAME}"))
    changing_settings.put(NAME, ["TSLA"], who="ben")
    sent = browser.send("/settings/change", name=NAME, version=seen, value="AAPL <b>", what="put")
    assert sent.status_code == 412
    assert "was changed by ben at" in sent.text
    assert ">AAPL &lt;b&gt;</textarea>" in sent.text
    assert int(version(sent.text)) > int(seen)
    wrong = browser.send("/settings/change", name="max_reject_share", version="0", value="7", what="put")
    assert (wrong.status_code, "<textarea" in wrong.text, ">7</textarea>" in wrong.text) == (422, True, True)


def test_a_key_is_typed_and_never_shown(browser):
    name = "providers.nasdaq.api_keys.acme"
    page = browser.page(f"/settings/one?name={name}")
    assert 'type="password"' in page
    assert (
        browser.send("/settings/change", name=name, version="0", value="S3CR3T-x", owner="acme", what="put").status_code == 303
    )
    stale = browser.send("/settings/change", name=name, version="0", value="S3CR3T-y", what="put")
    assert stale.status_code == 412
    for text in (stale.text, browser.page("/settings"), browser.page(f"/settings/one?name={name}"), browser.page("/keys")):
        assert "S3CR3T" not in text
    assert "providers.nasdaq.key_owners.acme" in browser.page("/settings")


def test_a_wish_is_planned_before_it_is_sent(browser):
    given = {"provider": "polygon", "symbols": "AAPL, MSFT", "start": "2024-01-02", "end": "2024-01-05", "adjustment": "raw"}
    planned = browser.send("/submit", **given, what="plan")
    assert planned.status_code == 200, planned.text
    assert "2 calls" in planned.text
    assert list_jobs() == []
    again = dict(re.findall(r'<input type="hidden" name="([a-z]+)" value="([^"]*)">', planned.text))
    sent = browser.send("/submit", **again, what="submit")
    assert sent.status_code == 303
    (job,) = list_jobs()
    assert sent.headers["location"] == f"/jobs/{job.job_id}"
    wrong = browser.send("/submit", **{**given, "provider": "polygn"}, what="plan")
    assert (wrong.status_code, "AAPL, MSFT" in wrong.text) == (422, True)


def test_only_admins_see_settings_and_only_submitters_the_form(browser):
    for scope, settings, submit in (("operate", 403, 200), ("read", 403, 403), ("admin", 200, 200)):
        one = Browser(client_of(AccessRules(tokens_always=True)), access_tokens.create(f"of-{scope}", scope=scope).token)
        assert (one.get("/settings").status_code, one.get("/submit").status_code) == (settings, submit)
        assert ('href="/settings"' in one.page("/"), 'href="/submit"' in one.page("/")) == (settings == 200, submit == 200)


def test_a_submit_too_many_is_a_page_that_says_when_it_may_again(browser):
    created = access_tokens.create("shop", scope="submit", submits="1/hour")
    shop = Browser(client_of(AccessRules(tokens_always=True)), created.token)
    days = {"start": "2024-01-02", "end": "2024-01-05"}
    given: dict[str, Any] = {"provider": "polygon", "symbols": "AAPL", "what": "plan", **days}
    assert shop.send("/submit", **given).status_code == 200
    refused = shop.send("/submit", **given)
    assert refused.status_code == 429
    assert refused.headers["content-type"].startswith("text/html")
    assert 0 < int(refused.headers["retry-after"]) <= 3_600
    assert "has submitted 1/hour already: it may again in" in refused.text
    assert created.token not in refused.text
