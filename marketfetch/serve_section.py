"""The section `[serve]` of the settings: where the page and the web API listen, and what may ask them."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

#: A name or an IPv4 address, and an IPv6 address with or without its brackets.
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252})|\[?[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*\]?")
_ORIGIN = re.compile(rf"https?://(?:{_HOST.pattern})(?::[0-9]{{1,5}})?/?")


def host_name(text: str) -> str:
    """A name or an address, without brackets. Raises ValueError."""
    if not _HOST.fullmatch(text) or (":" in text and not _is_ipv6(text.strip("[]"))):
        raise ValueError(f"{text!r} is no name of a host: write one such as data.example, or an address.")
    return text.strip("[]")


def origin(text: str) -> str:
    """The origin of a page. Raises ValueError."""
    if not _ORIGIN.fullmatch(text):
        raise ValueError(f"{text!r} is no site: write it as in a browser, such as https://app.example.")
    return text


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


HostName = Annotated[str, AfterValidator(host_name)]
Origin = Annotated[str, AfterValidator(origin)]


class ServeSettings(BaseModel):
    """What `marketfetch serve` does where its options say nothing; see docs/web-api.md.

    `hosts` are names in a request's Host besides those of this machine, `origins` sites whose pages may call the API from a
    browser (CORS). `require_token` asks for a token from this machine too.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    host: HostName = "127.0.0.1"
    port: int = Field(default=8787, ge=0, le=65_535)
    hosts: list[HostName] = Field(default_factory=list)
    origins: list[Origin] = Field(default_factory=list)
    require_token: bool = False
