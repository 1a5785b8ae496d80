"""The only reader of the environment and of marketfetch.toml. A process validates all settings at its start.

Order of precedence: environment (MARKETFETCH_…, nested names joined by "__"), then the TOML file that MARKETFETCH_CONFIG
names (default marketfetch.toml in the current folder), then, for a vendor of which neither says anything about keys, the
variable that the vendor's own clients read, then what the database has (marketfetch/settings_in_force.py), then the defaults.

While `marketfetch up --sandbox` runs in the state folder, its Redis, its database and its vendors override all of these, for
every command, worker or app that starts in that time. So simulated data never mixes with real data.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import click
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, create_model, field_validator

from marketfetch.exceptions import UnavailableError
from marketfetch.local import sandbox_note
from marketfetch.local.valkey_server import password_of
from marketfetch.notify_sections import MailServer, Targets, hidden_in_targets
from marketfetch.password_files import WrongPasswordFile, with_password
from marketfetch.quotas.limits import parse
from marketfetch.redaction import passwords
from marketfetch.schemas.handle import Words
from marketfetch.sections import (
    AppName,
    LogSettings,
    MetricsSettings,
    ModuleName,
    Providers,
    ProviderSettings,
    Retries,
    Schedule,
    Timings,
    Universe,
    UniverseName,
)
from marketfetch.serve_section import ServeSettings
from marketfetch.setting_faults import REDIS_PREFIX, sentence, unknown_variable
from marketfetch.setting_sources import (
    PREFIX,
    Environment,
    OwnVariables,
    SandboxNote,
    Source,
    StoredValues,
    TomlFile,
    UnreadableVariable,
    own_variables,
    place,
    variables,
)
from marketfetch.stored_settings import AT_RUN_TIME, StoredSetting, in_turn, laid_under, merged
from marketfetch.vendors import BrokenVendor, example, names, vendor

CONFIG_VARIABLE = "MARKETFETCH_CONFIG"
#: Only tests use it, so it is no setting: see marketfetch/quotas/failpoints.py.
FAILPOINT_VARIABLE = "MARKETFETCH_FAILPOINT"


#: The parameters of a URL that are one: of a Unix socket, of a TLS key, of Sentinel itself.
_PASSWORDS = ("password", "ssl_password", "sslpassword", "sentinel_password")


class SettingsError(click.ClickException, UnavailableError):
    """A setting is wrong. The message names it, and has the reason and a suggestion.

    A ClickException, so that `celery -A marketfetch worker` shows the message instead of a traceback.
    """

    def show(self, file: Any = None) -> None:
        click.echo(f"Error in the settings: {self.message}", file=file, err=file is None)


def _section() -> Any:
    """A section of which no source says anything. It is built with the whole: a model of its own would be built twice."""
    return Field(default_factory=dict, validate_default=True)


class Settings(BaseModel):
    """All settings; `model()` adds the vendors' sections. URLs may contain passwords, so they are secrets too."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, defer_build=True)

    redis_url: SecretStr | None = None
    broker_url: SecretStr | None = None
    broker_options: dict[str, Any] = Field(default_factory=dict)
    redis_prefix: str = Field(default="", pattern=REDIS_PREFIX)
    redis_password_file: str = ""
    database_url: SecretStr = SecretStr("sqlite:///marketfetch.db")
    database_password_file: str = ""
    master_key: SecretStr | None = None
    master_key_file: str = ""
    state_dir: Path = Path(".marketfetch")
    owner: Words = ""
    providers: Providers = _section()
    timings: Timings = _section()
    retries: Retries = _section()
    log: LogSettings = _section()
    metrics: MetricsSettings = _section()
    serve: ServeSettings = _section()
    universes: dict[UniverseName, Universe] = Field(default_factory=dict)
    schedule: list[Schedule] = Field(default_factory=list)
    notify: Targets = Field(default_factory=list)
    smtp: MailServer = _section()
    include: list[ModuleName] = Field(default_factory=list)
    app: AppName = ""
    max_reject_share: float = Field(default=0.2, ge=0, le=1)
    reject_share_min_rows: int = Field(default=20, ge=1, le=50_000)
    archive: SecretStr | None = None
    bars_history: bool = False
    most_idle_pages: int = Field(default=5, ge=1, le=1_000)
    overlap_sessions: int = Field(default=5, ge=0, le=250)
    stale_from_sessions: int = Field(default=2, ge=1, le=250)
    whole_market_from: int = Field(default=10, ge=0, le=1_000_000)

    @field_validator("archive", mode="before")
    @classmethod
    def _empty_is_no_archive(cls, found: Any) -> Any:
        return found or None

    @field_validator("schedule")
    @classmethod
    def _each_has_its_name(cls, found: list[Schedule]) -> list[Schedule]:
        names = [one.name for one in found]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"schedules named twice: {', '.join(twice)}: give each a name of its own")
        return found

    def provider(self, name: str) -> ProviderSettings:
        """Returns the settings of one vendor. Raises KeyError for a name that no installed vendor has."""
        if name not in type(self.providers).model_fields:
            raise KeyError(name)
        section: ProviderSettings = getattr(self.providers, name)
        return section

    def secrets(self) -> tuple[str, ...]:
        """Returns every secret, longest first, so that redaction cuts a secret that contains another one as a whole."""
        found = {one for name in type(self.providers).model_fields for one in self.provider(name).hidden()}
        if self.master_key:
            found |= {one.strip() for one in self.master_key.get_secret_value().split(",")}
        for url in (self.redis_url, self.database_url, self.broker_url, self.archive):
            if url:
                # of several Sentinels each may have a URL of its own
                for one in {url.get_secret_value(), *url.get_secret_value().split(";")}:
                    found |= passwords(one)
                    found |= {value for name, value in parse_qsl(one.partition("?")[2]) if name in _PASSWORDS}
        # The embedded Valkey's stands in a file of the state folder: no setting names it.
        found |= {*hidden_in_targets(self.notify, self.smtp), password_of(self.state_dir)}
        found.add(password_of(sandbox_note.home(self.state_dir)))
        return tuple(sorted(found - {""}, key=len, reverse=True))


