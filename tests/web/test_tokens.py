"""Tokens: made once, shown once, kept as hashes; each admits what its scope says, and a revoked one nothing within seconds."""

from __future__ import annotations

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from click.testing import CliRunner

from marketfetch import connections
from marketfetch.cli.main import marketfetch
from marketfetch.exceptions import BadRequestError
from marketfetch.jobs import submission
from marketfetch.ops import access_tokens
from marketfetch.storage import api_tokens
from marketfetch.storage.api_tokens import TokenRow
from marketfetch.web import known_tokens, live_view, submit_quota
from marketfetch.web.app import PREFIX
from marketfetch.web.call_threads import Calls
from marketfetch.web.callers import Caller
from marketfetch.web.known_tokens import KnownTokens
from marketfetch.web.live_view import Live, Wanted
from marketfetch.web.problems import Refused
from tests.storage.conftest import postgres_url, store, url  # noqa: F401 (pytest finds the fixtures here)
from tests.web.conftest import Client, shared_api

WISH = {"provider": "polygon", "symbols": ["AAPL"], "start": "2024-01-02", "end": "2024-01-31"}


@pytest.fixture
def closed(make_client, monkeypatch) -> Client:
    """An API that takes no request without a token, and looks each up anew."""
    monkeypatch.setattr(known_tokens, "KNOWN_S", 0.0)
    client = make_client(tokens_always=True)
    connections.store().database.change(lambda execute: execute("DELETE FROM tokens"))
    return client


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def made(name: str, **more: Any) -> dict[str, str]:
    return bearer(access_tokens.create(name, **more).token)


def test_the_database_keeps_a_token_as_its_hash_alone(store):  # noqa: F811
    row = TokenRow("1", "shop", "read", "60/minute", 1_000, expires_ms=2_000)
    assert api_tokens.add_token(store, row, "hash")
    assert not api_tokens.add_token(store, TokenRow("2", "shop", "read", "", 1_000), "other"), "its name is taken"
    assert api_tokens.tokens(store) == [row]
    assert api_tokens.token_of(store, "hash") == row
    assert api_tokens.token_of(store, "other") is None
    assert api_tokens.valid_among(store, ["1", "2"], at_ms=1_999) == {"1"}
    assert api_tokens.valid_among(store, ["1"], at_ms=2_000) == set()
    assert api_tokens.revoke_token(store, "1", at_ms=1_500)
    assert not api_tokens.revoke_token(store, "1", at_ms=1_600)
    assert (api_tokens.token_of(store, "hash") or row).revoked_ms == 1_500
    assert api_tokens.add_token(store, TokenRow("2", "shop", "read", "", 1_000), "other"), "a revoked one has no name to keep"


def test_a_token_is_printed_once_and_found_nowhere_again(closed):
    runner = CliRunner()
    printed = runner.invoke(marketfetch, ["token", "create", "shop", "--scope", "submit"])
    token = printed.stdout.strip()
    assert token.startswith("mft_")
    assert len(token) == 47
    listed = runner.invoke(marketfetch, ["token", "list", "--json"]).stdout
    (one,) = json.loads(listed)["tokens"]
    assert (one["name"], one["scope"], one["submits"], one["revoked_at"]) == ("shop", "submit", "60/minute", None)
    assert token not in listed + runner.invoke(marketfetch, ["token", "list"]).stdout
    assert token not in str(connections.store().database.read("SELECT * FROM tokens"))
    assert closed.get("jobs", headers=bearer(token)).status_code == 200

    assert "is revoked" in runner.invoke(marketfetch, ["token", "revoke", "shop"]).stderr
    assert "is revoked" in closed.refused(closed.get("jobs", headers=bearer(token)), 401)
    assert "revoked" in runner.invoke(marketfetch, ["token", "list"]).stdout
    refused = runner.invoke(marketfetch, ["token", "revoke", "shop"]).output
    assert f"There is no token 'shop'. {connections.store().database.where} has none that is valid." in refused


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("", {}), "A token has a name"),
        (("a\nb", {}), "A token has a name"),
        (("shop", {"scope": "reed"}), "Did you mean read?"),
        (("shop", {"submits": "often"}), "is written like 60/minute"),
        (("shop", {"submits": "5/day@UTC"}), "a number up to 10,000 in a span"),
    ],
)
def test_a_wrong_token_is_refused(closed, arguments, says):
    name, more = arguments
    with pytest.raises(BadRequestError, match=says.replace("?", r"\?")):
        access_tokens.create(name, **more)


