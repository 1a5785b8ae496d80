"""A wrong setting stops at boot with one sentence: its name, what is wrong, what was perhaps meant, and never a secret."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from psycopg.conninfo import conninfo_to_dict
from redis import connection as redis_connection

from marketfetch import setting_faults, settings
from marketfetch.cli.locks import only_one
from marketfetch.cli.sandboxed import as_variables, vendors_at
from marketfetch.local import sandbox_note
from marketfetch.settings import Settings, SettingsError, get_settings

EXAMPLE = Path(__file__).parents[1] / "marketfetch.toml.example"
SECRET = "s3cr3t-that-nobody-may-see"

Read = Callable[..., Settings]


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Read]:
    """Reads the settings of an empty folder, from the given TOML text and variables alone."""
    monkeypatch.chdir(tmp_path)

    def reader(toml: str = "", **variables: str) -> Settings:
        if toml:
            Path("marketfetch.toml").write_text(toml)
        with settings.override({f"MARKETFETCH_{name}": value for name, value in variables.items()}):
            return get_settings()

    yield reader
    get_settings.cache_clear()


def refused(read: Read, toml: str = "", **variables: str) -> str:
    with pytest.raises(SettingsError) as caught:
        read(toml, **variables)
    message = caught.value.message
    assert SECRET not in message
    assert "\n" not in message
    return message


@pytest.mark.parametrize("content", [b"\xff\xfeo\x00", b"owner = 'Zo\xeb'\n"])
def test_a_file_that_is_no_utf_8_is_refused_in_our_words(tmp_path: Path, read: Read, content: bytes) -> None:
    (tmp_path / "latin.toml").write_bytes(content)
    said = refused(read, CONFIG=str(tmp_path / "latin.toml"))
    assert said == f"{tmp_path}/latin.toml is no text in UTF-8: save it as UTF-8, or write it anew."


def test_without_a_file_and_variables_the_defaults_hold(read: Read) -> None:
    found = read()
    assert found.database_url.get_secret_value() == "sqlite:///marketfetch.db"
    assert found.redis_url is None
    assert all(not found.provider(name).keys for name in ("alpha_vantage", "polygon", "nasdaq"))


def test_the_environment_beats_the_file(read: Read) -> None:
    toml = '[providers.polygon]\nlimits = ["5/minute"]\nconcurrency = 2\n'
    found = read(toml, PROVIDERS__POLYGON__CONCURRENCY="7")
    assert found.providers.polygon.concurrency == 7
    assert found.providers.polygon.limits == ["5/minute"]


def test_a_refusal_says_where_the_value_was_read(read: Read) -> None:
    toml = '[providers.polygon]\nlimits = ["5/parsec"]\n'
    assert refused(read, toml).endswith("(in marketfetch.toml, line 2)")
    refusal = refused(read, PROVIDERS__POLYGON__LIMITS='["5/parsec"]')
    assert "(in the environment: MARKETFETCH_PROVIDERS__POLYGON__LIMITS)" in refusal


def test_another_file_may_be_named(read: Read, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text("max_reject_share = 0.5\n")
    assert read("max_reject_share = 0.1\n", CONFIG=str(other)).max_reject_share == 0.5


@pytest.mark.parametrize(
    ("toml", "variables", "says"),
    [
        ("", {"PROVIDERS__POLYGN__BASE_URL": "http://x"}, ["MARKETFETCH_PROVIDERS__POLYGN__BASE_URL", "POLYGON"]),
        ("", {"REDIS_ULR": "redis://x"}, ["MARKETFETCH_REDIS_ULR", "Did you mean MARKETFETCH_REDIS_URL?"]),
        ("", {"ZZZZ": "1"}, ["MARKETFETCH_ZZZZ", "marketfetch.toml.example"]),
        ("[providers.polygon]\nlimit = []\n", {}, ["providers.polygon.limit", "Did you mean providers.polygon.limits?"]),
        ("databse_url = 'x'\n", {}, ["databse_url", "Did you mean database_url?"]),
        ("[log]\nlevel = 'inof'\n", {}, ["log.level", "'inof'", "Did you mean 'info'?"]),
        ("max_reject_share = 3\n", {}, ["max_reject_share", "must be 1 or less", "3"]),
        ("", {"MAX_REJECT_SHARE": "much"}, ["max_reject_share", "MARKETFETCH_MAX_REJECT_SHARE", "number"]),
        ("[timings]\ncall = 30\n", {}, ["timings", "end_by", "longer than call"]),
        ("[timings]\nconnect = 0\n", {}, ["timings.connect", "must be more than 0"]),
        ("[retries]\nmost = -1\n", {}, ["retries.most", "in marketfetch.toml, line 2"]),
        ("", {"PROVIDERS__POLYGON__BASE_URL": "api.massive.com"}, ["providers.polygon.base_url", "must begin with https://"]),
        ("", {"PROVIDERS__POLYGON__API_KEYS": f'["{SECRET}"'}, ["POLYGON__API_KEYS is not valid JSON", "main:SECRET"]),
        (
            "",
            {"PROVIDERS__POLYGON__API_KEYS": f"a:{SECRET},b"},
            ["POLYGON__API_KEYS holds a comma", "JSON list", "main:SECRET"],
        ),
        ("", {"PROVIDERS__POLYGON__PROXY": f"https://me:{SECRET}@host:3128"}, ["polygon.proxy", "write http://host:3128"]),
        ("", {"PROVIDERS__POLYGON__API_KEYS": f'["a:{SECRET}", "b:{SECRET}"]'}, ["more than once", "a, b"]),
        ("", {"PROVIDERS__NASDAQ__API_KEYS": f'["a:{SECRET}", "a:other"]'}, ["two keys have the label 'a'"]),
        ("", {"PROVIDERS__POLYGON__API_KEYS": '["main:"]'}, ["a key is empty"]),
        ("", {"PROVIDERS__POLYGON__API_KEYS": f'{{"a": "{SECRET}"}}'}, ["providers.polygon.api_keys", "list"]),
        ('[providers.polygon]\nlimits = ["5/fortnight"]\n', {}, ["providers.polygon.limits", "write it like"]),
        ('[providers.polygon.key_limits]\nnobody = ["5/minute"]\n', {}, ["key_limits", "no key is labelled 'nobody'"]),
        ('[providers.nasdaq]\nplan = "premum"\n', {}, ["nasdaq.plan", "Did you mean 'premium'?"]),
        (f"[providers.polygon]\napi_keys = '{SECRET}'\n", {}, ["providers.polygon.api_keys", "list"]),
        ("this is no TOML", {}, ["marketfetch.toml is not valid TOML", "line 1"]),
        ("", {"CONFIG": "absent.toml"}, ["MARKETFETCH_CONFIG", "absent.toml", "no such file"]),
        ("[providers.nasdaq.tables.'A/B']\nkind = 'table'\n", {}, ["providers.nasdaq.tables.A/B", "price columns"]),
    ],
)
def test_a_wrong_setting_is_named_and_explained(read: Read, toml: str, variables: Mapping[str, str], says: list[str]) -> None:
    message = refused(read, toml, **variables)
    for words in says:
        assert words in message


@pytest.mark.parametrize("vendor", ["alpha_vantage", "polygon", "nasdaq"])
@pytest.mark.parametrize("place", ["environment", "file"])
@pytest.mark.parametrize(
    "odd",
    ["é", "\n", "\r\n", "\x1b", "\x00", "\x7f", "\u200b", "鍵", "\t"],
    ids=lambda one: one.encode("unicode_escape").decode(),
)
@pytest.mark.parametrize("label", ["main", ""])
def test_a_key_that_cant_be_sent_stops_at_boot_and_is_not_repeated(
    read: Read, vendor: str, place: str, odd: str, label: str
) -> None:
    keys = json.dumps([f"{label}:{SECRET}{odd}end-of-it" if label else f"{SECRET}{odd}end-of-it"])
    if place == "file":
        message = refused(read, f"[providers.{vendor}]\napi_keys = {keys.replace(chr(0x7F), chr(92) + 'u007f')}\n")
    else:
        message = refused(read, **{f"PROVIDERS__{vendor.upper()}__API_KEYS": keys})
    assert f"providers.{vendor}: api_keys: the key labelled '{label or 'key-'}" in message
    assert "can't be sent" in message
    assert "end-of-it" not in message


@pytest.mark.parametrize("vendor", ["alpha_vantage", "polygon", "nasdaq"])
@pytest.mark.parametrize("key", ["", "  ", "main:", "main:  ", "main:\n"])
def test_an_empty_key_stops_at_boot_with_its_label(read: Read, vendor: str, key: str) -> None:
    message = refused(read, **{f"PROVIDERS__{vendor.upper()}__API_KEYS": json.dumps([key])})
    label = "main" if "main" in key else "key-e3b0c4"
    assert f"providers.{vendor}: api_keys: a key is empty (label '{label}')" in message


def test_every_printable_ascii_key_is_accepted(read: Read) -> None:
    odd = "".join(map(chr, range(0x21, 0x7F)))
    found = read(PROVIDERS__POLYGON__API_KEYS=json.dumps([f"main:{odd}"]))
    assert found.providers.polygon.keys[0].secret.get_secret_value() == odd


def test_several_wrong_settings_are_told_at_once(read: Read) -> None:
    message = refused(read, "max_reject_share = 3\n[log]\nformat = 'xml'\n")
    assert "max_reject_share" in message
    assert "log.format" in message


def test_a_wrong_url_with_a_password_is_not_repeated(read: Read) -> None:
    refused(read, PROVIDERS__POLYGON__BASE_URL=f"ftp://user:{SECRET}@host")
    refused(read, f'redis_url = ["redis://:{SECRET}@host"]\n')


def test_keys_have_labels_and_hide_their_secrets(read: Read) -> None:
    found = read(PROVIDERS__POLYGON__API_KEYS=f'["main:{SECRET}", "bare-secret"]')
    main, bare = found.providers.polygon.keys
    assert (main.label, main.secret.get_secret_value()) == ("main", SECRET)
    assert re.fullmatch(r"key-[0-9a-f]{6}", bare.label)
    assert SECRET not in repr(found)
    assert SECRET not in str(found.providers.polygon.keys)
    assert set(found.secrets()) == {SECRET, "bare-secret"}


def test_passwords_in_urls_are_secrets_too(read: Read) -> None:
    found = read(REDIS_URL=f"redis://:{SECRET}@host/0", DATABASE_URL="postgresql://me:pass-of-db@host/db")
    assert set(found.secrets()) == {SECRET, "pass-of-db"}
    assert SECRET not in repr(found)


def test_an_override_hides_all_other_variables_and_gives_them_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARKETFETCH_MAX_REJECT_SHARE", "0.7")
    with settings.override({"MARKETFETCH_LOG__LEVEL": "error"}):
        assert get_settings().log.level == "error"
        assert get_settings().max_reject_share == 0.2
        assert "MARKETFETCH_MAX_REJECT_SHARE" not in settings.environment()
    assert settings.environment()["MARKETFETCH_MAX_REJECT_SHARE"] == "0.7"
    assert "MARKETFETCH_LOG__LEVEL" not in settings.environment(MORE="1")
    get_settings.cache_clear()


def test_a_running_sandbox_goes_before_the_environment_and_the_file(read: Read, tmp_path: Path) -> None:
    state = tmp_path / ".marketfetch"
    sandbox_note.home(state).mkdir(parents=True)
    vendors = vendors_at({"polygon": "http://127.0.0.1:1"}, label="sandbox")
    sandbox_note.leave(state, {"redis_url": "redis://127.0.0.1:2/0", "database_url": "sqlite:///its.db", **vendors})
    toml = 'database_url = "sqlite:///mine.db"\nmax_reject_share = 0.5\n[providers.polygon.key_limits]\nmain = ["5/minute"]\n'
    mine = {"REDIS_URL": "redis://127.0.0.1:3/0", "PROVIDERS__POLYGON__API_KEYS": '["main:secret"]'}
    with only_one(sandbox_note.home(state) / sandbox_note.LOCK, what="it"):
        found = read(toml, **mine)
        child = read(**{name.removeprefix("MARKETFETCH_"): value for name, value in as_variables(vendors).items()})
    assert [one and one.get_secret_value() for one in (found.redis_url, found.database_url)] == [
        "redis://127.0.0.1:2/0",
        "sqlite:///its.db",
    ]
    assert found.max_reject_share == 0.5
    for one in (found, child):
        assert [key.label for key in one.providers.polygon.keys] == ["sandbox"]
        assert (one.providers.polygon.base_url, one.providers.polygon.key_limits) == ("http://127.0.0.1:1", {})
    after = read(toml, **mine)
    assert after.database_url.get_secret_value() == "sqlite:///mine.db"
    assert [key.label for key in after.providers.polygon.keys] == ["main"]


def test_the_example_loads_as_it_is(read: Read) -> None:
    assert read(EXAMPLE.read_text()) == read()


def test_the_example_loads_with_everything_uncommented_and_names_every_setting(read: Read) -> None:
    text = uncommented(EXAMPLE.read_text())
    read(text)
    assert set(leaves(tomllib.loads(text))) == set(expected())


def test_what_the_example_calls_a_default_is_the_default(read: Read) -> None:
    defaults = read().model_dump(mode="json")
    lines = [line for line in EXAMPLE.read_text().splitlines() if "an example" not in line]
    plain = "\n".join(lines).partition("# The columns of a dataset")[0]
    for path, value in leaves(tomllib.loads(uncommented(plain))).items():
        default: Any = defaults
        for part in path.split("."):
            default = default[part]
        shown = default if default != "**********" else read().database_url.get_secret_value()
        assert shown == value, path


def uncommented(text: str) -> str:
    """Takes the sign off every line that is a setting or a table."""
    return re.sub(r"^# ((?:[a-z_]+ = |\[).*)$", r"\1", text, flags=re.MULTILINE)


#: Tables in which the names are the user's own.
USERS_OWN = ("tables", "key_limits", "key_owners", "file_keys", "value_keys", "zones", "broker_options", "universes")


def leaves(document: dict[str, object], prefix: str = "") -> dict[str, object]:
    """`a.b.c` -> value."""
    found: dict[str, object] = {}
    for name, value in document.items():
        path = f"{prefix}{name}"
        if isinstance(value, dict) and name not in USERS_OWN:
            found |= leaves(value, f"{path}.")
        else:
            found[path] = value
    return found


def expected() -> Iterator[str]:
    """Every leaf of the settings model."""
    names = [name for name, _ in setting_faults.fields(settings.model())]
    for name in names:
        if not any(other.startswith(f"{name}__") for other in names):
            yield name.replace("__", ".")


@pytest.mark.parametrize("password", ["a :/?#[]@!$&'()*+,;=%20\"\\`${HOME}ü", "--x", "p"])
@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_password_of_any_character_comes_from_a_file_and_reaches_every_client(read, tmp_path, password, end):
    (tmp_path / "password").write_bytes(f"{password}{end}".encode())
    toml = '{0}_url = "{1}"\n{0}_password_file = "password"\n'
    found = read(toml.format("redis", "rediss://u@h:6379/0") + toml.format("database", "postgresql://u@h/db?connect_timeout=3"))
    assert found.redis_url is not None
    given = redis_connection.parse_url(found.redis_url.get_secret_value())
    assert (given["username"], given["password"], given["host"]) == ("u", password, "h")
    of_database = conninfo_to_dict(found.database_url.get_secret_value())
    assert (of_database["user"], of_database["password"], of_database["dbname"]) == ("u", password, "db")
    assert {password, quote(password, safe="")} & set(found.secrets())


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ('redis_password_file = "password"', "redis_password_file: there is no redis_url that needs it"),
        ('redis_url = "redis://:x@h:6379/0"\nredis_password_file = "password"', "the URL has a password itself"),
        ('redis_url = "unix:///x.sock"\nredis_password_file = "password"', "no place for a password before a host"),
        ('database_password_file = "password"', "database_password_file: the URL has no place for a password"),
        ('redis_url = "redis://h"\nredis_password_file = "none"', "none can't be read (No such file or directory)"),
        ('redis_url = "redis://h"\nredis_password_file = "two"', "two holds no password: write it as the file's only line"),
    ],
)
def test_a_password_file_that_can_not_be_used_is_one_sentence_without_it(read, tmp_path, toml, says):
    (tmp_path / "password").write_text(SECRET)
    (tmp_path / "two").write_text(f"{SECRET}\n{SECRET}\n")
    with pytest.raises(SettingsError) as caught:
        read(toml)
    assert says in caught.value.message
    assert SECRET not in caught.value.message
