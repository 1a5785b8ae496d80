"""docs/web-api.md names every route with its scope, and no other; the OpenAPI document describes each."""

from __future__ import annotations

import re
from pathlib import Path

from marketfetch.web import problems
from marketfetch.web.app import PREFIX, make_api
from marketfetch.web.guards import Door

PAGE = (Path(__file__).parents[2] / "docs" / "web-api.md").read_text(encoding="utf-8")


def routes() -> dict[tuple[str, str], dict]:
    paths = make_api(Door()).openapi()["paths"]
    return {(method.upper(), path.removeprefix(PREFIX)): one for path, of in paths.items() for method, one in of.items()}


def test_the_page_names_every_route_and_no_other():
    named = re.findall(r"^\| `([A-Z]+) (/[^`]*)` \|", PAGE, flags=re.MULTILINE)
    assert sorted(named) == sorted(routes())


def test_the_page_names_every_status_of_a_refusal():
    section = PAGE.partition("## Refusals")[2]
    named = {int(code): word for code, word in re.findall(r"^\| (\d{3}) \| `([a-z-]+)` \|", section, flags=re.MULTILINE)}
    assert named == {code: word for code, (word, _) in problems.KINDS.items()}


def test_the_openapi_document_says_what_each_route_is_takes_and_returns():
    for (method, path), one in routes().items():
        assert one["summary"], path
        assert len(one["description"]) > 20, path
        assert ("security" in one) == (path != "/health"), path
        good = next(found for code, found in one["responses"].items() if code.startswith("2"))
        assert "schema" in next(iter(good["content"].values())) or path in ("/bars", "/events"), (method, path)
        assert "application/problem+json" in one["responses"]["503"]["content"]
