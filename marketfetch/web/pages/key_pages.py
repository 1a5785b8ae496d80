"""The page of keys: how full each limit is and when it drains, what is parked, paused and why, and the next call."""

from __future__ import annotations

from typing import Any, Final, Literal
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from marketfetch.documents.key_documents import key_state
from marketfetch.lengths import in_words
from marketfetch.ops import key_status
from marketfetch.ops.key_status import KeyLine
from marketfetch.quotas.limits import Window, parse
from marketfetch.quotas.values import KeyReport
from marketfetch.web.pages.html_pages import shown
from marketfetch.web.pages.visitors import Operating, Reading, fields
from marketfetch.web.problems import Refused
from marketfetch.web.web_service import calls_of

router = APIRouter(include_in_schema=False)

_LENGTHS: Final = {"15 min": 900, "1 h": 3_600, "1 d": 86_400}
#: A window of more calls is drawn as a bar alone.
_MOST_TICKS: Final = 100


@router.get("/keys")
async def keys_page(request: Request, caller: Reading, done: str = "", label: str = "") -> Response:
    """Every key by its label."""

    def found() -> dict[str, Any]:
        lines = key_status.lines()
        known = any(one.key.label == label for one in lines)
        notice = {"pause": f"The key {label} rests.", "resume": f"The key {label} may be used again."}.get(done, "")
        parked = {one.provider: one.parked for one in lines}
        owned = {one.provider for one in lines if one.owners}
        return {
            "pools": [
                {
                    "name": name,
                    "parked": number,
                    "owned": name in owned,
                    "keys": [_shown(one) for one in lines if one.provider == name],
                }
                for name, number in parked.items()
            ],
            "unserved": list(key_status.unserved().values()),
            "lengths": list(_LENGTHS),
            "notice": notice if known else "",
        }

    return await shown(request, caller, "keys.html", found)


@router.post("/keys/{provider}/{label}/{what}")
async def change(request: Request, _caller: Operating, provider: str, label: str, what: Literal["pause", "resume"]) -> Response:
    """Pauses or resumes a key."""
    length = (await fields(request)).get("length", "1 h")
    if length not in _LENGTHS:
        raise Refused(422, f"A pause is {', '.join(_LENGTHS)} here (got {length[:20]!r}).")

    def changed() -> None:
        if what == "pause":
            key_status.pause(label, provider=provider, seconds=_LENGTHS[length])
        else:
            key_status.resume(label, provider=provider)

    await calls_of(request).quick(changed)
    return RedirectResponse(f"/keys?done={what}&label={quote(label)}", 303)


def _shown(one: KeyLine) -> dict[str, Any]:
    document, key = key_state(one), one.key
    return {
        **document,
        "limits": [{**use, **_draining(key, n)} for n, use in enumerate(document["limits"])],
        "state": _state(key),
        "sentences": key_status.sentences(one.provider, key),
        "next": _next(key),
        "rests": bool(key.paused_ms or key.aside_why or key.suspected_why),
    }


def _state(key: KeyReport) -> tuple[str, str]:
    """What the badge looks like, and its word."""
    if key.aside_why:
        return "off", "set aside"
    if key.paused_ms:
        return "paused", "paused"
    if key.suspected_why:
        return "paused", "suspected"
    return ("fine", "open") if key.opens_ms == 0 else ("waits", "waits")


def _next(key: KeyReport) -> str:
    """When the next call may be made, as words."""
    if key.aside_why:
        return "no call until it is resumed"
    if key.opens_ms is None:
        return "next call when an open call ends"
    return "next call now" if key.opens_ms == 0 else f"next call in {in_words(key.opens_ms / 1000)}"


def _draining(key: KeyReport, number: int) -> dict[str, Any]:
    """When the calls of a window count no more: each as a share of the window, in thousandths; none for many and for days."""
    counted = key.counted_ms[number] if number < len(key.counted_ms) else None
    limit = parse(key.limits[number].text)
    if counted is None or not isinstance(limit, Window) or len(counted) > _MOST_TICKS:
        return {"ticks": None, "empty_ms": 0}
    return {"ticks": [min(1000, 1000 * ms // limit.window_ms) for ms in counted], "empty_ms": max(counted, default=0)}
