"""docs/web-api.md names every route with its scope, and no other; the OpenAPI document describes each."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from urllib.parse import urlsplit

from marketfetch.ops import access_tokens
from marketfetch.web import problems
from marketfetch.web.app import PREFIX
from tests.web.conftest import shared_api
from tests.web.test_tokens import needed

PROBLEM = {"$ref": "#/components/schemas/Problem"}
#: The routes that change a setting, by the version that their caller has seen.
VERSIONED = {("PUT", "/settings/{name}"), ("DELETE", "/settings/{name}")}
PAGE = (Path(__file__).parents[2] / "docs" / "web-api.md").read_text(encoding="utf-8")


def routes() -> dict[tuple[str, str], dict]:
    paths = shared_api().openapi()["paths"]
    return {(method.upper(), path.removeprefix(PREFIX)): one for path, of in paths.items() for method, one in of.items()}


def test_the_page_names_every_route_and_no_other():
    named = re.findall(r"^\| `([A-Z]+) (/[^`]*)` \| (\w+) \|", PAGE, flags=re.MULTILINE)
    assert sorted(named) == sorted((method, path, needed(method, path) or "none") for method, path in routes())


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
        refusals = {int(code): found["content"] for code, found in one["responses"].items() if not code.startswith("2")}
        assert all(of == {"application/problem+json": {"schema": PROBLEM}} for of in refusals.values())
        assert {401, 403, 404, 421, 422, 500, 503} <= refusals.keys() <= problems.KINDS.keys()
        assert ({400, 413, 415} <= refusals.keys()) == ("requestBody" in one)
        assert ({412, 428} <= refusals.keys()) == ((method, path) in VERSIONED), (method, path)
        assert (429 in refusals) == (method == "POST")
    assert {one for one in shared_api().openapi()["components"]["schemas"] if "Validation" in one} == set()


def examples() -> list[list[str]]:
    """The words of each curl command of the page."""
    blocks = re.findall(r"^```\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)
    return [
        shlex.split(line) for block in blocks for line in block.replace("\\\n", " ").splitlines() if line.startswith("curl")
    ]


def test_the_examples_of_the_page_work(client):
    token = access_tokens.create("page").token
    assert len(examples()) >= 4
    for words in examples():
        options = {name: words[words.index(name) + 1] for name in ("-X", "-H", "-d") if name in words}
        url = urlsplit(next(word for word in words if word.startswith("http://127.0.0.1:8787/")))
        given = [words[at + 1].partition(": ") for at, word in enumerate(words) if word == "-H"]
        headers = {name: value.replace("mft_...", token) for name, _, value in given}
        if "-N" in words:
            assert ("GET", url.path.removeprefix(PREFIX)) in routes()  # it goes on: tests/flow/test_web_api.py listens
            continue
        found = client.ask(options.get("-X", "GET"), f"{url.path}?{url.query}", headers=headers, content=options.get("-d"))
        assert found.status_code in (200, 201), (words, found.text)