def test_a_second_token_of_a_name_is_refused(closed):
    made("shop")
    with pytest.raises(BadRequestError, match="There is a token 'shop' already"):
        made("shop")


#: Every route, with the narrowest scope that it takes.
OPEN = {"/health"}
READ = {"/plan"}
SUBMIT = {"/jobs", "/updates", "/jobs/{job}/cancel", "/jobs/{job}/resume", "/jobs/{job}/retry"}


def needed(method: str, path: str) -> str:
    if path in OPEN:
        return ""
    if path.startswith("/settings"):
        return "admin"
    if method == "GET" or path in READ:
        return "read"
    return "submit" if path in SUBMIT else "operate"


ROUTES = sorted((method.upper(), path) for path, of in shared_api().openapi()["paths"].items() for method in of)


def test_every_route_takes_its_scope_and_no_narrower_one(closed):
    scopes: tuple[str, ...] = access_tokens.SCOPES
    tokens = {scope: made(scope, scope=scope) for scope in scopes}
    for method, full in ROUTES:
        path = full.removeprefix(PREFIX)
        scope = needed(method, path)
        if not scope:
            continue
        closed.refused(closed.ask(method, full, json={}), 401)
        narrower = scopes[: scopes.index(scope)]
        for one in narrower:
            said = closed.refused(closed.ask(method, full, json={}, headers=tokens[one]), 403)
            assert f"has the scope {one}, and this takes {scope}" in said
        if path != "/events":  # which goes on
            assert closed.ask(method, full, json={}, headers=tokens[scope]).status_code not in (401, 403), path


def test_an_expired_token_is_refused(closed, monkeypatch):
    token = made("brief", days=1)
    assert closed.get("jobs", headers=token).status_code == 200
    now = access_tokens._now_ms()
    monkeypatch.setattr(access_tokens, "_now_ms", lambda: now + 86_400_001)
    closed.refused(closed.get("jobs", headers=token), 401)


def test_the_jobs_of_a_token_are_its_own_and_another_ones_are_steered_by_operators_alone(closed):
    shop, desk, boss = made("shop", scope="submit"), made("desk", scope="submit"), made("boss", scope="operate")
    job = closed.post("jobs", json=WISH, headers=shop).json()["job"]
    found = access_tokens.recognised(shop["authorization"].removeprefix("Bearer "))
    assert closed.get(f"jobs/{job}", headers=desk).json()["owner"] == f"shop (token {found and found.id})"
    assert "is not one of 'desk'" in closed.refused(closed.post(f"jobs/{job}/cancel", headers=desk), 403)
    assert closed.post(f"jobs/{job}/cancel", headers=shop).status_code == 200
    assert closed.post(f"jobs/{job}/resume", headers=boss).status_code == 200


def test_a_later_token_of_the_same_name_and_a_user_of_that_name_own_other_jobs(closed):
    shop = made("shop", scope="submit")
    job = closed.post("jobs", json=WISH, headers=shop).json()["job"]
    of_user = submission.submit("polygon", ["MSFT"], start="2024-01-02", end="2024-01-31", owner="shop").job_id
    access_tokens.revoke("shop")
    again = made("shop", scope="submit")
    for one in (job, of_user):
        assert "is not one of 'shop'" in closed.refused(closed.post(f"jobs/{one}/cancel", headers=again), 403)


def test_a_token_names_no_other_owner(closed):
    shop, boss = made("shop", scope="submit"), made("boss", scope="operate")
    for path, body in (("jobs", WISH), ("updates", {"provider": "polygon", "symbols": ["AAPL"]})):
        said = closed.refused(closed.post(path, json={**body, "owner": "boss"}, headers=shop), 403)
        assert "to name another owner takes the scope operate" in said
        job = closed.post(path, json={**body, "owner": "ann"}, headers=boss).json()["job"]
        assert closed.get(f"jobs/{job}", headers=shop).json()["owner"] == "ann"


