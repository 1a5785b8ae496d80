"""Settings at run time: each with its source, changed under the version that the caller has seen, and undone."""

from __future__ import annotations

import re
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from marketfetch.documents.setting_documents import (
    ChangeDocument,
    ChangesDocument,
    SettingDocument,
    SettingsDocument,
    change_document,
    changes_document,
    setting_document,
    settings_document,
)
from marketfetch.ops import changing_settings, settings_shown
from marketfetch.ops.owned_keys import put_key
from marketfetch.web.access import Administrator
from marketfetch.web.callers import Caller
from marketfetch.web.problems import Refused
from marketfetch.web.web_service import calls_of

router = APIRouter(tags=["settings"])
_VERSION = re.compile(r'(?:W/)?"?(\d{1,18})"?')
IfMatch = Annotated[str | None, Header(description="The `version` of the setting that you have seen; 0: it had none.")]


class NewValue(BaseModel):
    """A value as in TOML; for an API key its secret, and `owner`: whose jobs alone are fetched with it, null for no owner."""

    model_config = ConfigDict(extra="forbid")

    value: Any
    owner: str | None = None


class Undo(BaseModel):
    """The change to undo, null for the latest."""

    model_config = ConfigDict(extra="forbid")

    version: int | None = Field(default=None, ge=1)


@router.get("/settings", response_model=SettingsDocument, summary="The settings that can be changed at run time")
async def settings(request: Request, _caller: Administrator) -> Response:
    """Each with the value in force, where it comes from, and its version. Secrets are not shown."""
    return await calls_of(request).answer(lambda: settings_document(settings_shown.listed()))


@router.get("/settings/history", response_model=ChangesDocument, summary="Changes of settings")
async def history(
    request: Request, _caller: Administrator, name: str = "", limit: Annotated[int, Query(ge=1, le=1_000)] = 100
) -> Response:
    """By whom, when, before and after; the newest first."""
    return await calls_of(request).answer(lambda: changes_document(changing_settings.history(name, limit=limit)))


@router.post("/settings/undo", response_model=ChangeDocument, summary="Undo a change of a setting")
async def undo(request: Request, body: Undo, caller: Administrator) -> Response:
    """Gives its setting the value from before. 412 if the setting was changed again since."""
    return await calls_of(request).answer(lambda: change_document(changing_settings.undo(body.version, who=_who(caller))))


@router.get("/settings/{name}", response_model=SettingDocument, summary="One setting")
async def setting(request: Request, name: str, _caller: Administrator) -> Response:
    """Its value in force, where it comes from, and its version, which is the ETag too."""
    found = await calls_of(request).quick(lambda: settings_shown.named(name))
    return await calls_of(request).answer(lambda: setting_document(found), headers={"ETag": f'"{found.version}"'})


@router.put("/settings/{name}", response_model=ChangeDocument, summary="Change a setting")
async def change(request: Request, name: str, body: NewValue, caller: Administrator, if_match: IfMatch = None) -> Response:
    """In force in every worker within seconds. 412 if someone else has changed it since the version in If-Match."""
    seen = _seen(if_match)
    who = _who(caller)
    if body.owner is not None:
        whose = body.owner
        return await calls_of(request).answer(
            lambda: change_document(put_key(name, body.value, owner=whose, who=who, based_on=seen))
        )
    return await calls_of(request).answer(
        lambda: change_document(changing_settings.put(name, body.value, who=who, based_on=seen))
    )


@router.delete("/settings/{name}", response_model=ChangeDocument, summary="Take a setting out of the database")
async def unset(request: Request, name: str, caller: Administrator, if_match: IfMatch = None) -> Response:
    """TOML, the environment or the default gives it from then on. 412 as for a change."""
    seen = _seen(if_match)
    return await calls_of(request).answer(
        lambda: change_document(changing_settings.unset(name, who=_who(caller), based_on=seen))
    )


def _who(caller: Caller) -> str:
    return caller.owner or "someone on the server's machine"


def _seen(if_match: str | None) -> int:
    """The version that the caller has seen. Raises Refused: without it, one admin would undo what another one did."""
    if if_match is None:
        raise Refused(428, "Send If-Match with the version of the setting that you have seen, 0 if it had none.")
    if not (found := _VERSION.fullmatch(if_match.strip())):
        raise Refused(422, "If-Match takes the version of the setting, such as 12.")
    return int(found[1])
