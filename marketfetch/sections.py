"""The sections of the settings: a vendor's keys, limits and proxy, timings, retries, logs. No source is read here."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, NamedTuple, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator, model_validator

from marketfetch.quotas.limits import parse
from marketfetch.redaction import passwords
from marketfetch.suggestions import did_you_mean
from marketfetch.vendors import vendor
from marketfetch.vendors.file_service import EVERY_KEY, hidden_in
from marketfetch.vendors.protocol import VendorOptions
from marketfetch.vendors.schedule_times import read_when
from marketfetch.vendors.times import zone_info
from marketfetch.vendors.trading_days import zone_of_days

#: The userinfo's own signs are percent-encoded in it.
_PROXY: Final = re.compile(r"http://(?:[^\s/?#@]+@)?[^\s/?#@]+/?")

_LONGEST_OWNER: Final = 100

Seconds = Annotated[float, Field(gt=0, le=86_400)]


def module_name(name: str) -> str:
    """A module's name as Python imports it. Raises ValueError with a sentence."""
    name = name.strip()
    if not all(part.isidentifier() for part in name.split(".")):
        raise ValueError(f"{name!r} is no name of a module: write it as Python imports it, such as shop.tasks")
    return name


def app_name(name: str) -> str:
    """`module` or `module:attribute`, as `celery -A` takes it; "" stays "". Raises ValueError with a sentence."""
    module, colon, attribute = name.strip().partition(":")
    if not module and not colon:
        return ""
    return f"{module_name(module)}:{module_name(attribute)}" if colon else module_name(module)


#: A user's module, which our workers import for the tasks in it.
ModuleName = Annotated[str, AfterValidator(module_name)]
#: A user's own Celery app, whose worker `marketfetch up` runs beside ours; "" for none.
AppName = Annotated[str, AfterValidator(app_name)]