@lru_cache(maxsize=1)
def model() -> type[Settings]:
    """Returns Settings with a section for every installed vendor. Imports the vendors, but no decoder. Raises BrokenVendor.

    A section has the vendor's own options and those of every vendor; the vendor's first plan is the default.
    """
    sections: dict[str, Any] = {}
    for name in names():
        one = vendor(name)
        try:
            for text in (text for plan in one.plans.values() for text in plan.limits):
                parse(text)
            section = create_model(name, __base__=(one.options, ProviderSettings), plan=(str, next(iter(one.plans))))
            if needed := [option for option, field in section.model_fields.items() if field.is_required()]:
                raise ValueError(f"its option {needed[0]} has no default")
            sections[name] = (section, _section())
        except (ValueError, TypeError) as error:
            raise BrokenVendor(f"the vendor {name!r} can't be configured: {error}") from error
    providers = create_model("Providers", __base__=Providers, **sections)
    return create_model("Settings", __base__=Settings, providers=(providers, _section()))


def config_path() -> Path | None:
    """Returns the TOML file to read, None if there is none. Raises SettingsError if MARKETFETCH_CONFIG names a missing one."""
    named = os.environ.get(CONFIG_VARIABLE)  # noqa: TID251 (the only reader of the environment)
    path = Path(named or "marketfetch.toml")
    if path.is_file():
        return path
    if named:
        raise SettingsError(f"{CONFIG_VARIABLE} names {named}, and there is no such file: correct the path or unset it.")
    return None


def failpoint() -> str:
    """Returns the step at which a test ends this process, "" for none."""
    return os.environ.get(FAILPOINT_VARIABLE, "")  # noqa: TID251


