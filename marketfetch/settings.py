"""The only reader of the environment and of marketfetch.toml. Checked whole at boot; wrong values stop with a sentence.

Order of precedence: environment (MARKETFETCH_…, nested names joined by "__"), then the TOML file that MARKETFETCH_CONFIG
names (default marketfetch.toml in the current folder), then the defaults below.

While `marketfetch up --sandbox` runs in the state folder, its Redis, its database and its vendors go before all of these: for
whoever starts in that time, be it a command, a worker or an app. So nothing invented meets what is real.
"""

from __future__ import annotations

import difflib
import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self, get_args

import click
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource
from pydantic_settings import SettingsError as SourceError

from marketfetch.exceptions import UnavailableError
from marketfetch.local import sandbox_note
from marketfetch.quotas.limits import parse
from marketfetch.quotas.plans import PLANS
from marketfetch.schemas.column_mapping import ColumnMapping

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


class ProviderSettings(_Section):
    """One vendor: where it is, the keys, and what the keys' plan allows.

    `plan` names a published plan (`quotas/plans.py`); `limits` such as "5/minute", where they are written, replace the plan's
    ([]: no limits), and `key_limits` replace both for single keys, by label. `concurrency` is how many calls may be open at
    once with a key (None: the plan's, or as many as there are workers). `reserve` is the share of every limit, 0 to 1, that is
    left for others who use the same keys. `page_limit` is the rows asked per page (None: the
    vendor's maximum).
    """

    base_url: str = Field(pattern=r"^https?://[^\s?#]+$")
    api_keys: list[SecretStr] = []
    plan: str = "free"
    limits: list[str] | None = None
    key_limits: dict[str, list[str]] = {}
    concurrency: int | None = Field(default=None, ge=1)
    reserve: float = Field(default=0.0, ge=0, lt=1)
    page_limit: int | None = Field(default=None, ge=1, le=50_000)

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


class AlphaVantageSettings(ProviderSettings):
    """https://www.alphavantage.co/documentation/"""

    base_url: str = Field(default="https://www.alphavantage.co", pattern=r"^https?://[^\s?#]+$")


class PolygonSettings(ProviderSettings):
    """https://massive.com/docs/rest/quickstart (Polygon.io until 2025-10)"""

    base_url: str = Field(default="https://api.massive.com", pattern=r"^https?://[^\s?#]+$")


class NasdaqSettings(ProviderSettings):
    """https://docs.data.nasdaq.com/docs/getting-started

    `tables` maps the columns of datasets ("DB/CODE") and datatables ("VENDOR/TABLE") that are not known to us.
    """

    base_url: str = Field(default="https://data.nasdaq.com/api/v3", pattern=r"^https?://[^\s?#]+$")
    symbols_per_request: int = Field(default=1, ge=1, le=100)
    tables: dict[str, ColumnMapping] = {}


