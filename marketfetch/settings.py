"""The only reader of the environment and of marketfetch.toml. Checked whole at boot; wrong values stop with a sentence.

Order of precedence: environment (MARKETFETCH_…, nested names joined by "__"), then the TOML file that MARKETFETCH_CONFIG
names (default marketfetch.toml in the current folder), then the defaults below.

While `marketfetch up --sandbox` runs in the state folder, its Redis, its database and its vendors go before all of these: for
whoever starts in that time, be it a command, a worker or an app. So nothing invented meets what is real.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, Self, get_args, get_origin
from urllib.parse import unquote

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
#: For tests alone, so it is no setting: see marketfetch/quotas/failpoints.py.
FAILPOINT_VARIABLE = "MARKETFETCH_FAILPOINT"

Seconds = Annotated[float, Field(gt=0, le=86_400)]


class SettingsError(click.ClickException, UnavailableError):
    """A setting is wrong. The message names it, says what is wrong, and what was perhaps meant.

    A ClickException, so that `celery -A marketfetch worker` shows the sentence instead of a traceback.
    """

    def show(self, file: Any = None) -> None:
        click.echo(f"marketfetch can't start: {self.message}", file=file, err=file is None)


class Key(NamedTuple):
    """An API key and the label that stands for it everywhere else."""

    label: str
    secret: SecretStr


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ProviderSettings(VendorOptions):
    """One vendor: its own options, the keys, and what the keys' plan allows.

    `plan` names a published plan (`limits.py` in the vendor's folder); `limits` such as "5/minute" replace the plan's
    ([]: no limits), and `key_limits` replace both for single keys, by label. `concurrency` is how many calls may be open at
    once with a key (None: the plan's, or as many as there are workers). `reserve` is the share of every limit, 0 to 1, that is
    left for others who use the same keys.
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
            raise ValueError("api_keys: a key is empty; write the secret, or label:secret")
        for label, secret in zip(labels, secrets, strict=True):
            if secrets.count(secret) > 1:
                both = ", ".join(one for one, other in zip(labels, secrets, strict=True) if other == secret)
                raise ValueError(f"api_keys: one secret stands there more than once ({both}); keep one of them")
            if labels.count(label) > 1:
                raise ValueError(f"api_keys: two keys have the label {label!r}; a label stands for one key")
            if label == "*" or not label.isprintable():
                raise ValueError(f"api_keys: {label!r} can't be a label; write a word, such as main:secret")
        return self

    @field_validator("key_limits", mode="before")
    @classmethod
    def _null_takes_back_what_the_file_says(cls, found: Any) -> Any:
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
                label, secret = f"key-{hashlib.sha256(text.encode()).hexdigest()[:6]}", text
            found.append(Key(label.strip(), SecretStr(secret.strip())))
        return tuple(found)


class Providers(_Section):
    """A section for every installed vendor, by the name it has in commands, tasks and queues. `model()` adds the fields."""

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
    """Seconds. A call is `connect` + the rest within `call`; a granted call starts within `start_by`, ends within `end_by`.

    A held batch that nobody stored is handed on again after `held_again`; every `sweep` somebody looks whether all that is to
    do of every job is parked.
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
                f"end_by ({self.end_by:g} s) must be longer than call ({self.call:g} s): the lease outlives the call"
            )
        return self


class Retries(_Section):
    """For transient errors only: `most` further attempts, after about `backoff` seconds, doubling up to `backoff_max`."""

    most: int = Field(default=5, ge=0, le=100)
    backoff: int = Field(default=2, ge=1)
    backoff_max: int = Field(default=300, ge=1)


class LogSettings(_Section):
    """`text` for people, `json` for machines."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"


class Settings(BaseSettings):
    """Everything that can be set; `model()` adds the vendors' sections. URLs may hold passwords, so they are secrets too."""

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
        """The settings of one vendor. Raises KeyError for a name that no installed vendor has."""
        if name not in type(self.providers).model_fields:
            raise KeyError(name)
        section: ProviderSettings = getattr(self.providers, name)
        return section

    def secrets(self) -> tuple[str, ...]:
        """Every secret text that no log may hold, longest first, so that one inside another is cut whole."""
        found = {
            key.secret.get_secret_value() for name in type(self.providers).model_fields for key in self.provider(name).keys
        }
        for url in (self.redis_url, self.database_url):
            if url and "@" in url.get_secret_value():
                userinfo = url.get_secret_value().partition("://")[2].rpartition("@")[0]
                password = userinfo.partition(":")[2]
                found |= {password, unquote(password)}
        # The embedded Valkey's stands in a file of the state folder: no setting names it.
        found.add(password_of(self.state_dir))
        found.add(password_of(sandbox_note.home(self.state_dir)))
        return tuple(sorted(found - {""}, key=len, reverse=True))


@lru_cache(maxsize=1)
def model() -> type[Settings]:
    """Settings with a section for every installed vendor. Loads the vendors, without their readers. Raises BrokenVendor.

    A section is the vendor's own options and those of every vendor; its first plan is the default.
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
    """The TOML file in force, None where there is none. Naming one that is missing is an error."""
    named = os.environ.get(CONFIG_VARIABLE)  # noqa: TID251 (this is the one place)
    path = Path(named or "marketfetch.toml")
    if path.is_file():
        return path
    if named:
        raise SettingsError(f"{CONFIG_VARIABLE} names {named}, and there is no such file: correct the path or unset it.")
    return None


def failpoint() -> str:
    """Where tests want this process killed, "" for nowhere."""
    return os.environ.get(FAILPOINT_VARIABLE, "")  # noqa: TID251


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The settings of this process, read once; with a sandbox that runs here over them. Raises SettingsError."""
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
            f"{PREFIX}{field.upper()} (or one below it) is not valid JSON. Lists are written as JSON, "
            f"for example {example_of_keys()}."
        ) from None
    except ValueError as error:  # tomllib.TOMLDecodeError is one
        raise SettingsError(f"{config_path()} is not valid TOML: {error}.") from None


def example_of_keys() -> str:
    """How a key is set in the environment, for messages: the variable of an installed vendor, with a label and no secret."""
    return f"{PREFIX}PROVIDERS__{example().name.upper()}__API_KEYS='[\"main:SECRET\"]'"


def environment(**more: str) -> dict[str, str]:
    """This process's environment with `more` added: what a child process is started with."""
    return {**os.environ, **more}  # noqa: TID251


@contextmanager
def override(variables: Mapping[str, str]) -> Iterator[None]:
    """For the time of the block, settings come from these MARKETFETCH_ variables and from no others.

    For commands that bring their own vendors and servers (`demo`): children started in the block inherit it.
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
    """A mistyped variable would otherwise be ignored in silence."""
    known = dict(_fields(model()))
    free = [name for name, annotation in known.items() if get_origin(annotation) is dict]
    for variable in sorted(os.environ):  # noqa: TID251
        if not variable.startswith(PREFIX) or variable in (CONFIG_VARIABLE, FAILPOINT_VARIABLE):
            continue
        name = variable.removeprefix(PREFIX).lower()
        # Below a table such as key_limits stand names of the user's own choice.
        if name in known or name.startswith(tuple(f"{one}__" for one in free)):
            continue
        meant = did_you_mean(name.upper(), [one.upper() for one in known], as_written=f"{PREFIX}{{}}")
        meant = meant or "See marketfetch.toml.example for every name."
        raise SettingsError(f"the environment variable {variable} is no setting of ours. {meant}")


def _fields(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every setting by the name that its variable has, in lower case, with its annotation; sections too."""
    for name, field in model.model_fields.items():
        yield f"{prefix}{name}", field.annotation
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _fields(field.annotation, f"{prefix}{name}__")


def _sentence(error: ValidationError) -> str:
    """All errors, a clause each: setting, what is wrong, what was meant. Values are shown only where no secret can be."""
    clauses = []
    for one in error.errors(include_url=False, include_input=True):
        path = ".".join(str(part) for part in one["loc"])
        clause = f"{path}: {one['msg'].removeprefix('Value error, ')}"
        if one["type"] == "extra_forbidden":
            parents = [str(part) for part in one["loc"][:-1]]
            siblings = [name.split("__")[-1] for name, _ in _fields(model()) if name.split("__")[:-1] == parents]
            meant = did_you_mean(str(one["loc"][-1]), siblings, as_written=".".join([*parents, "{}"]))
            clause = f"{path} is no setting of ours. {meant}".rstrip()
        elif one["type"] == "literal_error":
            meant = did_you_mean(str(one["input"]), _choices(path), as_written="{!r}")
            clause += f", not {one['input']!r}. {meant}".rstrip()
        elif isinstance(one["input"], int | float | str) and not ("key" in path or "url" in path):
            clause += f", got {one['input']!r}"
        where = PREFIX + path.replace(".", "__").upper()
        clauses.append(f"{clause} (in the environment: {where})")
    return "; ".join(clauses)


def _choices(path: str) -> list[str]:
    found: Any = model()
    for part in path.split("."):
        found = found.model_fields[part].annotation
    return [str(choice) for choice in get_args(found)]