#: What the database had when it was read last; used until it is read again.
_stored: tuple[StoredSetting, ...] = ()
#: The settings that `use_stored` has made for this process, until `get_settings` takes them.
_made: list[Settings] = []


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """Returns the settings of this process, read once, with what `settings_in_force` has put in force. Raises SettingsError."""
    return _made.pop() if _made else reread()


def reread() -> Settings:
    """Reads the settings as they are now, for what may change while a process runs. Raises SettingsError."""
    return read_with(_stored)


def put_in_force(stored: Sequence[StoredSetting], fresh: Settings) -> None:
    """From now on this process has these settings of the database, read as `fresh`: those in AT_RUN_TIME, and no other."""
    global _stored
    before, _stored = get_settings(), tuple(stored)
    _made[:] = [before.model_copy(update={name: getattr(fresh, name) for name in AT_RUN_TIME})]
    get_settings.cache_clear()
    get_settings()


def of_database() -> tuple[StoredSetting, ...]:
    """Returns the settings of the database that this process has."""
    return _stored


def forget_stored() -> None:
    """Forgets what the database had: for a process whose settings come from elsewhere from now on."""
    global _stored
    _stored = ()
    _made.clear()
    get_settings.cache_clear()


def read_with(
    stored: Sequence[StoredSetting], *, forced: Mapping[str, Any] | None = None, given_now: StoredSetting | None = None
) -> Settings:
    """Reads every source, with these settings of the database under them, and with `forced` over them. Raises SettingsError."""
    followed: dict[str, Any] = {}
    added: dict[str, Any] = {}
    try:
        settings = model()
        _refuse_unknown_variables()
        outside = _outside(settings)
        own = settings.model_validate(outside)
        followed = _followed(own)
        if followed:
            own = settings.model_validate(merged(outside, followed))
        # A running sandbox has vendors of its own: no real key goes there.
        ours = [one for one in in_turn(stored) if not (followed and one.name.startswith("providers."))]
        added = merged(laid_under(own, ours, settings), forced or {})
        if added:
            own = settings.model_validate(merged(outside, merged(added, followed)))
        return own if followed else _with_passwords(own)
    except BrokenVendor as error:
        raise SettingsError(f"{error}.") from error
    except ValidationError as error:
        where = [*_sources(followed), StoredValues(added, (given_now,) if given_now else tuple(stored))]
        raise SettingsError(sentence(error, model(), where)) from None
    except UnreadableVariable as error:
        raise SettingsError(f"{error}, for example {example_of_keys()}.") from None
    except OSError as error:
        raise SettingsError(f"{config_path()} can't be read: {error.strerror}. Give this user permission.") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{config_path()} is no text in UTF-8: save it as UTF-8, or write it anew.") from None
    except ValueError as error:  # tomllib.TOMLDecodeError is one
        raise SettingsError(f"{config_path()} is not valid TOML: {error}.") from None


def _outside(settings: type[Settings]) -> dict[str, Any]:
    """What stands outside of the database, nested. Raises UnreadableVariable, OSError and ValueError."""
    path = config_path()
    file = tomllib.loads(path.read_text(encoding="utf-8")) if path else {}
    return merged(merged(_own_variables().values, file), variables(settings, os.environ))  # noqa: TID251


def _with_passwords(own: Settings) -> Settings:
    """Puts the passwords of the files into the URLs, which all else reads. Raises SettingsError."""
    found: dict[str, SecretStr] = {}
    for name in ("redis", "database"):
        path, url = getattr(own, f"{name}_password_file"), getattr(own, f"{name}_url")
        if not path:
            continue
        try:
            if url is None:
                raise WrongPasswordFile(f"there is no {name}_url that needs it: name the server")
            found[f"{name}_url"] = SecretStr(with_password(url.get_secret_value(), Path(path)))
        except WrongPasswordFile as error:
            where = place(_sources({}), (f"{name}_password_file",))
            raise SettingsError(f"{name}_password_file: {error} ({where}).") from None
    return own.model_copy(update=found) if found else own


