"""`marketfetch set`: changed, refused, undone, listed; what TOML and the environment give wins; no secret is shown."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from marketfetch import configured, connections, settings_in_force
from marketfetch.cli.main import marketfetch
from marketfetch.ops import changing_settings
from marketfetch.ops.changing_settings import StaleChange
from marketfetch.ops.diagnosis import findings
from marketfetch.sealing import new_master_key
from marketfetch.settings import get_settings, override
from marketfetch.storage.setting_changes import add_change, changes

MAIN = "providers.polygon.api_keys.main"
Set = Callable[..., Result]


@pytest.fixture
def master() -> str:
    return new_master_key()


@pytest.fixture
def fresh(monkeypatch) -> Callable[[], None]:
    """Lets this process begin anew, as another one would."""

    def begin() -> None:
        settings_in_force.forget()
        configured.keys.cache_clear()
        configured.options.cache_clear()

    return begin


@pytest.fixture
def folder(tmp_path: Path, valkey_url: str, master: str, fresh: Callable[[], None], monkeypatch) -> Iterator[Path]:
    """A folder of its own with a database, a master key, and no key of a vendor."""
    monkeypatch.chdir(tmp_path)
    caches = (connections._store, connections._database, connections._verified, connections._redis, connections._gate)
    for cache in caches:
        cache.cache_clear()
    fresh()
    with override({"MARKETFETCH_MASTER_KEY": master, "MARKETFETCH_OWNER": "ann", "MARKETFETCH_REDIS_URL": valkey_url}):
        connections.store()
        yield tmp_path
        connections.store().close()
        connections.redis().close()
    for cache in caches:
        cache.cache_clear()
    fresh()


@pytest.fixture
def change(folder: Path) -> Set:
    runner = CliRunner()
    return lambda *words, typed=None: runner.invoke(marketfetch, ["set", *words], input=typed)


def refused(done: Result, code: int = 1) -> str:
    assert done.exit_code == code, done.output
    return done.stderr


def test_a_change_is_in_force_kept_with_who_and_when_and_undone(change):
    done = change("providers.polygon.limits", "5/minute", "500/day", "--json")
    assert done.exit_code == 0, done.output
    first = json.loads(done.stdout)
    assert (first["before"], first["after"], first["changed_by"]) == (None, ["5/minute", "500/day"], "ann")
    assert (first["version"], first["waits_behind"], first["announced"]) == (1, None, True)
    assert get_settings().provider("polygon").limits == ["5/minute", "500/day"]
    assert change("providers.polygon.limits", "9/minute").exit_code == 0
    assert change("max_reject_share", "0.5").exit_code == 0
    assert change("universes.watchlist", "AAPL").exit_code == 0
    assert change("schedule.nightly", '{"provider": "polygon", "universe": "watchlist", "when": "every 15m"}').exit_code == 0
    now = get_settings()
    assert (now.max_reject_share, now.universes["watchlist"]) == (0.5, ["AAPL"])
    assert [one.name for one in now.schedule] == ["nightly"]

    assert "schedule.nightly" in change("--undo").stdout
    assert get_settings().schedule == []
    undone = json.loads(change("--undo", "2", "--json").stdout)
    assert (undone["before"], undone["after"], undone["undoes"]) == (["9/minute"], ["5/minute", "500/day"], 2)
    assert get_settings().provider("polygon").limits == ["5/minute", "500/day"]
    lacking = change("schedule.weekly", '{"provider": "polygon", "universe": "watchlst", "when": "every 15m"}')
    assert "The schedule weekly can't be run: There is no universe @watchlst. Did you mean @watchlist?" in lacking.stderr
    assert "can't be run" not in change("universes.watchlst", "AAPL").stderr
    for name in ("universes.watchlst", "schedule.weekly"):
        assert change("--unset", name).exit_code == 0
    assert "after you looked at it" in refused(change("--undo", "1"))
    assert "There is no change 99" in refused(change("--undo", "99"))
    assert change("--unset", "providers.polygon.limits").exit_code == 0
    assert get_settings().provider("polygon").limits is None
    history = json.loads(change("--history", "providers.polygon.limits", "--json").stdout)["changes"]
    assert [one["after"] for one in history] == [None, ["5/minute", "500/day"], ["9/minute"], ["5/minute", "500/day"]]
    assert change("--history").stdout.count("\n") == len(changes(connections.store(), limit=99)) + 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("providers.polygon.limits", "5/minit"), "the limit '5/minit' is not understood; write it like"),
        (("providers.polygon.concurrency", "0"), "providers.polygon.concurrency: "),
        (("providers.polygon.plan", "gold"), "polygon.plan: there is no plan 'gold'"),
        (("providers.polygon.base_url", "ftp://x"), "must begin with https:// or http://"),
        (("providers.polygon.key_limits.main", "5/minute"), "key_limits: no key is labelled 'main'"),
        (("max_reject_share", "2"), "max_reject_share: "),
        (("universes.b@d", "AAPL"), "is no name of a universe"),
        (("schedule.nightly", '{"provider": "polygon", "when": "every 15m"}'), "has neither a universe nor symbols"),
        (("providers.polygon.limts", "5/minute"), "Did you mean providers.polygon.limits?"),
        (("providers.polygn.limits", "5/minute"), "Did you mean providers.polygon?"),
        (("providers.polygon", "1"), "is a section: name one of its settings"),
        (("providers.polygon.api_keys", "x"), "has entries, each a setting of its own"),
        (("redis_url", "redis://x"), "redis_url is read when a process starts"),
    ],
)
def test_a_wrong_value_is_refused_as_at_the_start_of_a_process(change, words, sentence):
    assert sentence in refused(change(*words), 2)
    assert changes(connections.store(), limit=9) == []


def test_a_key_is_typed_or_piped_and_shown_never_again(change, folder):
    said = refused(change(MAIN, "S3CR3T-polygon"), 2)
    assert "the shell keeps what you type" in said
    assert "which is empty" in refused(change("providers.polygon.api_keys", "--add", "main", typed=""), 2)
    done = change("providers.polygon.api_keys", "--add", "main", typed="S3CR3T-polygon\n")
    assert done.exit_code == 0, done.output
    assert [key.secret.get_secret_value() for key in get_settings().provider("polygon").keys] == ["S3CR3T-polygon"]
    assert configured.labels("polygon") == ("main",)
    outputs = [change(*words).output for words in (("--list",), ("--list", "--json"), ("--history",), ("--history", "--json"))]
    outputs += [done.output, str(connections.store().database.read("SELECT * FROM setting_changes"))]
    outputs += [one.read_bytes().decode("latin-1") for one in folder.glob("marketfetch.db*")]
    assert not [one for one in outputs if "S3CR3T" in one]
    assert "S3CR3T-polygon" in get_settings().secrets(), "it is cut out of logs and pages"
    again = refused(change("providers.polygon.api_keys", "--add", "twin", typed="S3CR3T-polygon\n"), 2)
    assert "the same secret appears more than once" in again
    assert "S3CR3T" not in again
    assert change("providers.polygon.key_limits.main", "7/minute").exit_code == 0
    assert "is needed by another setting" in refused(change("--unset", MAIN))


def test_without_a_master_key_a_secret_is_refused_and_the_way_is_named(change, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with override({"MARKETFETCH_OWNER": "ann"}):
        said = refused(change("providers.polygon.api_keys", "--add", "main", typed="S3CR3T\n"))
    assert "sealed with a master key, and there is none" in said
    assert "marketfetch set --new-master-key" in said


def test_what_toml_and_the_environment_give_wins_and_set_says_so(change, folder):
    (folder / "marketfetch.toml").write_text('max_reject_share = 0.3\n[providers.polygon]\nlimits = ["1/minute"]\n')
    done = change("providers.polygon.limits", "2/minute")
    assert "is given in marketfetch.toml, line 3, which wins" in done.stderr
    assert get_settings().provider("polygon").limits == ["1/minute"]
    one = next(o for o in json.loads(change("--list", "--json").stdout)["settings"] if o["name"] == "providers.polygon.limits")
    assert (one["value"], one["stored"], one["source"]) == (["1/minute"], ["2/minute"], "elsewhere")
    assert one["where"] == "in marketfetch.toml, line 3"
    assert "the limit 'x' is not understood" in refused(change("providers.polygon.limits", "x"), 2), "judged while it waits"
    (folder / "marketfetch.toml").write_text("")
    settings_in_force.forget()
    assert settings_in_force.load()
    assert get_settings().provider("polygon").limits == ["2/minute"]


def test_a_key_of_the_database_stands_beside_those_of_the_environment(change, master):
    variables = {"MARKETFETCH_MASTER_KEY": master, "MARKETFETCH_PROVIDERS__POLYGON__API_KEYS": "env:one"}
    assert change("providers.polygon.api_keys", "--add", "stored", typed="two\n").exit_code == 0
    assert change("providers.polygon.api_keys", "--add", "env", typed="three\n").exit_code == 0
    with override(variables):
        settings_in_force.forget()
        settings_in_force.load()
        keys = {key.label: key.secret.get_secret_value() for key in get_settings().provider("polygon").keys}
        assert keys == {"env": "one", "stored": "two"}


def test_another_change_comes_first_and_the_second_admin_is_refused_with_who_and_when(change):
    assert change("max_reject_share", "0.3").exit_code == 0
    seen = changing_settings.version_of("max_reject_share")
    changing_settings.put("max_reject_share", 0.4, who="bob", based_on=seen)
    said = refused(change("max_reject_share", "0.5", "--if-version", str(seen)))
    assert "max_reject_share was changed by bob at 20" in said
    assert get_settings().max_reject_share == 0.4


def test_a_change_that_comes_while_a_secret_is_typed_comes_first(change, monkeypatch):
    """The version that counts is the one from before the question."""
    from marketfetch.cli import set as command

    def typed(name: str) -> str:
        changing_settings.put(name, "bobs-secret", who="bob")
        return "anns-secret"

    monkeypatch.setattr(command, "_secret", typed)
    assert f"{MAIN} was changed by bob" in refused(change(MAIN))


def test_a_wrong_stored_value_stops_nothing_and_check_names_it(change, fresh, master):
    change("max_reject_share", "0.3")
    change("providers.polygon.api_keys", "--add", "main", typed="good\n")
    add_change(connections.store(), "max_reject_share", '{"value": "much"}', changed_by="newer", at_ms=1)
    add_change(connections.store(), "no.such", '{"value": 1}', changed_by="newer", at_ms=2)
    add_change(connections.store(), "whole_market_from", "no json", changed_by="newer", at_ms=3)
    assert settings_in_force.refresh(now=True)
    assert get_settings().max_reject_share == 0.3, "the last good value stays"
    assert set(settings_in_force.wrong()) == {"max_reject_share", "no.such", "whole_market_from"}
    with override({"MARKETFETCH_OWNER": "ann", "MARKETFETCH_MASTER_KEY": master}):
        fresh()
        settings_in_force.load()
        assert get_settings().max_reject_share == 0.2, "a process that starts has no last one"
        assert configured.labels("polygon") == ("main",)
        said = [one.sentence for one in findings(celery=False) if "of the database is not used" in one.sentence]
    assert len(said) == 3
    assert any("max_reject_share of the database is not used" in one and "set at run time" in one for one in said)


def test_a_database_under_another_master_key_is_used_without_its_keys(change, fresh, master):
    change("max_reject_share", "0.3")
    change("providers.polygon.api_keys", "--add", "main", typed="S3CR3T\n")
    with override({"MARKETFETCH_MASTER_KEY": new_master_key()}):
        fresh()
        settings_in_force.load()
        assert get_settings().max_reject_share == 0.3
        assert configured.labels("polygon") == ()
        (why,) = settings_in_force.wrong().values()
    assert f"{MAIN} can't be opened: it is sealed with the master key" in why
    assert master not in why


def test_a_master_key_is_rotated_while_a_process_goes_on(change, fresh, master):
    change("providers.polygon.api_keys", "--add", "main", typed="S3CR3T\n")
    change("providers.polygon.api_keys", "--add", "main", typed="S3CR3T2\n")
    new = new_master_key()
    with override({"MARKETFETCH_MASTER_KEY": f"{new},{master}"}):
        fresh()
        assert "2 values are sealed anew" in change("--rotate-master-key").stderr
        assert "0 values" in change("--rotate-master-key").stderr
    with override({"MARKETFETCH_MASTER_KEY": new}):
        fresh()
        settings_in_force.load()
        assert [key.secret.get_secret_value() for key in get_settings().provider("polygon").keys] == ["S3CR3T2"]
        changing_settings.undo(2, who="ann")
        assert [key.secret.get_secret_value() for key in get_settings().provider("polygon").keys] == ["S3CR3T"]
    with override({"MARKETFETCH_MASTER_KEY": new_master_key()}):
        fresh()
        assert "nothing was sealed anew" in refused(change("--rotate-master-key"))


def test_a_process_that_has_opened_a_key_goes_on_after_the_rotation_with_the_old_master_key(change, master):
    change("providers.polygon.api_keys", "--add", "main", typed="S3CR3T\n")
    rows = changes(connections.store(), limit=1)
    before, _ = settings_in_force.stored_of(rows)
    with override({"MARKETFETCH_MASTER_KEY": f"{new_master_key()},{master}"}):
        changing_settings.rotate()
    after, unread = settings_in_force.stored_of(changes(connections.store(), limit=1))
    assert (after, unread) == (before, {})


def test_a_refusal_of_two_wishes_at_once_names_what_there_is(change):
    assert "Give a NAME and a value" in refused(change(), 2)
    assert "Give a NAME and a value" in refused(change("max_reject_share", "1", "--undo"), 2)
    assert "Give the value of max_reject_share" in refused(change("max_reject_share"), 2)
    assert "there is nothing to unset" in refused(change("--unset", "max_reject_share"))


def test_a_stale_change_names_the_other_one(folder):
    first = changing_settings.put("max_reject_share", 0.3, who="ann", based_on=0)
    with pytest.raises(StaleChange) as caught:
        changing_settings.put("max_reject_share", 0.4, who="bob", based_on=0)
    assert (caught.value.latest.version, caught.value.latest.changed_by) == (first.version, "ann")


def test_a_key_belongs_to_its_owner_from_its_first_moment_to_its_last(change):
    first, owner = MAIN.replace("main", "acme"), MAIN.replace("api_keys.main", "key_owners.acme")
    assert change("providers.polygon.api_keys", "--add", "main", typed="S3CR3T-main\n").exit_code == 0
    assert change("providers.polygon.api_keys", "--add", "acme", "--owner", "customer-17", typed="S3CR3T-acme\n").exit_code == 0
    assert [one.name for one in reversed(changing_settings.history())] == [MAIN, owner, first]
    assert configured.owners("polygon") == {"customer-17": ("acme",), "": ("main",)}
    # Without its owner it would serve everyone.
    assert "Take the key out first" in refused(change("--unset", owner))
    version = next(one.version for one in changing_settings.history() if one.name == owner)
    assert "Take the key out first" in refused(change("--undo", str(version)))
    assert change("--unset", first).exit_code == 0
    assert change("--unset", owner).exit_code == 0
    assert "--owner stands with --add" in refused(change("max_reject_share", "0.5", "--owner", "x"), 2)