class Providers(_Section):
    """The three vendors, by the names they have in commands, tasks and queues."""

    alpha_vantage: AlphaVantageSettings = AlphaVantageSettings()
    polygon: PolygonSettings = PolygonSettings()
    nasdaq: NasdaqSettings = NasdaqSettings()

    @model_validator(mode="after")
    def _plans_exist(self) -> Self:
        for name in Providers.model_fields:
            plan, known = getattr(self, name).plan, tuple(PLANS[name])
            if plan not in known:
                close = difflib.get_close_matches(plan, known, n=1)
                meant = f" Did you mean {close[0]!r}?" if close else ""
                raise ValueError(f"{name}.plan: there is no plan {plan!r}; there are {', '.join(known)}.{meant}")
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
    """Everything that can be set. URLs may hold passwords, so they are secrets too."""

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
        """The settings of one vendor. KeyError for a name that is none."""
        if name not in Providers.model_fields:
            raise KeyError(name)
        section: ProviderSettings = getattr(self.providers, name)
        return section

    def secrets(self) -> tuple[str, ...]:
        """Every secret text that no log may hold, longest first, so that one inside another is cut whole."""
        found = {key.secret.get_secret_value() for name in Providers.model_fields for key in self.provider(name).keys}
        for url in (self.redis_url, self.database_url):
            if url and "@" in url.get_secret_value():
                userinfo = url.get_secret_value().partition("://")[2].rpartition("@")[0]
                found.add(userinfo.partition(":")[2])
        return tuple(sorted(found - {""}, key=len, reverse=True))


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
    _refuse_unknown_variables()
    try:
        own = Settings()
        followed = sandbox_note.find(own.state_dir)
        return Settings(**followed) if followed else own
    except ValidationError as error:
        raise SettingsError(_sentence(error)) from None
    except SourceError as error:
        field = str(error).partition('"')[2].partition('"')[0]
        raise SettingsError(
            f"{PREFIX}{field.upper()} (or one below it) is not valid JSON. Lists are written as JSON, "
            f"for example MARKETFETCH_PROVIDERS__POLYGON__API_KEYS='[\"main:SECRET\"]'."
        ) from None
    except ValueError as error:  # tomllib.TOMLDecodeError is one
        raise SettingsError(f"{config_path()} is not valid TOML: {error}.") from None


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
    known = sorted(_names(Settings))
    for variable in sorted(os.environ):  # noqa: TID251
        if not variable.startswith(PREFIX) or variable in (CONFIG_VARIABLE, FAILPOINT_VARIABLE):
            continue
        name = variable.removeprefix(PREFIX).lower()
        if any(name == one or name.startswith(f"{free}__") for one in known for free in (_free(one),) if free or name == one):
            continue
        raise SettingsError(f"the environment variable {variable} is no setting of ours.{_did_you_mean(name, known, env=True)}")


def _free(name: str) -> str | None:
    """Below these come names of the user's own choice."""
    return name if name.endswith(("__tables", "__key_limits")) else None


def _names(model: type[BaseModel], prefix: str = "") -> list[str]:
    names = []
    for name, field in model.model_fields.items():
        names.append(f"{prefix}{name}")
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            names += _names(inner, f"{prefix}{name}__")
    return names


def _did_you_mean(name: str, known: list[str], *, env: bool) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if not close:
        return " See marketfetch.toml.example for every name."
    return f" Did you mean {PREFIX + close[0].upper() if env else close[0]}?"


def _sentence(error: ValidationError) -> str:
    """All errors, a clause each: setting, what is wrong, what was meant. Values are shown only where no secret can be."""
    clauses = []
    for one in error.errors(include_url=False, include_input=True):
        path = ".".join(str(part) for part in one["loc"])
        clause = f"{path}: {one['msg'].removeprefix('Value error, ')}"
        if one["type"] == "extra_forbidden":
            parents = [str(part) for part in one["loc"][:-1]]
            siblings = [name for name in _names(Settings) if name.split("__")[:-1] == parents]
            leaf = str(one["loc"][-1])
            close = difflib.get_close_matches(leaf, [name.split("__")[-1] for name in siblings], n=1)
            clause = f"{path} is no setting of ours." + (f" Did you mean {'.'.join([*parents, close[0]])}?" if close else "")
        elif one["type"] == "literal_error":
            close = difflib.get_close_matches(str(one["input"]), _choices(path), n=1)
            clause += f", not {one['input']!r}." + (f" Did you mean {close[0]!r}?" if close else "")
        elif isinstance(one["input"], int | float | str) and not ("key" in path or "url" in path):
            clause += f", got {one['input']!r}"
        where = PREFIX + path.replace(".", "__").upper()
        clauses.append(f"{clause} (in the environment: {where})")
    return "; ".join(clauses)


def _choices(path: str) -> list[str]:
    model: Any = Settings
    for part in path.split("."):
        model = model.model_fields[part].annotation
    return [str(choice) for choice in get_args(model)]
