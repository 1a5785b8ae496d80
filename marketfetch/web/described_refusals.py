"""What each route may refuse, in the OpenAPI document: `application/problem+json` with the schema of a problem."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI

from marketfetch.web.problems import KINDS, MEDIA_TYPE

_SCHEMA: Final = {"$ref": "#/components/schemas/Problem"}
_OF_ALL: Final = (401, 403, 404, 421, 422, 500, 503)
_WITH_BODY: Final = (400, 408, 413, 415)
_OF_VERSIONS: Final = (412, 428)
#: What FastAPI says of its own refusals, which no route sends.
_UNUSED: Final = ("HTTPValidationError", "ValidationError")


def describe(api: FastAPI) -> None:
    """Makes `api.openapi` say what each route may refuse; the document is made once, as FastAPI's own."""
    made = api.openapi

    def openapi() -> dict[str, Any]:
        if api.openapi_schema is None:
            document = made()
            for methods in document["paths"].values():
                for method, one in methods.items():
                    _describe(method, one)
            for name in _UNUSED:
                document["components"]["schemas"].pop(name, None)
        return api.openapi_schema or {}

    api.openapi = openapi  # as FastAPI's documentation does


def _describe(method: str, one: dict[str, Any]) -> None:
    good = {code: found for code, found in one["responses"].items() if code.startswith("2")}
    versions = any(each["name"].lower() == "if-match" for each in one.get("parameters", ()))
    codes = {
        *_OF_ALL,
        *(_WITH_BODY if "requestBody" in one else ()),
        *(_OF_VERSIONS if versions else ()),
        *((429,) if method == "post" else ()),
    }
    refusals = {
        f"{code}": {"description": KINDS[code][1], "content": {MEDIA_TYPE: {"schema": _SCHEMA}}} for code in sorted(codes)
    }
    one["responses"] = {**good, **refusals}
