"""Where a setting was read is said as it is: file and line, variable, or a running sandbox, also after overriding."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from marketfetch import settings
from marketfetch.addresses import redis_choice
from marketfetch.cli.locks import only_one
from marketfetch.cli.sandboxed import vendors_at
from marketfetch.local import runs_elsewhere, sandbox_note
from marketfetch.ops.redis_writes import told
from marketfetch.sections import bare_label
from marketfetch.settings import Settings, SettingsError, get_settings, origin, unused_key_variables
from marketfetch.toml_lines import line_of

SECRET = "s3cr3t-that-nobody-may-see"
POLYGON = "MARKETFETCH_PROVIDERS__POLYGON"


class Read(Protocol):
    def __call__(self, toml: str = "", **variables: str) -> Settings: ...


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Read]:
    """Reads the settings of an empty folder, from the given TOML text and variables alone. They stay until the test is over."""
    monkeypatch.chdir(tmp_path)

    def reader(toml: str = "", **variables: str) -> Settings:
        Path("marketfetch.toml").write_text(toml)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        get_settings.cache_clear()
        return get_settings()

    with settings.override({}):
        yield reader
        monkeypatch.undo()
    get_settings.cache_clear()


def refused(read: Read, toml: str = "", **variables: str) -> str:
    with pytest.raises(SettingsError) as caught:
        read(toml, **variables)
    assert SECRET not in caught.value.message
    return caught.value.message


IN_FILE = '[timings]\nconnect = 5\n\n[providers.polygon]\nlimits = [\n  "5/minute",\n  "5/parsec",\n]\n'


@pytest.mark.parametrize(
    ("toml", "variables", "place"),
    [
        (IN_FILE, {}, "in marketfetch.toml, line 5"),
        # Another setting of the same section stands in the environment.
        (IN_FILE, {f"{POLYGON}__CONCURRENCY": "2"}, "in marketfetch.toml, line 5"),
        (IN_FILE, {POLYGON: '{"concurrency": 2}'}, "in marketfetch.toml, line 5"),
        (IN_FILE, {"MARKETFETCH_PROVIDERS": '{"nasdaq": {}}'}, "in marketfetch.toml, line 5"),
        # The environment goes before the file, setting by setting.
        (IN_FILE.replace("parsec", "hour"), {f"{POLYGON}__LIMITS": '["1/eon"]'}, f"in the environment: {POLYGON}__LIMITS"),
        (IN_FILE, {POLYGON: '{"limits": ["1/eon"]}'}, f"in the environment: {POLYGON}"),
        (IN_FILE, {POLYGON.lower() + "__limits": '["1/eon"]'}, f"in the environment: {POLYGON.lower()}__limits"),
        ("", {f"{POLYGON}__LIMITS": "5/minute"}, f"in the environment: {POLYGON}__LIMITS"),
        # A check of a whole section names the setting that it is about.
        ('[providers.nasdaq]\nplan = "no"\n', {f"{POLYGON}__PLAN": "paid"}, "in marketfetch.toml, line 2"),
        ("", {"MARKETFETCH_PROVIDERS__NASDAQ__PLAN": "no"}, "in the environment: MARKETFETCH_PROVIDERS__NASDAQ__PLAN"),
        ("[timings]\nconnect = 1\ncall = 99\n", {}, "in marketfetch.toml, line 3"),
        (
            "[timings]\ncall = 99\n",
            {"MARKETFETCH_TIMINGS__END_BY": "98"},
            "call in marketfetch.toml, line 2; end_by in the environment: MARKETFETCH_TIMINGS__END_BY",
        ),
        (
            f"[providers.polygon]\nconcurrency = 2\napi_keys = ['a:{SECRET}', 'b:{SECRET}']\n",
            {f"{POLYGON}__PLAN": "paid"},
            "in marketfetch.toml, line 3",
        ),
        # A name that is none, and what is missing in a table.
        ("[log]\n\nlevle = 'info'\n", {"MARKETFETCH_LOG__FORMAT": "json"}, "in marketfetch.toml, line 3"),
        ("[providers.nasdaq.tables.'A/B']\nkind = 'table'\n", {}, "in marketfetch.toml, line 1"),
        ("max_reject_share = 2\n", {"MARKETFETCH_LOG__FORMAT": "text"}, "in marketfetch.toml, line 1"),
        # The vendor's own variable.
        ("", {"POLYGON_API_KEY": f"{SECRET}\x7f"}, "in the environment: POLYGON_API_KEY"),
    ],
)
def test_a_refusal_names_the_place_of_the_wrong_value(read: Read, toml: str, variables: dict[str, str], place: str) -> None:
    assert refused(read, toml, **variables).endswith(f"({place})")


def test_a_variable_that_is_no_json_is_named_itself(read: Read) -> None:
    right = {"MARKETFETCH_PROVIDERS__NASDAQ__API_KEYS": '["a"]'}
    message = refused(read, **right, **{f"{POLYGON}__KEY_LIMITS": "5/minute"})
    assert message.startswith(f"{POLYGON}__KEY_LIMITS is not valid JSON")


def test_a_table_as_json_that_is_none_is_named(read: Read) -> None:
    assert refused(read, MARKETFETCH_TIMINGS="20").startswith("timings: ")
    assert refused(read, MARKETFETCH_TIMINGS="{").startswith("MARKETFETCH_TIMINGS is not valid JSON")


def test_a_file_that_is_no_text_or_may_not_be_read_is_named(read: Read, tmp_path: Path) -> None:
    read()
    (tmp_path / "marketfetch.toml").write_bytes(b"[log]\nlevel = '\xff'\n")
    get_settings.cache_clear()
    with pytest.raises(SettingsError, match=r"marketfetch\.toml is no text in UTF-8: save it as UTF-8"):
        get_settings()


def test_the_origin_of_a_valid_setting_is_known_too(read: Read, tmp_path: Path) -> None:
    toml = f'redis_url = "redis://host"\n[providers.polygon]\napi_keys = ["main:{SECRET}"]\nconcurrency = 3\n'
    read(toml, **{f"{POLYGON}__CONCURRENCY": "4"}, NASDAQ_DATA_LINK_API_KEY="n")
    assert origin("redis_url") == "in marketfetch.toml, line 1"
    assert origin("providers", "polygon", "api_keys") == "in marketfetch.toml, line 3"
    assert origin("providers", "polygon", "concurrency") == f"in the environment: {POLYGON}__CONCURRENCY"
    assert origin("providers", "nasdaq", "api_keys") == "in the environment: NASDAQ_DATA_LINK_API_KEY"
    assert origin("log", "level") == "by default"
    state = tmp_path / ".marketfetch"
    sandbox_note.home(state).mkdir(parents=True)
    sandbox_note.leave(state, vendors_at({"polygon": "http://127.0.0.1:1"}, label="sandbox"))
    with only_one(sandbox_note.home(state) / sandbox_note.LOCK, what="it"):
        read(toml, **{f"{POLYGON}__PROXY": f"http://me:{SECRET}@proxy:1"}, NASDAQ_DATA_LINK_API_KEY="n")
        assert origin("providers", "polygon", "api_keys") == "given by the running `marketfetch up --sandbox`"
        assert origin("redis_url") == "in marketfetch.toml, line 1"
        assert get_settings().providers.polygon.proxy is None, "the sandbox is on this machine"
        assert get_settings().providers.nasdaq.keys == (), "a real key is not used beside a sandbox"


def test_a_command_that_outlives_its_sandbox_says_what_became_of_it(read: Read, tmp_path: Path) -> None:
    state, silence = tmp_path / ".marketfetch", RedisConnectionError("Error 111 connecting to 127.0.0.1:1. Connection refused.")
    home = sandbox_note.home(state)
    home.mkdir(parents=True)
    database = {"database_url": f"sqlite:///{home / sandbox_note.DATABASE}"}
    away = ", so what runs is not known"
    sandbox_note.leave(state, database | {"redis_url": "redis://127.0.0.1:1/0"})
    with only_one(home / sandbox_note.LOCK, what="it"):
        read()
        assert told(silence, away).startswith("Redis does not answer (redis://127.0.0.1:1/0: Error 111 ")
        assert told(silence, away).endswith(
            "`marketfetch up --sandbox` runs, and starts it again within seconds: see what it prints."
        )
        sandbox_note.leave(state, database | {"redis_url": "redis://127.0.0.1:2/0"})
        assert told(silence, away) == (
            f"The sandbox of this folder was started again, at another address{away}. Give this command once more."
        )
    assert told(silence, away) == (
        f"The sandbox of this folder has stopped{away}. `marketfetch up --sandbox` starts it again, and its jobs go on."
    )
    assert get_settings().redis_url is not None, "these are still the settings of the sandbox"


def test_a_command_that_comes_after_the_sandbox_names_it_before_other_ways(
    read: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs_elsewhere, "folders", list)
    home = sandbox_note.home(tmp_path / ".marketfetch")
    home.mkdir(parents=True)
    read()
    assert "sandbox" not in told(RedisConnectionError("refused"), "") + redis_choice()
    (home / sandbox_note.DATABASE).touch()
    sentence = "The sandbox of this folder is stopped: `marketfetch up --sandbox` starts it again"
    assert f"(redis://127.0.0.1:6379/0: refused). {sentence}" in told(RedisConnectionError("refused"), "")
    assert sentence in redis_choice()


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("abc", [("key-ba7816", "abc")]),
        ("  abc\n", [("key-ba7816", "abc")]),
        ("main:abc", [("main", "abc")]),
        ("123456", [("key-8d969e", "123456")]),
        ("null", [("key-74234e", "null")]),
        ('"abc"', [("key-ba7816", "abc")]),
        ('["main:abc", "def"]', [("main", "abc"), ("key-cb8379", "def")]),
        ("", []),
        ("[]", []),
    ],
)
def test_one_key_needs_no_json(read: Read, text: str, labels: list[tuple[str, str]]) -> None:
    found = read(**{f"{POLYGON}__API_KEYS": text}).providers.polygon.keys
    assert [(key.label, key.secret.get_secret_value()) for key in found] == labels


@pytest.mark.parametrize("text", [f"a,{SECRET}", f"a:{SECRET}, b:c", f"{SECRET} b", f"a;{SECRET}", f"a\n{SECRET}"])
def test_what_may_be_two_keys_is_refused_with_what_to_write(read: Read, text: str) -> None:
    message = refused(read, **{f"{POLYGON}__API_KEYS": text})
    assert message.startswith(f"{POLYGON}__API_KEYS holds a comma, a semicolon or a blank")
    assert "API_KEYS='[\"main:SECRET\"]'" in message


#: Vendor, and its own variables, the preferred one first.
OWN = {
    "alpha_vantage": ("ALPHAVANTAGE_API_KEY", "ALPHA_VANTAGE_API_KEY"),
    "nasdaq": ("NASDAQ_DATA_LINK_API_KEY",),
    "polygon": ("MASSIVE_API_KEY", "POLYGON_API_KEY"),
}


@pytest.mark.parametrize(("vendor", "variable"), [(vendor, one) for vendor, names in OWN.items() for one in names])
def test_a_key_is_taken_from_the_vendors_own_variable_and_is_a_secret(read: Read, vendor: str, variable: str) -> None:
    found = read(**{variable: f" {SECRET}:with-a-colon "})
    (key,) = found.provider(vendor).keys
    assert (key.label, key.secret.get_secret_value()) == (bare_label(f"{SECRET}:with-a-colon"), f"{SECRET}:with-a-colon")
    assert f"{SECRET}:with-a-colon" in found.secrets()
    assert SECRET not in repr(found)
    assert not any(found.provider(other).keys for other in OWN if other != vendor)


def test_the_preferred_variable_wins_an_empty_one_is_none_and_the_settings_go_before_both(read: Read) -> None:
    def labels(toml: str = "", **variables: str) -> list[str]:
        return [key.secret.get_secret_value() for key in read(toml, **variables).providers.polygon.keys]

    assert labels(MASSIVE_API_KEY="", POLYGON_API_KEY="old") == ["old"]
    assert unused_key_variables("polygon") == []
    assert labels(MASSIVE_API_KEY="new", POLYGON_API_KEY="old") == ["new"]
    assert unused_key_variables("polygon") == ["POLYGON_API_KEY"]
    assert labels('[providers.polygon]\nconcurrency = 2\napi_keys = ["main:file"]\n') == ["file"]
    assert unused_key_variables("polygon") == ["MASSIVE_API_KEY", "POLYGON_API_KEY"]
    assert labels("[providers.polygon]\napi_keys = []\n") == [], "no key is what was configured"
    assert labels("[providers.polygon]\nconcurrency = 2\n") == ["new"]
    assert labels('[providers.polygon]\napi_keys = ["file"]\n', **{f"{POLYGON}__API_KEYS": "env"}) == ["env"]


def test_an_override_hides_the_vendors_own_variables_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLYGON_API_KEY", SECRET)
    with settings.override({}):
        assert get_settings().providers.polygon.keys == ()
        assert "POLYGON_API_KEY" not in settings.environment()
    assert settings.environment()["POLYGON_API_KEY"] == SECRET
    assert "POLYGON_API_KEY" not in settings.unrelated_environment()
    get_settings.cache_clear()


@pytest.mark.parametrize(
    ("url", "secret"),
    [
        (f"http://me:{SECRET}@proxy.example:3128", SECRET),
        (f"http://{SECRET}@127.0.0.1:3128/", SECRET),
        ("http://me:p%40ss-word@[::1]:3128", "p@ss-word"),
    ],
)
def test_the_password_of_a_proxy_is_a_secret(read: Read, url: str, secret: str) -> None:
    found = read(**{f"{POLYGON}__PROXY": url, f"{POLYGON}__CA_FILE": "/some/ca.pem"})
    assert secret in found.secrets()
    assert secret not in repr(found) + str(found.model_dump()) + found.model_dump_json()
    assert found.providers.polygon.ca_file == Path("/some/ca.pem")


@pytest.mark.parametrize(
    "url",
    [
        "proxy:3128",
        "socks5://proxy:1080",
        "http://proxy",
        "http://proxy:port",
        "http://a b@proxy:1",
        "http://proxy:1/path",
        "http://é@p:1",
    ],
)
def test_a_proxy_that_is_none_is_refused_at_boot(read: Read, url: str) -> None:
    assert "providers.polygon.proxy: this is no URL of an HTTP proxy" in refused(read, **{f"{POLYGON}__PROXY": url})


DOCUMENT = '''
a = 1   # [no.table]
[providers.polygon]
text = """
[evil]
limits = 3
"""
limits = [  # a list
  "[x]",
]
key_limits = { main = ["1/day"] }
log.level = "\\u2028"
[ providers . nasdaq . tables . "A/B" ]
kind = 't'
[[many]]
x = 1
[[many]]
x = 2
listed = [{ y = 1 }, { z = 1 }]
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("a", 2),
        ("providers polygon", 3),
        ("providers polygon text", 4),
        ("providers polygon limits", 8),
        ("providers polygon key_limits main", 11),
        ("providers polygon log level", 12),
        ("providers nasdaq tables A/B", 13),
        ("providers nasdaq tables A/B kind", 14),
        ("providers nasdaq tables A/B zone", 13),
        ("many", 15),
        ("many 0 x", 16),
        ("many 0 y", 15),
        ("many 1 x", 18),
        ("many 1 y", 17),
        ("many 1 listed 1 z", 19),
        ("evil", None),
    ],
)
def test_the_line_of_a_key_is_found(path: str, line: int | None) -> None:
    assert (
        line_of(DOCUMENT.replace("\\u2028", "\u2028"), tuple(int(one) if one.isdigit() else one for one in path.split()))
        == line
    )


def test_values_as_json_from_a_table_keep_their_place(read: Read) -> None:
    whole: dict[str, Any] = {"api_keys": ["main:x"], "key_limits": {"other": ["1/day"]}}
    assert refused(read, **{POLYGON: json.dumps(whole)}).endswith(f"(in the environment: {POLYGON})")