def test_what_others_call_their_jobs_does_not_change_which_of_its_own_a_caller_means(closed):
    shop, desk, look = made("shop", scope="submit"), made("desk", scope="submit"), made("look")
    mine = closed.post("jobs", json={**WISH, "name": "nightly"}, headers=shop).json()["job"]
    for number in range(7):
        wish = {**WISH, "name": "nightly", "tags": [str(number)]}
        assert closed.post("jobs", json=wish, headers=desk).status_code == 201
    assert closed.get("jobs/nightly", headers=shop).json()["job"] == mine
    assert closed.get("jobs/nightly/failures", headers=shop).json() == []
    assert closed.post("jobs/nightly/cancel", headers=shop).json()["job"] == mine
    assert "Several jobs have the name 'nightly'" in closed.refused(closed.get("jobs/nightly", headers=look), 422)


def test_the_limit_of_submits_holds_whatever_the_clock_of_this_machine_says(closed, monkeypatch):
    """Two servers whose clocks differ count together: the clock is that of Redis."""
    caller = Caller("shop", "submit", "1234abcd", "2/hour")
    for shift_s in (0, -7_200):
        now_ns = time.time_ns() + shift_s * 10**9
        monkeypatch.setattr(time, "time_ns", lambda now_ns=now_ns: now_ns)
        submit_quota.count(caller)
    with pytest.raises(Refused, match="has submitted 2/hour already"):
        submit_quota.count(caller)


def test_of_many_submits_at_once_as_many_are_counted_as_may_be(closed):
    caller = Caller("shop", "submit", "1234abcd", "5/hour")

    def counted(_: int) -> bool:
        try:
            submit_quota.count(caller)
        except Refused:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(counted, range(40))) == 5


def test_what_submits_calls_again_is_counted_as_a_submit(closed):
    boss = made("boss", scope="operate", submits="1/hour")
    job = closed.post("jobs", json=WISH, headers=boss).json()["job"]
    for path in (f"jobs/{job}/retry", f"jobs/{job}/resume", "gaps/repair", "schedules/nightly/run"):
        assert "has submitted 1/hour already" in closed.refused(closed.post(path, json={}, headers=boss), 429)
    assert closed.post(f"jobs/{job}/cancel", headers=boss).status_code == 200


def test_a_token_submits_so_often_and_no_more(closed):
    shop, desk = made("shop", scope="submit", submits="2/hour"), made("desk", scope="submit", submits="")
    for _ in range(2):
        assert closed.post("jobs", json=WISH, headers=shop).status_code in (200, 201)
    for path, body in (("jobs", WISH), ("updates", {"provider": "polygon", "symbols": ["AAPL"]}), ("plan", WISH)):
        response = closed.post(path, json=body, headers=shop)
        assert "has submitted 2/hour already" in closed.refused(response, 429)
        assert 0 < int(response.headers["retry-after"]) <= 3_600
    for _ in range(5):
        assert closed.post("plan", json=WISH, headers=desk).status_code == 200
        assert closed.post("jobs", json=WISH, headers=desk).status_code in (200, 201)


def test_a_known_token_is_not_looked_up_for_each_request(closed, monkeypatch):
    monkeypatch.setattr(known_tokens, "KNOWN_S", 600.0)
    shop = made("shop")
    assert closed.get("jobs", headers=shop).status_code == 200
    monkeypatch.setattr(access_tokens, "recognised", lambda _: pytest.fail("it is looked up again"))
    assert closed.get("jobs", headers=shop).status_code == 200


def test_another_address_needs_a_token_before_it_is_opened(closed):
    refused = CliRunner().invoke(marketfetch, ["serve", "--host", "0.0.0.0", "--port", "0"])
    assert refused.exit_code == 1
    assert "there is no token: `marketfetch token create NAME` makes one" in refused.output


def test_a_revoked_token_ends_the_streams_that_it_has_open(closed, monkeypatch):
    monkeypatch.setattr(live_view, "EVERY_S", 0.01)
    token = access_tokens.create("shop").row

    async def test() -> None:
        calls = Calls()
        stream = Live(calls, KnownTokens(calls).revoked).events(Wanted(token=token.id), "")
        async with asyncio.timeout(60):
            assert await anext(stream)
            assert b"event: service" in await anext(stream)
            await asyncio.to_thread(access_tokens.revoke, "shop")
            rest = [text async for text in stream]
        assert rest[-1].startswith(b"event: end")

    asyncio.run(test())
