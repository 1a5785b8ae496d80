"""The pages' scripts and styles: their addresses have a hash, so a browser keeps each for good and never an old one."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Final

from fastapi import APIRouter, Response

from marketfetch.web.problems import Refused

router = APIRouter(include_in_schema=False)

_FOLDER: Final = Path(__file__).parent / "static"
_KINDS: Final = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_FOR_GOOD: Final = {"Cache-Control": "public, max-age=31536000, immutable"}


@cache
def _files() -> dict[str, tuple[bytes, str]]:
    """Name -> content and hash."""
    paths = [path for path in _FOLDER.rglob("*") if path.suffix in _KINDS]
    return {path.name: (found := path.read_bytes(), hashlib.sha256(found).hexdigest()[:12]) for path in paths}


def address(name: str) -> str:
    """Where a page finds this file."""
    return f"/static/{_files()[name][1]}/{name}"


@router.get("/static/{version}/{name}")
async def file(version: str, name: str) -> Response:
    """A file, which holds no data and so needs no token."""
    found = _files().get(name)
    if found is None or found[1] != version:
        raise Refused(404, "There is no such file: load the page again.")
    return Response(found[0], media_type=_KINDS[Path(name).suffix], headers=_FOR_GOOD)
