"""Keeps a file on this machine's disk until its last part is read: each part is a page, and one call brings all of them.

A page whose file is not here, as another machine has fetched it, makes the call again. A file is kept under the address of the
service and the identity of its request, in a folder of this user's alone, and goes with its last page, or after a day.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog

from marketfetch.configured import options
from marketfetch.schemas.request import Request
from marketfetch.settings import get_settings
from marketfetch.vendors.file_service import FileService
from marketfetch.vendors.http import HttpReply

log = structlog.get_logger("marketfetch.fetch")

_LONGEST_KEPT_S: Final = 86_400.0


def keep(request: Request, reply: HttpReply, *, called_at_ms: int) -> None:
    """Keeps the reply for the pages of `request`. Raises nothing: without it the next page makes the call again."""
    head = {"called_at_ms": called_at_ms, "headers": dict(reply.headers), "bytes": len(reply.body)}
    try:
        folder = _folder()
        _purge(folder)
        handle, path = tempfile.mkstemp(dir=folder, prefix="new-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(json.dumps(head).encode() + b"\n")
                file.write(reply.body)
            # In one step, so that what is found under this name is whole.
            Path(path).replace(folder / _name(request))
        except BaseException:
            Path(path).unlink(missing_ok=True)
            raise
    except OSError as error:
        log.warning("file not kept", request=request.id, error=str(error), next_step="its next part makes the call again")


def kept(request: Request) -> tuple[HttpReply, int] | None:
    """The reply that was kept for this request, and when the call was made (Unix ms); None where there is none."""
    try:
        head, _, body = (_folder() / _name(request)).read_bytes().partition(b"\n")
        found = json.loads(head)
        headers, called_at_ms = dict(found["headers"]), int(found["called_at_ms"])
        whole = len(body) == found["bytes"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return (HttpReply(200, headers, body), called_at_ms) if whole else None


def forget(request: Request) -> None:
    """Deletes what was kept for this request. Raises nothing."""
    with suppress(OSError):
        (_folder() / _name(request)).unlink(missing_ok=True)


def _name(request: Request) -> str:
    """Two projects of a user may ask for the same session, of the vendor and of a service of their own."""
    ours: object = options(request.provider)
    service = ours.files_url if isinstance(ours, FileService) else ""
    parts = (service, get_settings().redis_prefix, request.provider, request.root)
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _folder() -> Path:
    """Raises OSError where another user has made it: the temporary folder belongs to everybody."""
    folder = Path(tempfile.gettempdir()) / f"marketfetch-files-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise OSError(f"{folder} is not a folder of this user alone")
    return folder


def _purge(folder: Path) -> None:
    oldest = time.time() - _LONGEST_KEPT_S
    for path in folder.iterdir():
        with suppress(OSError):
            if path.stat().st_mtime < oldest:
                path.unlink()
