"""The archive of replies: each kept as it came, compressed, without the key, named by its content; an index says the question.

    objects/2024-05/ab/abcd….z                     the body, zlib; `abcd…` is the SHA-256 of what is compressed
    index/acme/2024-05/20240517T200500123-….json   the request, status, headers, when it was fetched, and the body's name

Every call has a file of its own in the index, so that workers on many machines write without a lock. Two equal bodies of a
month are one. A month's lines name that month's bodies alone, so that a month that is over can be removed while workers write.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final

from pydantic import ValidationError

from marketfetch.exceptions import UnavailableError
from marketfetch.extras import need
from marketfetch.ops.file_place import FilePlace
from marketfetch.redaction import redact, redact_bytes
from marketfetch.schemas.request import Request
from marketfetch.vendors.http import HttpReply

_FORMAT: Final = 1
#: Headers that reading never needs, and that may hold what belongs to one connection.
_LEFT_OUT: Final = frozenset({"set-cookie", "cookie", "authorization", "x-api-token", "proxy-authenticate", "www-authenticate"})


class DamagedArchive(UnavailableError):
    """A file of the archive is missing, or is not what it was."""


@dataclass(frozen=True, slots=True)
class ArchivedReply:
    """A line of the index. `fetched_ms` is the Unix time of the call; `body` names the object; `origin`: reply_origin.py."""

    request: Request
    status: int
    headers: dict[str, str]
    fetched_ms: int
    body: str
    origin: str = ""


class ReplyArchive:
    """The archive behind a folder or a URL of fsspec. Every method raises UnavailableError where it can't be used."""

    def __init__(self, url: str) -> None:
        need("fsspec", for_what="The archive of replies (setting `archive`)")
        self._place = FilePlace(url, then="Setting: archive.")

    @property
    def shown(self) -> str:
        """The place without a password."""
        return self._place.shown

    def keep(self, request: Request, reply: HttpReply, *, fetched_ms: int, secrets: Sequence[str], origin: str = "") -> None:
        """Keeps a reply without these secrets. The body is there before the index names it."""
        body = redact_bytes(reply.body, secrets)
        name = hashlib.sha256(body).hexdigest()
        kept = _object(name, fetched_ms)
        if not self._place.exists(kept):
            self._place.write_bytes(kept, zlib.compress(body, level=6))
        headers = {one: redact(text, secrets) for one, text in reply.headers.items() if one.lower() not in _LEFT_OUT}
        if headers.get("content-length", "").strip() == str(len(reply.body)):
            headers["content-length"] = str(len(body))  # of a body that a key was cut out of
        entry = {
            "format": _FORMAT,
            "request": request.model_dump(mode="json", exclude_defaults=True) | {"provider": request.provider},
            "status": reply.status,
            "headers": headers,
            "fetched_ms": fetched_ms,
            "body": name,
            "origin": origin,
        }
        self._place.write(_entry(request, fetched_ms), entry)

    def entries(
        self, provider: str | None = None, *, since: date | None = None, damaged: list[str] | None = None
    ) -> Iterator[ArchivedReply]:
        """Yields the replies of a vendor, or of all, in the order of their calls from `since` (UTC) on.

        A line that can't be read becomes a sentence in `damaged`; without that list it raises DamagedArchive.
        """
        names = self._place.names(f"index/{provider}" if provider else "index")
        names = [name if provider is None else f"{provider}/{name}" for name in names]
        first = f"{since:%Y%m%d}" if since else ""
        for name in sorted(names, key=_stamp):
            if name.endswith(".json") and _stamp(name) >= first:
                try:
                    line = self._place.read(f"index/{name}")
                    if line is None and not self._place.exists(f"index/{name}"):
                        continue  # a purge has removed it meanwhile
                    found = _read(line, name)
                except DamagedArchive as error:
                    if damaged is None:
                        raise
                    damaged.append(str(error))
                else:
                    yield found

    def reply(self, entry: ArchivedReply) -> HttpReply:
        """The reply of an entry, with its body. Raises DamagedArchive."""
        name = _object(entry.body, entry.fetched_ms)
        if not self._place.exists(name):
            raise DamagedArchive(f"The archived body {name} is missing: an object was removed, or a purge is under way.")
        try:
            body = zlib.decompress(self._place.read_bytes(name))
        except zlib.error:
            body = b""
        if hashlib.sha256(body).hexdigest() != entry.body:
            raise DamagedArchive(f"The archived body {entry.body} is damaged: it is not what its name says.")
        return HttpReply(status=entry.status, headers=entry.headers, body=body)


def _object(name: str, fetched_ms: int) -> str:
    return f"objects/{_month(fetched_ms)}/{name[:2]}/{name}.z"


def _month(fetched_ms: int) -> str:
    return f"{datetime.fromtimestamp(fetched_ms / 1000, UTC):%Y-%m}"


def _entry(request: Request, fetched_ms: int) -> str:
    when = datetime.fromtimestamp(fetched_ms / 1000, UTC)
    stamp = f"{when:%Y%m%dT%H%M%S}{fetched_ms % 1000:03}"
    return f"index/{request.provider}/{_month(fetched_ms)}/{stamp}-{re.sub('[^0-9a-z]+', '-', request.id)}.json"


def _stamp(name: str) -> str:
    return name.rpartition("/")[2]


def _read(found: Any, name: str) -> ArchivedReply:
    try:
        if found["format"] != _FORMAT:
            raise DamagedArchive(f"{name} in the archive is of a newer release (format {found['format']}).")
        request = Request.model_validate(found["request"])
        headers = {str(one): str(text) for one, text in found["headers"].items()}
        origin = str(found.get("origin", ""))
        return ArchivedReply(request, int(found["status"]), headers, int(found["fetched_ms"]), str(found["body"]), origin)
    except (TypeError, KeyError, ValueError, AttributeError, ValidationError) as error:
        raise DamagedArchive(f"{name} in the archive can't be read ({type(error).__name__}).") from None
