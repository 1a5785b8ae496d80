"""`marketfetch check` says of each vendor where its keys come from, which way its calls take, and what of that can't work."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from redis import Redis

from marketfetch.cli.sandboxed import variables
from marketfetch.quotas import Gate

AUTHORITY = Path(__file__).parents[1] / "flow" / "tls" / "authority.pem"
SECRET = "pa-s3cr3t-of-proxy"


def said(done: Any, subject: str) -> list[tuple[str, str]]:
    return [(one["level"], one["sentence"]) for one in json.loads(done.stdout)["findings"] if one["subject"] == subject]


def test_each_key_has_its_source_and_a_proxy_is_shown_without_its_password(shell: Any) -> None:
    (shell.folder / "marketfetch.toml").write_text(
        f'redis_url = "redis://127.0.0.1:1/0"\n[providers.polygon]\napi_keys = ["main:key-of-main", "spare:key-of-spare"]\n'
        f'proxy = "http://me:{SECRET}@proxy.example:3128"\nca_file = "{AUTHORITY}"\n[providers.nasdaq]\napi_keys = []\n'
    )
    own = {"ALPHAVANTAGE_API_KEY": "av-s3cr3t", "MASSIVE_API_KEY": "other-s3cr3t", "NASDAQ_DATA_LINK_API_KEY": "n"}
    shell.variables |= own
    done = shell.run("check", "--json")
    ok = [sentence for level, sentence in said(done, "polygon") if level == "ok"]
    assert ok[0].startswith("Keys: main, spare (in marketfetch.toml, line 3). Asked at https://")
    assert ok[1].startswith("MASSIVE_API_KEY holds another key, which is not used")
    assert "through the proxy proxy.example:3128, with a user and a password (in marketfetch.toml, line 4)" in ok[2]
    assert ok[3] == f"Its certificate is checked by the authorities in {AUTHORITY} alone (in marketfetch.toml, line 5)."
    ((_, sentence), *_) = said(done, "alpha_vantage")
    assert "(in the environment: ALPHAVANTAGE_API_KEY)" in sentence
    ((level, sentence), *_) = said(done, "nasdaq")
    assert level == "warning"
    assert "NASDAQ_DATA_LINK_API_KEY is not used, because providers.nasdaq.api_keys is an empty list" in sentence
    assert "(in marketfetch.toml, line 7)" in sentence
    (redis,) = [sentence for level, sentence in said(done, "redis") if level == "error"]
    assert "redis_url (in marketfetch.toml, line 1)" in redis
    assert "s3cr3t" not in done.stdout + done.stderr


def test_a_file_of_authorities_that_cant_be_used_is_an_error_with_its_source(shell: Any) -> None:
    (shell.folder / "empty.pem").write_text("nothing")
    shell.variables |= {
        "MARKETFETCH_PROVIDERS__POLYGON__API_KEYS": "a-key",
        "MARKETFETCH_PROVIDERS__POLYGON__CA_FILE": "absent.pem",
        "MARKETFETCH_PROVIDERS__NASDAQ__API_KEYS": "a-key",
        "MARKETFETCH_PROVIDERS__NASDAQ__CA_FILE": "empty.pem",
        "MARKETFETCH_DATABASE_URL": "mysql://host/db",
    }
    done = shell.run("check", "--json", REDIS_URL="redis://127.0.0.1:1/0")
    assert done.returncode == 1
    whys = {"polygon": "absent.pem can't be read (No such file or directory)", "nasdaq": "empty.pem holds no certificate"}
    for vendor, why in whys.items():
        (sentence,) = [one for level, one in said(done, vendor) if level == "error"]
        assert f"providers.{vendor}.ca_file can't be used: {why}" in sentence
        assert f"(in the environment: MARKETFETCH_PROVIDERS__{vendor.upper()}__CA_FILE)" in sentence
    ((_, sentence),) = said(done, "database")
    assert "database_url (in the environment: MARKETFETCH_DATABASE_URL)" in sentence


def test_a_key_that_is_suspected_set_aside_or_rests_is_no_ok_and_has_the_words_of_quotas(
    shell: Any, redis: Redis, valkey_url: str
) -> None:
    shell.variables |= variables({"polygon": "http://127.0.0.1:1", "nasdaq": "http://127.0.0.1:1"}, label="main")
    shell.variables["MARKETFETCH_PROVIDERS__POLYGON__API_KEYS"] = '["main:k-1-x", "spare:k-2-x", "third:k-3-x"]'
    shell.variables["MARKETFETCH_REDIS_URL"] = valkey_url
    for label, field in (("main", "verdict"), ("spare", "aside")):
        redis.hset(f"mf:{{polygon}}:key:{label}", field, "unknown key.")
    redis.hset("mf:{polygon}:key:main", "suspect", "1")
    redis.hset("mf:{nasdaq}:key:main", "aside", "rejected")
    Gate(redis, pool="polygon").pause("third", pause_ms=3_600_000, why="paused by an operator")
    done = shell.run("check", "--json")
    asked = shell.run("quotas").stderr.splitlines()
    bad = [(level, sentence) for level, sentence in said(done, "polygon") if level != "ok" and "limits" not in sentence]
    assert [level for level, _ in bad] == ["warning"] * 3, "two keys go on"
    for (_, sentence), words in zip(bad, ("suspected", "set aside: unknown key. Correct", "rests for"), strict=True):
        assert words in sentence
        assert sentence in asked or words == "rests for"
    ((level, sentence),) = [(level, one) for level, one in said(done, "nasdaq") if "aside" in one]
    assert (level, done.returncode) == ("error", 1), "nothing is fetched from it"
    assert "`marketfetch quotas resume main --provider nasdaq`" in sentence
    assert sentence in asked
