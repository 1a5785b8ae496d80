"""The sections of notifications: who is sent events, and the server that takes the mails. No source is read here."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator, model_validator

from marketfetch.sections import UniverseName

#: What the secret of a webhook begins with; behind it stand at least 16 bytes in base64.
SIGNING_PREFIX: Final = "whsec_"
_FEWEST_SIGNING_BYTES: Final = 16


def signing_key(text: str) -> bytes:
    """The bytes of a secret `whsec_...`. Raises ValueError with a sentence, without the secret."""
    try:
        found = base64.b64decode(text.removeprefix(SIGNING_PREFIX), validate=True)
    except ValueError:
        found = b""
    if not text.startswith(SIGNING_PREFIX) or len(found) < _FEWEST_SIGNING_BYTES:
        raise ValueError(
            f"a secret is {SIGNING_PREFIX} and at least {_FEWEST_SIGNING_BYTES} random bytes in base64: make one with "
            f'`echo "{SIGNING_PREFIX}$(head -c 32 /dev/urandom | base64)"`'
        )
    return found


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class Smtp(_Section):
    """The server that takes the mails of `[[notify]]`; without a `host` none is sent.

    `tls` is "starttls" (a plain connection that becomes an encrypted one), "tls" (encrypted from the start) or "none". `sender`
    is the address that mails come from; "" for marketfetch at the host. The password stands here, or alone in a file.
    """

    host: str = ""
    port: int = Field(default=587, ge=1, le=65_535)
    tls: Literal["starttls", "tls", "none"] = "starttls"
    user: str = ""
    password: SecretStr | None = None
    password_file: Path | None = None
    sender: str = ""

    def secret(self) -> str:
        """Returns the password, "" for none. Raises OSError for a file that can't be read."""
        if self.password is not None:
            return self.password.get_secret_value()
        return self.password_file.read_text(encoding="utf-8").strip() if self.password_file else ""


#: What a target can be notified of.
EventKind = Literal["job over", "key refused", "stale"]


class Notify(_Section):
    """A target of events: a webhook (`url`, with the `secret` that signs) or a mail address (`email`)."""

    name: UniverseName
    url: SecretStr | None = None
    secret: SecretStr | None = None
    email: str = ""
    events: list[EventKind] = Field(default=["job over", "key refused", "stale"], min_length=1)

    @field_validator("url")
    @classmethod
    def _can_be_called(cls, url: SecretStr | None) -> SecretStr | None:
        parts = urlsplit(url.get_secret_value()) if url else None
        if parts is not None and (parts.scheme not in ("http", "https") or not parts.hostname):
            raise ValueError("this is no URL of a webhook: write https://host/path")
        return url

    @field_validator("secret")
    @classmethod
    def _signs(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None:
            signing_key(secret.get_secret_value())
        return secret

    @field_validator("email")
    @classmethod
    def _is_an_address(cls, email: str) -> str:
        if email and not re.fullmatch(r"[^\s@,;<>]+@[^\s@,;<>]+", email):
            raise ValueError("this is no mail address: write one such as ops@example.com")
        return email

    @model_validator(mode="after")
    def _is_one_target(self) -> Self:
        if (self.url is None) == (not self.email):
            raise ValueError(f"the target {self.name!r} has a url or an email, one of them: correct it")
        if self.email and self.secret is not None:
            raise ValueError(f"the target {self.name!r} is a mail, which no secret signs: leave the secret out")
        return self


def _distinct(found: list[Notify]) -> list[Notify]:
    names = [one.name for one in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"targets named twice: {', '.join(twice)}: give each a name of its own")
    return found


def _sends(smtp: Smtp, info: ValidationInfo) -> Smtp:
    if not smtp.host and (one := next((one for one in info.data.get("notify", ()) if one.email), None)):
        raise ValueError(f"notify: {one.name!r} is a mail, and there is no [smtp] that sends it: name its host there")
    return smtp


#: The targets, each with a name of its own.
Targets = Annotated[list[Notify], AfterValidator(_distinct)]
#: The server of the targets that are mails: it stands behind them in the settings.
MailServer = Annotated[Smtp, AfterValidator(_sends)]


def hidden_in_targets(targets: list[Notify], smtp: Smtp) -> Iterator[str]:
    """What redaction cuts: secrets and passwords, and the URLs, as a webhook's path may be its password."""
    for one in targets:
        yield from (each.get_secret_value() for each in (one.url, one.secret) if each is not None)
    with suppress(OSError):
        yield smtp.secret()
