"""Tokens that are bound to an owner: they submit and see the jobs of this owner alone, and nothing that is of everyone."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest

from marketfetch import configured, connections
from marketfetch.exceptions import BadRequestError
from marketfetch.ops import access_tokens
from marketfetch.quotas.lanes import lane
from marketfetch.settings import environment, override
from marketfetch.web.guards import AccessRules
from marketfetch.web.pages.visitors import COOKIE
from tests.web.conftest import client_of

WISH = {"provider": "polygon", "symbols": ["AAPL"], "start": "2024-01-02", "end": "2024-01-05", "adjustment": "raw"}


@pytest.fixture
def clients(make_client):
    """A client for each token; polygon has a key without an owner and one of acme."""
    make_client()
    variables = {name: value for name, value in environment().items() if name.startswith("MARKETFETCH_")}
    variables["MARKETFETCH_PROVIDERS__POLYGON__API_KEYS"] = '["main:S3CR3T-main", "acme:S3CR3T-acme"]'
    variables["MARKETFETCH_PROVIDERS__POLYGON__KEY_OWNERS"] = '{"acme": "acme"}'
    with override(variables):
        configured.keys.cache_clear()
        yield lambda name, **how: Holder(access_tokens.create(name, **how).token)
    configured.keys.cache_clear()


class Holder:
    """Asks with a token: routes by the header, pages by the cookie."""

    def __init__(self, token: str) -> None:
        self.client = client_of(AccessRules(tokens_always=True))
        self.with_token = {"headers": {"Authorization": f"Bearer {token}", "Cookie": f"{COOKIE}={token}"}}
        self.refused = self.client.refused

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.client.get(path, **self.with_token, **more)

    def post(self, path: str, **more: Any) -> httpx.Response:
        return self.client.post(path, **self.with_token, **more)


def test_a_bound_token_submits_with_its_owners_keys_and_sees_its_own_jobs_alone(clients):
    acme, other = clients("acme-app", scope="submit", owner="acme"), clients("of-house", scope="operate")
    ours = acme.post("jobs", json=WISH).json()["job"]
    theirs = other.post("jobs", json=WISH | {"symbols": ["MSFT"], "name": "secret-plan"}).json()["job"]
    gate = connections.gate("polygon")
    assert (gate.parked(lane("acme")), gate.parked("")) == (1, 1)
    assert acme.get(f"jobs/{ours}").json()["owner"] == "acme"
    assert [one["job"] for one in acme.get("jobs").json()["jobs"]] == [ours]
    assert [one["job"] for one in acme.get("jobs", params={"owner": "of-house"}).json()["jobs"]] == [ours]
    assert {one["job"] for one in other.get("jobs").json()["jobs"]} == {ours, theirs}
    for path in (f"jobs/{theirs}", f"jobs/{theirs[:6]}", "jobs/secret-plan", f"jobs/{theirs}/failures"):
        said = acme.refused(acme.get(path), 404)
        assert theirs not in said or theirs in path
    for what in ("cancel", "resume", "retry"):
        acme.refused(acme.post(f"jobs/{theirs}/{what}", json={}), 404)
    acme.refused(acme.get("rejects", params={"of": theirs}), 404)
    acme.refused(acme.get("events", params={"job": theirs}), 404)
    assert "is its own" in acme.refused(acme.post("jobs", json=WISH | {"owner": "beta"}), 403)
    assert acme.post("plan", json=WISH | {"symbols": ["TSLA"]}).json()["keys"] == ["acme"]


def test_what_is_of_everyone_is_refused_to_a_bound_token(clients):
    acme = clients("acme-reads", scope="read", owner="acme")
    for path in ("quotas", "quotas/health", "schedules", "dead", "/metrics", "/keys", "/failures", "/schedules"):
        assert "is of one owner" in acme.get(path).text, path
    assert acme.get("vendors").status_code == 200


def test_an_owner_without_a_key_is_refused_and_a_token_without_an_owner_uses_the_keys_without_one(clients):
    nobody, house = clients("nobody-app", scope="submit", owner="nobody"), clients("house-app", scope="submit")
    assert "The owner 'nobody' has no key of polygon" in nobody.refused(nobody.post("jobs", json=WISH), 422)
    assert house.post("jobs", json=WISH).status_code == 201


def test_a_token_that_operates_is_bound_to_nobody(clients):
    with pytest.raises(BadRequestError, match="has the scope read or submit"):
        access_tokens.create("wide", scope="operate", owner="acme")


def test_the_page_of_keys_names_the_owner_of_each(clients):
    page = clients("of-house", scope="read").get("/keys").text
    notes = dict(re.findall(r'<h3 id="key-polygon-\d+">(\w+) .*?<p class="note">([^<]+)</p>', page, re.DOTALL))
    assert notes == {"acme": "owner acme", "main": "no owner"}