def universe_name(name: str) -> str:
    """The name of a list of symbols, as it is written behind the @. Raises ValueError with a sentence."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", name):
        raise ValueError(f"{name!r} is no name of a universe: write letters, digits, - and _, such as watchlist")
    return name


#: A list of symbols in the settings: `@watchlist`.
UniverseName = Annotated[str, AfterValidator(universe_name)]


def owner_name(name: str) -> str:
    """Whose jobs a key serves, written as `submit(owner=...)` takes it. Raises ValueError with a sentence."""
    name = name.strip()
    if not name or not name.isprintable() or len(name) > _LONGEST_OWNER:
        raise ValueError(f"an owner is 1 to {_LONGEST_OWNER} printable characters, such as customer-17")
    return name


#: Whose jobs a key serves.
OwnerName = Annotated[str, AfterValidator(owner_name)]


class Key(NamedTuple):
    """An API key, and the label that replaces it in logs, messages and tables."""

    label: str
    secret: SecretStr


def bare_label(secret: str) -> str:
    """Returns the label of a key that was given none: `key-` and 6 hex digits of its SHA-256."""
    return f"key-{hashlib.sha256(secret.encode(errors='backslashreplace')).hexdigest()[:6]}"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class ProviderSettings(VendorOptions):
    """One vendor: its own options, the keys, and their limits.

    `plan` names a published plan (`published_plans.py` in the vendor's folder); `limits` such as "5/minute" replace the plan's
    ([]: no limits), and `key_limits` replace both for single keys, by label. `concurrency` is the maximum of concurrent calls
    with a key (None: the plan's maximum, or none). `reserve` is the share of every limit, 0 to 1, that marketfetch leaves to
    other users of the same keys.

    `key_owners` names, by label, whose jobs alone are fetched with a key; a key that it does not name serves the jobs without
    an owner. An entry may come before its key, so that the key never serves others. Owners may have the same secret under
    labels of their own: its limits then hold for all of them together.

    `proxy` is an HTTP proxy through which this vendor is called (`http://user:password@host:3128`), and `ca_file` a PEM file of
    the authorities that may vouch for it, instead of the usual ones. An empty text is the same as neither.
    """

    api_keys: list[SecretStr] = Field(default_factory=list)
    plan: str = "free"
    limits: list[str] | None = None
    key_limits: dict[str, list[str]] = Field(default_factory=dict)
    key_owners: dict[str, list[OwnerName]] = Field(default_factory=dict)
    concurrency: int | None = Field(default=None, ge=1)
    reserve: float = Field(default=0.0, ge=0, lt=1)
    proxy: SecretStr | None = None
    ca_file: Path | None = None

    @field_validator("api_keys", mode="before")
    @classmethod
    def _empty_is_no_key(cls, found: Any) -> Any:
        return [] if found == "" else found

    @field_validator("proxy", "ca_file", mode="before")
    @classmethod
    def _empty_is_none(cls, found: Any) -> Any:
        return found or None

    @field_validator("proxy")
    @classmethod
    def _proxy_can_be_called(cls, proxy: SecretStr | None) -> SecretStr | None:
        if proxy is not None and not is_proxy(proxy.get_secret_value()):
            raise ValueError(
                "this is no URL of an HTTP proxy: write http://host:3128 or http://user:password@host:3128, with @ : / % and # "
                "in the password percent-encoded"
            )
        return proxy

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
            same = [one for one, other in zip(labels, secrets, strict=True) if other == secret]
            if len(same) > 1 and sum(not self.key_owners.get(one) for one in same) > 1:
                raise ValueError(f"api_keys: the same secret appears more than once ({', '.join(same)}); keep one of them")
            if len(same) > 1 and not set(getattr(self, "file_keys", {})).isdisjoint(same):
                raise ValueError(
                    f"api_keys: {', '.join(same)} have one secret, so none of them may have credentials in file_keys"
                )
            if labels.count(label) > 1:
                raise ValueError(f"api_keys: two keys have the label {label!r}; a label stands for one key")
            if label == "*" or not label.isprintable():
                raise ValueError(f"api_keys: {label!r} can't be a label; write a word, such as main:secret")
        return self

    @field_validator("key_limits", mode="before")
    @classmethod
    def _null_clears_key_limits(cls, found: Any) -> Any:
        return {} if found is None else found

    @field_validator("key_owners", mode="before")
    @classmethod
    def _one_owner_is_a_list(cls, found: Any) -> Any:
        if not isinstance(found, dict):
            return {} if found is None else found
        return {label: [owners] if isinstance(owners, str) else owners for label, owners in found.items()}

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

    @model_validator(mode="after")
    def _file_keys_are_of_keys(self) -> Self:
        named: dict[str, SecretStr] = getattr(self, "file_keys", {})
        labels = [key.label for key in self.keys]
        for label in named:
            if label not in (*labels, EVERY_KEY):
                raise ValueError(f"file_keys: no key is labelled {label!r}; labels are: {', '.join(labels) or 'none'}")
        if (
            named
            and EVERY_KEY not in named
            and (without := [label for label in labels if label not in named and not self.key_owners.get(label)])
        ):
            # Any key without an owner may be chosen for a file; an owner's key without credentials is chosen for none.
            raise ValueError(f"file_keys: the key labelled {without[0]!r} has no credentials for files; give every key its own")
        return self

    @property
    def keys(self) -> tuple[Key, ...]:
        """`label:secret` splits at the first colon; `bare_label` names a bare secret."""
        found = []
        for one in self.api_keys:
            text = one.get_secret_value().strip()
            label, colon, secret = text.partition(":")
            if not colon:
                label, secret = bare_label(text), text
            found.append(Key(label.strip(), SecretStr(secret.strip())))
        return tuple(found)

    def hidden(self) -> frozenset[str]:
        """Returns what redaction cuts: the secrets of the keys and of files, and the proxy's password in both spellings."""
        found = {key.secret.get_secret_value() for key in self.keys} | hidden_in(getattr(self, "file_keys", {}))
        if self.proxy is not None:
            found |= passwords(self.proxy.get_secret_value())
        return frozenset(found - {""})


def is_proxy(url: str) -> bool:
    """True for `http://host:port` with or without user and password: a tunnel over TLS or SOCKS is not built."""
    try:
        found = urlsplit(url)
        # urlsplit reads a port only when asked for it.
        return bool(_PROXY.fullmatch(url) and url.isascii() and url.isprintable() and found.hostname and found.port)
    except ValueError:
        return False


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


class ListedUniverse(_Section):
    """The symbols that the vendor `listed` lists now, by its dataset `symbols`; only of these kinds and exchanges, if named."""

    listed: str
    kind: list[str] = Field(default_factory=list)
    exchange: list[str] = Field(default_factory=list)


#: The symbols, the path of a file that has them, or which ones of a vendor's list.
Universe = list[str] | str | ListedUniverse


class Schedule(_Section):
    """A job that beat starts when it is due: the last sessions of a universe, less what is stored and final.

    `when` is read by vendors/schedule_times.py; `calendar` is that of `session close`, "" for that of the first symbol; `zone`
    is that of a cron expression. `by_symbol`: no call with the whole market takes the place of calls by symbol.
    """

    name: UniverseName
    provider: str
    universe: str = ""
    symbols: list[str] = Field(default_factory=list)
    dataset: str = "bars"
    timespan: str = "1d"
    adjustment: str | None = None
    when: str
    calendar: str = ""
    zone: str = "UTC"
    last: str = "5 sessions"
    priority: int = Field(default=5, ge=0, le=9)
    by_symbol: bool = False

    @property
    def words(self) -> tuple[str, ...]:
        """The symbols and universes, as `marketfetch fetch` takes them."""
        return (*([f"@{self.universe.removeprefix('@')}"] if self.universe else []), *self.symbols)

    @field_validator("when", "zone", "calendar")
    @classmethod
    def _is_known(cls, text: str, info: ValidationInfo) -> str:
        # Each by itself, so that the error names the setting and its line.
        if info.field_name == "when":
            read_when(text)
        elif info.field_name == "zone":
            zone_info(text)
        elif text:
            zone_of_days(text)
        return text

    @model_validator(mode="after")
    def _asks_for_something(self) -> Self:
        if not self.words:
            raise ValueError(f"the schedule {self.name!r} has neither a universe nor symbols: name one")
        return self


class LogSettings(_Section):
    """`format` text is for people, json for machines."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"


class MetricsSettings(_Section):
    """The port on which a worker shows its metrics, None for none, and the address that it listens on.

    `traces_url` is that of an OpenTelemetry collector (OTLP over HTTP), "" for no traces.
    """

    port: int | None = Field(default=None, ge=1, le=65_535)
    host: str = "127.0.0.1"
    traces_url: str = Field(default="", pattern=r"^(https?://[^\s@]+)?$")
