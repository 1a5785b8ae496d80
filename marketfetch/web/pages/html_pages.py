"""Templates as responses, and what a page may load: only files of this server, no inline script or style."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from fastapi import Request, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from marketfetch.web.call_threads import cleaned
from marketfetch.web.callers import Caller
from marketfetch.web.pages import page_files, page_words
from marketfetch.web.web_service import calls_of

HERE: Final = Path(__file__).parent
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
#: With `no-referrer` a browser sends `Origin: null` with a form, which would be refused as that of another site.
HEADERS: Final = {"Content-Security-Policy": POLICY, "Referrer-Policy": "same-origin"}
#: The pages, in the order of the navigation.
PAGES: Final = (
    ("/", "Jobs"),
    ("/keys", "Keys"),
    ("/failures", "Failures"),
    ("/bars", "Bars"),
    ("/freshness", "Freshness"),
    ("/schedules", "Schedules"),
)
#: Pages of those who may submit, or change settings.
MORE_PAGES: Final = (("/submit", "Submit", "submit"), ("/settings", "Settings", "admin"))


@cache
def _templates() -> Environment:
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters |= page_words.FILTERS
    made.globals |= {
        "PAGES": PAGES,
        "MORE_PAGES": MORE_PAGES,
        "SIGNS": page_words.SIGNS,
        "file": page_files.address,
        "share": page_words.share,
    }
    return made


async def shown(
    request: Request,
    caller: Caller,
    template: str,
    found: Callable[[], Mapping[str, Any]],
    *,
    long: bool = False,
) -> Response:
    """The page of what `found` returns: documents as the API has them. `long`: it may read for seconds.

    htmx asks for a page again to update its live part, and gets that part alone.
    """
    calls = calls_of(request)
    part = request.headers.get("hx-request") == "true"

    def rendered() -> str:
        return text(template, request, caller, cleaned(dict(found())), part=part)

    html = await (calls.long(rendered) if long else calls.quick(rendered))
    return Response(html, media_type="text/html", headers=HEADERS)


def text(template: str, request: Request, caller: Caller | None, found: Mapping[str, Any], *, part: bool = False) -> str:
    """A template filled in."""
    of_page = {
        "layout": "part.html" if part else "base.html",
        "caller": caller,
        "may": {one: caller is not None and caller.may(one) for one in ("submit", "operate", "admin")},
        "path": request.url.path,
        "here": f"{request.url.path}?{request.url.query}" if request.url.query else request.url.path,
        "query": dict(request.query_params),
    }
    # The page takes a space around its live part for a text that is new, and would get one more with every update.
    return _templates().get_template(template).render(**of_page, **found).strip()
