"""The pages of settings: what is in force and from where, a form to change one, its history with a button to undo."""

from __future__ import annotations

import json
from typing import Any, Final
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from marketfetch.documents.setting_documents import change_document, setting_document
from marketfetch.exceptions import BadRequestError
from marketfetch.ops import changing_settings, settings_shown
from marketfetch.ops.changing_settings import StaleChange
from marketfetch.ops.owned_keys import put_key
from marketfetch.web.call_threads import cleaned
from marketfetch.web.callers import Caller
from marketfetch.web.pages import html_pages
from marketfetch.web.pages.html_pages import shown
from marketfetch.web.pages.visitors import Administering, fields
from marketfetch.web.problems import Refused
from marketfetch.web.web_service import calls_of

router = APIRouter(include_in_schema=False)

_DONE: Final = {
    "put": "{} is changed. Every worker has it within seconds.",
    "unset": "{} is taken out of the database.",
    "undo": "The change of {} is undone.",
}
_LATEST_CHANGES: Final = 20
#: What of a list or a table is written on a line of the list of settings.
_LONGEST_SHOWN: Final = 120


@router.get("/settings")
async def settings_page(request: Request, caller: Administering, done: str = "", name: str = "") -> Response:
    """Every setting that can be changed while everything runs, and the latest changes."""

    def found() -> dict[str, Any]:
        every = [_line(setting_document(one)) for one in settings_shown.listed()]
        return {
            "set": [one for one in every if one["stored"] is not None or one["wrong"]],
            "others": [one for one in every if one["stored"] is None and not one["wrong"]],
            "changes": _changes(),
            "notice": _DONE[done].format(name) if done in _DONE and any(one["name"] == name for one in _changes()) else "",
        }

    return await shown(request, caller, "settings.html", found)


@router.get("/settings/one")
async def setting_page(request: Request, caller: Administering, name: str = "") -> Response:
    """One setting with its form and its history."""
    return await shown(request, caller, "setting.html", lambda: _of_one(name.strip()))


@router.post("/settings/change")
async def change(request: Request, caller: Administering) -> Response:
    """Changes a setting, or takes it out of the database, under the version that the form was made with.

    Where another admin came first, the form comes back with what was typed (a secret is typed again), and says who and when.
    """
    given = await fields(request)
    name, what = given.get("name", ""), given.get("what", "put")
    seen = given.get("version", "")
    if not seen.isdigit():
        raise Refused(422, "This form has no version of the setting: load its page again.")

    def changed() -> None:
        if what == "unset":
            changing_settings.unset(name, who=_who(caller), based_on=int(seen))
        elif owner := given.get("owner", ""):
            put_key(name, given.get("value", ""), owner=owner, who=_who(caller), based_on=int(seen))
        else:
            changing_settings.put(name, _value(name, given.get("value", "")), who=_who(caller), based_on=int(seen))

    try:
        await calls_of(request).quick(changed)
    except BadRequestError as error:
        return await _again(request, caller, given, error)
    return RedirectResponse(f"/settings?done={'unset' if what == 'unset' else 'put'}&name={quote(name)}", 303)


@router.post("/settings/undo/{version}")
async def undo(request: Request, caller: Administering, version: int) -> Response:
    """Undoes one change; refused where the setting was changed again since."""
    done = await calls_of(request).quick(lambda: changing_settings.undo(version, who=_who(caller)))
    return RedirectResponse(f"/settings?done=undo&name={quote(done.name)}", 303)


async def _again(request: Request, caller: Caller, given: dict[str, str], error: BadRequestError) -> Response:
    """The form once more, with the sentence of the refusal and what was typed."""

    def rendered() -> str:
        try:
            found = _of_one(given.get("name", ""))
        except BadRequestError:
            raise error from None  # no setting has this name
        typed = {} if found["setting"]["secret"] else {"typed": given.get("value", "")}
        return html_pages.text("setting.html", request, caller, cleaned({**found, **typed, "refusal": str(error)}))

    html = await calls_of(request).quick(rendered)
    status = 412 if isinstance(error, StaleChange) else 422
    return Response(html, status, media_type="text/html", headers=html_pages.HEADERS)


def _of_one(name: str) -> dict[str, Any]:
    """Raises BadRequestError for a name that no setting has."""
    setting = setting_document(settings_shown.named(name))
    value = setting["value"] if setting["stored"] is None else setting["stored"]
    return {
        "setting": setting,
        "typed": "" if setting["secret"] or value is None else _text(value),
        "changes": _changes(name),
        "refusal": "",
        "key": ".api_keys." in name,
        "takes_list": changing_settings.takes_list(name),
    }


def _changes(name: str = "") -> list[dict[str, Any]]:
    """The latest changes, each with whether it can be undone: the latest of its setting."""
    latest: set[str] = set()
    found = []
    for one in changing_settings.history(name, limit=_LATEST_CHANGES):
        document = change_document(one)
        values = {"before": _short(document["before"]), "after": _short(document["after"])}
        found.append({**document, **values, "undo": one.name not in latest})
        latest.add(one.name)
    return found


def _line(setting: Any) -> dict[str, Any]:
    return {**setting, "value": "not shown" if setting["secret"] else _short(setting["value"])}


def _short(value: Any) -> str:
    text = "none" if value is None else _text(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 1]}…"


def _text(value: Any) -> str:
    """A value as it is typed: text as it is, a list of texts by lines, all else as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(one, str) and _is_plain(one) for one in value):
        return "\n".join(value)
    return json.dumps(value)


def _value(name: str, text: str) -> Any:
    """What was typed: of a secret the text itself; JSON where it is JSON; of a list each line."""
    if changing_settings.takes_secret(name):
        return text
    try:
        return json.loads(text)
    except ValueError:
        pass
    lines = [one.strip() for one in text.splitlines() if one.strip()]
    return lines if changing_settings.takes_list(name) else text


def _is_plain(text: str) -> bool:
    """Whether a line that is read back is this text."""
    try:
        json.loads(text)
    except ValueError:
        return text == text.strip() and "\n" not in text
    return False


def _who(caller: Caller) -> str:
    return caller.owner or "someone on the server's machine"
