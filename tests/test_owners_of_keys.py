"""Keys that belong to owners: what settings allow, what a wish is refused for, and what can't be undone by mistake."""

from __future__ import annotations

from typing import Any

import pytest

from marketfetch.configured import keys, owners, owners_of
from marketfetch.exceptions import BadRequestError
from marketfetch.jobs.key_owners import keys_of
from marketfetch.jobs.planning import make_spec, plan
from marketfetch.quotas.lanes import lane
from marketfetch.schemas.handle import Handle
from marketfetch.settings import SettingsError, get_settings

KEYS = "MARKETFETCH_PROVIDERS__POLYGON__API_KEYS"
OWNERS = "MARKETFETCH_PROVIDERS__POLYGON__KEY_OWNERS"
LIMITS = "MARKETFETCH_PROVIDERS__POLYGON__KEY_LIMITS"
RANGE: Any = {"start": "2024-01-02", "end": "2024-01-05", "adjustment": "raw"}


@pytest.fixture
def configured(monkeypatch):
    """Sets variables of polygon's keys, and forgets what was read before."""

    def configure(api_keys: str, key_owners: str = "{}", key_limits: str = "{}") -> None:
        for name, value in ((KEYS, api_keys), (OWNERS, key_owners), (LIMITS, key_limits)):
            monkeypatch.setenv(name, value)
        forget()

    def forget() -> None:
        get_settings.cache_clear()
        keys.cache_clear()

    yield configure
    monkeypatch.undo()
    forget()


def test_one_secret_is_one_key_with_the_limits_and_the_owners_of_all_its_labels(configured):
    configured(
        '["main:m", "acme:s", "beta:s"]',
        '{"acme": "acme", "beta": ["beta", "other"]}',
        '{"acme": ["5/minute"], "beta": ["3/minute"]}',
    )
    main, shared = keys("polygon")
    assert (main.label, main.lanes) == ("main", ("",))
    assert (shared.label, [one.text for one in shared.limits]) == ("acme", ["5/minute", "3/minute"])
    assert set(shared.lanes) == {lane("acme"), lane("beta"), lane("other")}
    assert owners_of("polygon", "acme") == ("acme", "beta", "other")
    assert owners("polygon") == {"": ("main",), "acme": ("acme",), "beta": ("beta",), "other": ("beta",)}


@pytest.mark.parametrize(
    ("api_keys", "key_owners", "said"),
    [
        ('["a:s", "b:s"]', "{}", "the same secret appears more than once"),
        ('["a:s", "b:s"]', '{"a": []}', "the same secret appears more than once"),
        ('["a:s"]', '{"a": ""}', "an owner is 1 to 100 printable characters"),
        ('["a:s"]', '{"a": ["x\\ny"]}', "an owner is 1 to 100 printable characters"),
    ],
)
def test_what_can_be_no_owner_is_refused_with_a_sentence(configured, api_keys, key_owners, said):
    configured(api_keys, key_owners)
    with pytest.raises(SettingsError) as refused:
        get_settings()
    assert said in str(refused.value)
    assert "s" not in str(refused.value).split()


def test_an_owner_may_stand_in_the_settings_before_its_key(configured):
    configured('["main:m"]', '{"acme": "acme"}')
    assert [one.lanes for one in keys("polygon")] == [("",)]
    assert keys_of("polygon", "acme") == "", "no key has an owner yet"


def test_a_wish_is_of_its_owners_keys_or_is_refused_with_what_to_do(configured):
    configured('["main:m", "acme:s"]', '{"acme": "acme"}')
    assert keys_of("polygon", "acme") == keys_of("polygon", "acme", or_without=True) == "acme"
    assert keys_of("polygon", "") == keys_of("polygon", "root", or_without=True) == ""
    with pytest.raises(BadRequestError, match=r"The owner 'nobody' has no key of polygon.*--add LABEL --owner 'nobody'"):
        keys_of("polygon", "nobody")
    configured('["acme:s"]', '{"acme": "acme"}')
    with pytest.raises(BadRequestError, match="Every key of polygon belongs to an owner"):
        keys_of("polygon", "")
    configured('["main:m"]')
    assert keys_of("polygon", "anyone") == "", "without owners of keys an owner is a word to find jobs by"


def test_equal_wishes_of_two_owners_are_two_requests_and_one_without_an_owner_is_named_as_before(configured):
    configured('["main:m"]')
    spec = make_spec("polygon", ["AAPL"], again=False, **RANGE)
    assert "keys_of" not in spec.model_dump_json()
    (plain,) = plan(spec)
    assert "lane" not in plain.arguments
    theirs = [plan(spec.model_copy(update={"keys_of": one}))[0] for one in ("acme", "beta")]
    assert len({plain.id, *(one.id for one in theirs)}) == 3
    assert [one.id.partition("~")[0] for one in theirs] == [lane("acme"), lane("beta")]
    assert theirs[0].next_page("c").id == f"{theirs[0].id}/1"
    assert Handle(owner="acme").job_id(spec) != Handle(owner="beta").job_id(spec)
