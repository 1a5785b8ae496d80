"""A call and its response as values. Vendors build and read them; only `transport.py` sends them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal


@dataclass(frozen=True, slots=True)
class KeyPlace:
    """The query parameter or header that carries the key; `{key}` in `form` stands for it.

    "signature": the headers of an S3 signature, for which the key is an access key id and a secret with a colon between them.
    """

    where: Literal["query", "header", "signature"]
    name: str
    form: str = "{key}"


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A GET without its key. `path` begins with "/" and is appended to the configured base URL, the only host of any call.

    `is_file`: the call goes to the vendor's S3 service (file_service.py), and its body is kept as it comes, compressed or not.
    """

    path: str
    params: tuple[tuple[str, str], ...]
    key: KeyPlace
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    is_file: bool = False


@dataclass(frozen=True, slots=True)
class HttpReply:
    """A complete response: `headers` with lower-case names, `body` decoded from its transfer and content encoding.

    `sent_ns` is the time at which the request was written to the socket (wire.steady_ns()), 0 for a saved response.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    sent_ns: int = 0

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()
