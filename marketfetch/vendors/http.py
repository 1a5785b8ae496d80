"""A call and its reply as values. Vendors make and read them; only `transport.py` sends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal


@dataclass(frozen=True, slots=True)
class KeyPlace:
    """Where the vendor wants the key: a query parameter or a header; `form` is filled with the key."""

    where: Literal["query", "header"]
    name: str
    form: str = "{key}"


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A GET without its key. `path` begins with "/" and is appended to the configured base URL, the only host ever asked."""

    path: str
    params: tuple[tuple[str, str], ...]
    key: KeyPlace
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class HttpReply:
    """A whole reply: `headers` with lower-case names, `body` decoded from its transfer and content encoding.

    `sent_ns`: when the request was written to the wire (wire.steady_ns()), 0 for a saved reply.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    sent_ns: int = 0

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()
