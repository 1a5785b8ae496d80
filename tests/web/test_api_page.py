"""The page of the API: it has every route and document, loads nothing from elsewhere, and lets nothing into its text."""

from __future__ import annotations

import copy
from html.parser import HTMLParser

from marketfetch.web.api_page import page
from tests.web.conftest import shared_api


class Reader(HTMLParser):
    """Collects ids, links and tags, and sees that each tag is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.add(tag)
        self.ids += [given["id"] or ""] if "id" in given else []
        self.links += [given["href"] or ""] if "href" in given else []
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_has_every_route_and_document_and_every_link_leads_somewhere(client):
    response = client.get("/docs")
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "script-src" not in response.headers["content-security-policy"]
    assert response.headers["content-security-policy"].startswith("default-src 'none'; style-src 'sha256-")
    reader = Reader()
    reader.feed(response.text)
    assert reader.open == []
    assert len(reader.ids) == len(set(reader.ids))
    assert {link for link in reader.links if not link.startswith("#")} == {"/api/v1/openapi.json"}
    assert {link[1:] for link in reader.links if link.startswith("#")} <= set(reader.ids)
    assert not reader.tags & {"script", "img", "link", "iframe"}
    document = copy.deepcopy(shared_api().openapi())
    for path in document["paths"]:
        assert path in response.text
    for name in document["components"]["schemas"]:
        assert name in reader.ids


def test_what_a_description_holds_is_text():
    document = copy.deepcopy(shared_api().openapi())
    document["info"]["description"] = "<script>alert(1)</script>"
    document["components"]["schemas"]["JobList"]["description"] = "<b>"
    assert "<script>" not in page(document)
    assert "<b>" not in page(document)
