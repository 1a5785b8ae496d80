"""The only reader of the environment and of marketfetch.toml. A process validates all settings at its start.

Order of precedence: environment (MARKETFETCH_…, nested names joined by "__"), then the TOML file that MARKETFETCH_CONFIG
names (default marketfetch.toml in the current folder), then the defaults below.

While `marketfetch up --sandbox` runs in the state folder, its Redis, its database and its vendors override all of these, for
every command, worker or app that starts in that time. So simulated data never mixes with real data.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, Self, get_args, get_origin
from urllib.parse import parse_qsl, unquote

import click
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, create_model, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource
from pydantic_settings import SettingsError as SourceError

from marketfetch.exceptions import UnavailableError
from marketfetch.local import sandbox_note
from marketfetch.local.valkey_server import password_of
from marketfetch.quotas.limits import parse
from marketfetch.suggestions import did_you_mean
from marketfetch.vendors import BrokenVendor, example, names, vendor
from marketfetch.vendors.protocol import VendorOptions

PREFIX = "MARKETFETCH_"
CONFIG_VARIABLE = "MARKETFETCH_CONFIG"
#: Only tests use it, so it is no setting: see marketfetch/quotas/failpoints.py.
FAILPOINT_VARIABLE = "MARKETFETCH_FAILPOINT"

Seconds = Annotated[float, Field(gt=0, le=86_400)]


class SettingsError(click.ClickException, UnavailableError):
    """A setting is wrong. The message names it, and has the reason and a suggestion.

    A ClickException, so that `celery -A marketfetch worker` shows the message instead of a traceback.
    """

    def show(self, file: Any = None) -> None:
        click.echo(f"marketfetch can't start: {self.message}", file=file, err=file is None)


class Key(NamedTuple):
    """An API key, and the label that replaces it in logs, messages and tables."""

    label: str
    secret: SecretStr


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ProviderSettings(VendorOptions):
    """One vendor: its own options, the keys, and their limits.

    `plan` names a published plan (`published_plans.py` in the vendor's folder); `limits` such as "5/minute" replace the plan's
    ([]: no limits), and `key_limits` replace both for single keys, by label. `concurrency` is the maximum of concurrent calls
    with a key (None: the plan's maximum, or none). `reserve` is the share of every limit, 0 to 1, that marketfetch leaves to
    other users of the same keys.
    """

    api_keys: list[SecretStr] = Field(default_factory=list)
    plan: str = "free"
    limits: list[str] | None = None
    key_limits: dict[str, list[str]] = Field(default_factory=dict)
    concurrency: int | None = Field(default=None, ge=1)
    reserve: float = Field(default=0.0, ge=0, lt=1)

    @model_validator(mode="after")
    def _keys_are_distinct(self) -> Self:
        labels = [key.label for key in self.keys]
        secrets = [key.secret.get_secret_value() for key in self.keys]
        if "" in secrets:
            label = labels[secrets.index("")]
            raise ValueError(f"api_keys: a key is empty (label {label!r}); write the secret, or label:secret")
        for label, secret in zip(labels, secrets, strict=True):
            if not (secret.isascii() and secret.isprintable()):
                raise ValueError(
                    f"api_keys: the key labelled {label!r} can't be sent, because it holds a character that no key has "
                    f"(a line break, a control character, or a letter outside ASCII): copy it again"
                )
        for label, secret in zip(labels, secrets, strict=True):
            if secrets.count(secret) > 1:
                both = ", ".join(one for one, other in zip(labels, secrets, strict=True) if other == secret)
                raise ValueError(f"api_keys: the same secret appears more than once ({both}); keep one of them")
            if labels.count(label) > 1:
                raise ValueError(f"api_keys: two keys have the label {label!r}; a label stands for one key")
            if label == "*" or not label.isprintable():
                raise ValueError(f"api_keys: {label!r} can't be a label; write a word, such as main:secret")
        return self

    @field_validator("key_limits", mode="before")
    @classmethod
    def _null_clears_key_limits(cls, found: Any) -> Any:
        return {} if found is None else found

    @field_validator("limits")
    @classmethod
    def _limits_are_understood(cls, limits: list[str] | None) -> list[str] | None:
        for text in limits or ():
            parse(text)
        return limits

    @model_validator(mode="after")
    def _key_limits_are_of_keys(self) -> Self:
        labels = [key.label for key in self.keys]
        for label, limits in self.key_limits.items():
            if label not in labels:
                raise ValueError(f"key_limits: no key is labelled {label!r}; labels are: {', '.join(labels) or 'none'}")
            for text in limits:
                parse(text)
        return self

    @property
    def keys(self) -> tuple[Key, ...]:
        """`label:secret` splits at the first colon; a bare secret is labelled `key-` + 6 hex digits of its SHA-256."""
        found = []
        for one in self.api_keys:
            text = one.get_secret_value().strip()
            label, colon, secret = text.partition(":")
            if not colon:
                digest = hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()
                label, secret = f"key-{digest[:6]}", text
            found.append(Key(label.strip(), SecretStr(secret.strip())))
        return tuple(found)


class Providers(_Section):
    """A section for every installed vendor, by its name. `model()` adds the fields."""

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> ProviderSettings: ...

    @model_validator(mode="after")
    def _plans_exist(self) -> Self:
        for name in type(self).model_fields:
            plan, known = getattr(self, name).plan, tuple(vendor(name).plans)
            if plan not in known:
                meant = did_you_mean(plan, known, as_written="{!r}")
                raise ValueError(f"{name}.plan: there is no plan {plan!r}; there are {', '.join(known)}. {meant}".rstrip())
        return self


class Timings(_Section):
    """Seconds. A call connects within `connect` and ends within `call`. A grant expires if its call does not start within
    `start_by`; the lease of a call expires `end_by` after its start.

    A batch that no worker has stored is redelivered after `held_again`. Every `sweep` seconds a worker parks the unfinished
    requests that are not parked.
    """

    connect: Seconds = 5
    call: Seconds = 20
    start_by: Seconds = 10
    end_by: Seconds = 25
    held_again: Seconds = 20
    sweep: Seconds = 15

    @model_validator(mode="after")
    def _end_is_after_the_call(self) -> Self:
        if self.end_by <= self.call:
            raise ValueError(
                f"end_by ({self.end_by:g} s) must be longer than call ({self.call:g} s): the lease must outlive the call"
            )
        return self


class Retries(_Section):
    """Retries of transient errors: at most `most`, after about `backoff` seconds, then doubling up to `backoff_max`."""

    most: int = Field(default=5, ge=0, le=100)
    backoff: int = Field(default=2, ge=1)
    backoff_max: int = Field(default=300, ge=1)


class LogSettings(_Section):
    """`format` text is for people, json for machines."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"


class Settings(BaseSettings):
    """All settings; `model()` adds the vendors' sections. URLs may contain passwords, so they are secrets too."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True, hide_input_in_errors=True
    )

    redis_url: SecretStr | None = None
    database_url: SecretStr = SecretStr("sqlite:///marketfetch.db")
    state_dir: Path = Path(".marketfetch")
    providers: Providers = Providers()
    timings: Timings = Timings()
    retries: Retries = Retries()
    log: LogSettings = LogSettings()
    max_reject_share: float = Field(default=0.2, ge=0, le=1)
    reject_share_min_rows: int = Field(default=20, ge=1, le=50_000)
    most_idle_pages: int = Field(default=5, ge=1, le=1_000)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 (the library's signature)
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        path = config_path()
        file = (TomlConfigSettingsSource(settings_cls, toml_file=path),) if path else ()
        return (init_settings, env_settings, *file)

    def provider(self, name: str) -> ProviderSettings:
        """Returns the settings of one vendor. Raises KeyError for a name that no installed vendor has."""
        if name not in type(self.providers).model_fields:
            raise KeyError(name)
        section: ProviderSettings = getattr(self.providers, name)
        return section

    def secrets(self) -> tuple[str, ...]:
        """Returns every secret, longest first, so that redaction cuts a secret that contains another one as a whole."""
        found = {
            key.secret.get_secret_value() for name in type(self.providers).model_fields for key in self.provider(name).keys
        }
        for url in (self.redis_url, self.database_url):
            if url and "@" in url.get_secret_value():
                userinfo = url.get_secret_value().partition("://")[2].rpartition("@")[0]
                password = userinfo.partition(":")[2]
                found |= {password, unquote(password)}
            if url:  # of a Unix socket, and of a TLS key
                given = parse_qsl(url.get_secret_value().partition("?")[2])
                found |= {value for name, value in given if name in ("password", "ssl_password", "sslpassword")}
        # The embedded Valkey's stands in a file of the state folder: no setting names it.
        found.add(password_of(self.state_dir))
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
            sections[name] = (section, section())
        except (ValueError, TypeError) as error:
            raise BrokenVendor(f"the vendor {name!r} can't be configured: {error}") from error
    providers = create_model("Providers", __base__=Providers, **sections)
    return create_model("Settings", __base__=Settings, providers=(providers, providers()))


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


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """Returns the settings of this process, read once. A running sandbox overrides them. Raises SettingsError."""
    try:
        settings = model()
        _refuse_unknown_variables()
        own = settings()
        followed = sandbox_note.find(own.state_dir)
        return settings(**followed) if followed else own
    except BrokenVendor as error:
        raise SettingsError(f"{error}.") from error
    except ValidationError as error:
        raise SettingsError(_sentence(error)) from None
    except SourceError as error:
        field = str(error).partition('"')[2].partition('"')[0]
        raise SettingsError(
            f"{PREFIX}{field.upper()} (or one below it) is not valid JSON. Write lists as JSON, "
            f"for example {example_of_keys()}."
        ) from None
    except ValueError as error:  # tomllib.TOMLDecodeError is one
        raise SettingsError(f"{config_path()} is not valid TOML: {error}.") from None


def example_of_keys() -> str:
    """Returns an example of an API key in the environment, for messages: an installed vendor's variable, without a secret."""
    return f"{PREFIX}PROVIDERS__{example().name.upper()}__API_KEYS='[\"main:SECRET\"]'"


def environment(**more: str) -> dict[str, str]:
    """Returns this process's environment with `more` added, for a child process."""
    return {**os.environ, **more}  # noqa: TID251


@contextmanager
def override(variables: Mapping[str, str]) -> Iterator[None]:
    """Within the block, settings come from these MARKETFETCH_ variables and from no others.

    Commands with vendors and servers of their own (`demo`) use it; children that start in the block inherit the variables.
    """
    before = environment()
    for name in before:
        if name.startswith(PREFIX):
            del os.environ[name]  # noqa: TID251
    os.environ.update(variables)  # noqa: TID251
    get_settings.cache_clear()
    try:
        yield
    finally:
        os.environ.clear()  # noqa: TID251
        os.environ.update(before)  # noqa: TID251
        get_settings.cache_clear()


def _refuse_unknown_variables() -> None:
    """Raises SettingsError for an unknown MARKETFETCH_ variable, because pydantic ignores a mistyped one silently."""
    known = dict(_fields(model()))
    free = [name for name, annotation in known.items() if get_origin(annotation) is dict]
    for variable in sorted(os.environ):  # noqa: TID251
        if not variable.startswith(PREFIX) or variable in (CONFIG_VARIABLE, FAILPOINT_VARIABLE):
            continue
        name = variable.removeprefix(PREFIX).lower()
        # The names in a table such as key_limits are the user's own.
        if name in known or name.startswith(tuple(f"{one}__" for one in free)):
            continue
        meant = did_you_mean(name.upper(), [one.upper() for one in known], as_written=f"{PREFIX}{{}}")
        meant = meant or "See marketfetch.toml.example for every name."
        raise SettingsError(f"the environment variable {variable} is no setting of marketfetch. {meant}")


def _fields(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yields every setting and section: the name of its variable in lower case, and its annotation."""
    for name, field in model.model_fields.items():
        yield f"{prefix}{name}", field.annotation
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _fields(field.annotation, f"{prefix}{name}__")


def _sentence(error: ValidationError) -> str:
    """Returns a clause for each error: setting, fault, suggestion. It quotes a value only if the value can't be a secret."""
    clauses = []
    for one in error.errors(include_url=False, include_input=True):
        path = ".".join(str(part) for part in one["loc"])
        clause = f"{path}: {one['msg'].removeprefix('Value error, ')}"
        if one["type"] == "extra_forbidden":
            parents = [str(part) for part in one["loc"][:-1]]
            siblings = [name.split("__")[-1] for name, _ in _fields(model()) if name.split("__")[:-1] == parents]
            meant = did_you_mean(str(one["loc"][-1]), siblings, as_written=".".join([*parents, "{}"]))
            clause = f"{path} is no setting of marketfetch. {meant}".rstrip()
        elif one["type"] == "literal_error":
            meant = did_you_mean(str(one["input"]), _choices(path), as_written="{!r}")
            clause += f", not {one['input']!r}. {meant}".rstrip()
        elif isinstance(one["input"], int | float | str) and not ("key" in path or "url" in path):
            clause += f", got {one['input']!r}"
        clauses.append(f"{clause} ({_source(path)})")
    return "; ".join(clauses)


def _source(path: str) -> str:
    """Returns where this value was read, for messages: the environment wins over the file."""
    # A list has one variable, not one for each entry.
    parts = [one.upper() for one in path.split(".") if not one.isdigit()]
    # A variable may hold a whole table or list as JSON.
    for length in range(len(parts), 0, -1):
        if (named := PREFIX + "__".join(parts[:length])) in os.environ:  # noqa: TID251
            return f"in the environment: {named}"
    variable, file = PREFIX + "__".join(parts), config_path()
    return f"in {file}; as a variable: {variable}" if file else f"as a variable: {variable}"


def _choices(path: str) -> list[str]:
    found: Any = model()
    for part in path.split("."):
        found = found.model_fields[part].annotation
    return [str(choice) for choice in get_args(found)]