def origin(*path: str) -> str:
    """Returns from where the setting at `path` comes, for messages: `in marketfetch.toml, line 3`, `by default`."""
    return place([*_sources(_followed(get_settings())), *_of_database()], path) or "by default"


def given_at(own: Settings, path: tuple[str, ...]) -> str:
    """Returns where TOML, the environment or a running sandbox gives the setting at `path` of `own`, "" where they do not."""
    return place(_sources(_followed(own)), path)


def _of_database() -> list[Source]:
    added = laid_under(read_with(()), in_turn(_stored), model()) if _stored else {}
    return [StoredValues(added, _stored)] if added else []


def unused_key_variables(name: str) -> list[str]:
    """Returns the vendor's own variables that hold a key which is no key of the settings: another source went before."""
    used = get_settings().provider(name).hidden()
    held = {one: os.environ.get(one, "").strip() for one in vendor(name).key_variables}  # noqa: TID251
    return [variable for variable, secret in held.items() if secret and secret not in used]


def _followed(own: Settings) -> dict[str, Any]:
    """Returns what a running sandbox overrides. Its vendors are on this machine: no proxy and no other authority is between."""
    followed = sandbox_note.find(own.state_dir)
    for section in followed.get("providers", {}).values():
        section.update({"proxy": None, "ca_file": None})
    return followed


def _sources(followed: Mapping[str, Any]) -> list[Source]:
    """Returns what each source gives, the strongest first."""
    found: list[Source] = [SandboxNote(followed)]
    with suppress(UnreadableVariable):
        found.append(Environment(variables(model(), os.environ), tuple(os.environ)))  # noqa: TID251
    if path := config_path():
        text = path.read_text(encoding="utf-8")
        found.append(TomlFile(tomllib.loads(text), path, text))
    return [*found, _own_variables()]


def key_variables() -> dict[str, tuple[str, ...]]:
    """Returns the names of the vendors' own variables, by vendor."""
    return {name: vendor(name).key_variables for name in names()}


def _own_variables() -> OwnVariables:
    return own_variables(key_variables(), os.environ)  # noqa: TID251


def example_of_keys() -> str:
    """Returns an example of an API key in the environment, for messages: an installed vendor's variable, without a secret."""
    return f"{PREFIX}PROVIDERS__{example().name.upper()}__API_KEYS='[\"main:SECRET\"]'"


def environment(**more: str) -> dict[str, str]:
    """Returns this process's environment with `more` added, for a child process."""
    return {**os.environ, **more}  # noqa: TID251


def unrelated_environment() -> dict[str, str]:
    """Returns this process's environment without what marketfetch reads: its variables, and the vendors' own for keys."""
    theirs: set[str] = set()
    with suppress(BrokenVendor):
        theirs = {one for variables in key_variables().values() for one in variables}
    return {name: value for name, value in environment().items() if not (name.upper().startswith(PREFIX) or name in theirs)}


@contextmanager
def override(variables: Mapping[str, str]) -> Iterator[None]:
    """Within the block, settings come from these variables and from no others.

    Commands with vendors and servers of their own (`demo`) use it; children that start in the block inherit the variables.
    """
    before = environment()
    for name in before.keys() - unrelated_environment().keys():
        del os.environ[name]  # noqa: TID251
    os.environ.update(variables)  # noqa: TID251
    forget_stored()
    try:
        yield
    finally:
        os.environ.clear()  # noqa: TID251
        os.environ.update(before)  # noqa: TID251
        forget_stored()


def _refuse_unknown_variables() -> None:
    """Raises SettingsError for an unknown MARKETFETCH_ variable, because pydantic ignores a mistyped one silently."""
    ours = [one for one in sorted(os.environ) if one not in (CONFIG_VARIABLE, FAILPOINT_VARIABLE)]  # noqa: TID251
    if fault := unknown_variable(ours, model()):
        raise SettingsError(fault)
