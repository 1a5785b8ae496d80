"""Keys: what each has used, whether the gates make progress, and the pause of one."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from marketfetch.documents.key_documents import Quotas, QuotasHealth, health_document, quotas_document
from marketfetch.ops import key_status
from marketfetch.web.access import Operator, Reader
from marketfetch.web.bodies import Pause
from marketfetch.web.web_service import calls_of

router = APIRouter(tags=["quotas"])


@router.get("/quotas", response_model=Quotas, summary="What each key has used")
async def quotas(request: Request, _caller: Reader) -> Response:
    """Every key by its label: its limits, used and allowed, when one more call is free, and what is paused and why."""
    return await calls_of(request).answer(_quotas)


@router.get("/quotas/health", response_model=QuotasHealth, summary="Whether the gates make progress")
async def quotas_health(request: Request, _caller: Reader) -> Response:
    """Whether requests that may run are admitted and started. 200 also where they are not: look at `ok`."""
    return await calls_of(request).answer(lambda: health_document(key_status.health()))


@router.post("/quotas/{label}/pause", response_model=Quotas, summary="Pause a key")
async def pause(
    request: Request, label: str, _caller: Operator, body: Pause | None = None, provider: str | None = None
) -> Response:
    """Makes no call with this key for a while; what runs goes on. `provider`: where several have a key of that label."""
    calls, wished = calls_of(request), body or Pause()
    of = wished.provider or provider
    await calls.quick(lambda: key_status.pause(label, provider=of, seconds=wished.seconds))
    return await calls.answer(_quotas)


@router.post("/quotas/{label}/resume", response_model=Quotas, summary="Resume a key")
async def resume(request: Request, label: str, _caller: Operator, provider: str | None = None) -> Response:
    """Ends the pause of this key, and uses it again if it was set aside. `provider`: as for its pause."""
    calls = calls_of(request)
    await calls.quick(lambda: key_status.resume(label, provider=provider))
    return await calls.answer(_quotas)


def _quotas() -> Quotas:
    return quotas_document(key_status.lines(), key_status.events(), key_status.unserved())
