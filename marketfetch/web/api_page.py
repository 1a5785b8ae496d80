"""The OpenAPI document as a page for people, made here: it loads nothing, runs no script, and reads on any screen."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import Any, Final

from fastapi import APIRouter, Request, Response

router = APIRouter(include_in_schema=False)

_STYLE: Final = """
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; }
code, pre { font-family: ui-monospace, monospace; }
h3 code { font-weight: normal; }
.table { overflow-x: auto; }
table { border-collapse: collapse; margin: .5rem 0; }
th, td { text-align: left; vertical-align: top; padding: .25rem .75rem .25rem 0; border-bottom: 1px solid #8888; }
nav ul { columns: 20rem; }
section { margin-top: 2rem; }
"""
#: The page's own style and nothing else: neither a script nor a picture, from anywhere.
_POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


@router.get("/docs")
async def docs(request: Request) -> Response:
    """The page. It holds no data, so it needs no token."""
    return Response(page(request.app.openapi()), media_type="text/html", headers={"Content-Security-Policy": _POLICY})


def page(document: Mapping[str, Any]) -> str:
    """The whole page of an OpenAPI document."""
    title = f"{document['info']['title']} web API"
    parts = [
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>',
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body><main>',
        f"<h1>{escape(title)}</h1>",
        *(f"<p>{escape(one)}</p>" for one in document["info"]["description"].split("\n\n")),
        '<p>The same for programs: <a href="/api/v1/openapi.json">openapi.json</a></p>',
        '<nav aria-label="Routes"><ul>',
        *(f'<li><a href="#{_anchor(m, path)}">{m.upper()} {escape(path)}</a></li>' for m, path, _ in _routes(document)),
        "</ul></nav>",
        *(_route(method, path, one) for method, path, one in _routes(document)),
        "<h2>Documents</h2>",
        *(_schema(name, one) for name, one in sorted(document["components"]["schemas"].items())),
        "</main></body></html>",
    ]
    return "\n".join(parts)


def _routes(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, one in methods.items():
            yield method, path, one


def _anchor(method: str, path: str) -> str:
    return escape(f"{method}{path}".replace("/", "-").replace("{", "").replace("}", ""), quote=True)


def _route(method: str, path: str, one: Mapping[str, Any]) -> str:
    parts = [
        f'<section id="{_anchor(method, path)}"><h2>{escape(one["summary"])}</h2>',
        f"<h3><code>{method.upper()} {escape(path)}</code></h3><p>{escape(one['description'])}</p>",
    ]
    rows = []
    for each in one.get("parameters", ()):
        place = each["in"] if each.get("required") else f"{each['in']}, optional"
        rows.append((each["name"], place, _kind(each["schema"]), each.get("description", "")))
    if rows:
        parts.append(_table(("name", "in", "type", "what"), rows))
    if body := one.get("requestBody"):
        parts.append(f"<p>Body: {_kind(body['content']['application/json']['schema'])}</p>")
    for code, found in one["responses"].items():
        if code.startswith("2"):
            kinds = [f"{escape(media)} {_kind(of.get('schema', {}))}" for media, of in found.get("content", {}).items()]
            parts.append(f"<p>{code}: {'; '.join(kinds)}</p>")
    return "\n".join([*parts, "</section>"])


def _schema(name: str, one: Mapping[str, Any]) -> str:
    needed = one.get("required", ())
    rows = [
        (field, "" if field in needed else "optional", _kind(of), of.get("description", ""))
        for field, of in one.get("properties", {}).items()
    ]
    table = _table(("field", "", "type", "what"), rows)
    said = escape(one.get("description", ""))
    return f'<section id="{escape(name, quote=True)}"><h3>{escape(name)}</h3><p>{said}</p>{table}</section>'


def _table(titles: Sequence[str], rows: Iterable[tuple[str, str, str, str]]) -> str:
    """`rows` have words; the third cell is HTML already."""
    head = "".join(f'<th scope="col">{escape(one)}</th>' for one in titles)
    lines = [
        f'<tr><th scope="row"><code>{escape(a)}</code></th><td>{escape(b)}</td><td>{c}</td><td>{escape(d)}</td></tr>'
        for a, b, c, d in rows
    ]
    return f'<div class="table" tabindex="0"><table><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'


def _kind(of: Mapping[str, Any]) -> str:
    """A type as HTML, with a link to its document."""
    if reference := of.get("$ref"):
        name = escape(reference.rpartition("/")[2], quote=True)
        return f'<a href="#{name}">{name}</a>'
    if several := of.get("anyOf"):
        return " or ".join(map(_kind, several))
    if of.get("type") == "array":
        return f"list of {_kind(of['items'])}"
    words = " ".join(filter(None, (of.get("type", ""), "or".join(f" {one} " for one in of.get("enum", ())))))
    return escape(f"{words} (default {of['default']})" if "default" in of and of["default"] not in (None, "") else words)
