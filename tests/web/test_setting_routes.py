"""Settings over HTTP: for admins alone, changed under the version that was seen, undone, and no secret among them."""

from __future__ import annotations

import pytest

from marketfetch import connections, settings_in_force
from marketfetch.sealing import new_master_key
from marketfetch.settings import environment, override
from tests.web.conftest import Client

LIMITS = "settings/providers.polygon.limits"
KEY = "settings/providers.nasdaq.api_keys.spare"


@pytest.fixture
def admin(make_client):
    client: Client = make_client()
    variables = {name: value for name, value in environment().items() if name.startswith("MARKETFETCH_")}
    del variables["MARKETFETCH_PROVIDERS__POLYGON__LIMITS"]
    settings_in_force.forget()
    with override({**variables, "MARKETFETCH_MASTER_KEY": new_master_key()}):
        connections.store().database.change(lambda execute: execute("DELETE FROM setting_changes"))
        yield client
    settings_in_force.forget()


def test_a_setting_is_changed_under_its_version_and_the_second_admin_is_refused(admin):
    assert admin.get(LIMITS).json()["version"] == 0
    assert admin.get(LIMITS).headers["etag"] == '"0"'
    done = admin.ask("PUT", LIMITS, json={"value": ["5/minute"]}, headers={"If-Match": '"0"'})
    assert done.status_code == 200, done.text
    change = done.json()
    assert (change["after"], change["changed_by"], change["waits_behind"]) == (["5/minute"], "ann", None)
    (limit,) = [one for one in admin.get("settings").json()["settings"] if one["name"] == "providers.polygon.limits"]
    assert (limit["value"], limit["source"], limit["version"]) == (["5/minute"], "database", change["version"])
    assert {one["text"] for one in admin.get("quotas").json()["keys"][0]["limits"]} == {"5/minute"}

    said = admin.refused(admin.ask("PUT", LIMITS, json={"value": ["6/minute"]}, headers={"If-Match": "0"}), 412)
    assert "was changed by ann at" in said
    admin.refused(admin.ask("DELETE", LIMITS, headers={"If-Match": "0"}), 412)
    assert "If-Match" in admin.refused(admin.ask("PUT", LIMITS, json={"value": ["6/minute"]}), 428)
    admin.refused(admin.ask("PUT", LIMITS, json={"value": ["6/minute"]}, headers={"If-Match": "x"}), 422)

    undone = admin.post("settings/undo", json={}).json()
    assert (undone["before"], undone["after"], undone["undoes"]) == (["5/minute"], None, change["version"])
    listed = admin.get("settings/history", params={"name": "providers.polygon.limits"}).json()["changes"]
    assert [one["version"] for one in listed] == [undone["version"], change["version"]]


def test_a_wrong_value_and_an_unknown_setting_are_refused_with_the_sentence(admin):
    seen = {"If-Match": "0"}
    assert "is not understood" in admin.refused(admin.ask("PUT", LIMITS, json={"value": ["x"]}, headers=seen), 422)
    assert "no setting that can be changed" in admin.refused(admin.get("settings/providers.polygon.x"), 422)
    assert "when a process starts" in admin.refused(
        admin.ask("PUT", "settings/redis_url", json={"value": "x"}, headers=seen), 422
    )
    assert "There is no change 99" in admin.refused(admin.post("settings/undo", json={"version": 99}), 422)


def test_a_key_is_set_and_never_shown(admin):
    done = admin.ask("PUT", KEY, json={"value": "S3CR3T-of-nasdaq"}, headers={"If-Match": "0"})
    assert done.json()["after"] == "hidden"
    texts = [done.text, *(admin.get(path).text for path in (KEY, "settings", "settings/history", "quotas"))]
    assert not [one for one in texts if "S3CR3T" in one]
    found = admin.get(KEY).json()
    assert (found["value"], found["secret"], found["stored"], found["source"]) == (None, True, "hidden", "database")
    assert "spare" in {one["label"] for one in admin.get("quotas").json()["keys"]}
    assert admin.ask("DELETE", KEY, headers={"If-Match": str(found["version"])}).json()["after"] is None
    assert "spare" not in {one["label"] for one in admin.get("quotas").json()["keys"]}


def test_a_key_of_an_owner_is_set_with_its_owner(admin):
    done = admin.ask("PUT", KEY, json={"value": "S3CR3T-of-nasdaq", "owner": "acme"}, headers={"If-Match": "0"})
    assert done.status_code == 200, done.text
    (key,) = [one for one in admin.get("quotas").json()["keys"] if one["label"] == "spare"]
    assert key["owners"] == ["acme"]
    owner = KEY.replace("api_keys", "key_owners")
    version = str(admin.get(owner).json()["version"])
    assert "Take the key out first" in admin.refused(admin.ask("DELETE", owner, headers={"If-Match": version}), 422)
    said = admin.refused(
        admin.ask("PUT", LIMITS, json={"value": ["5/minute"], "owner": "acme"}, headers={"If-Match": "0"}), 422
    )
    assert "is no API key" in said
